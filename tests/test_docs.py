"""The documentation says what is there: variables, packages, promises, tests, files, commands."""

from __future__ import annotations

import argparse
import ast
import re
from functools import cache
from pathlib import Path

import pytest
from django.urls import ResolverMatch

from console.api.urls import urlpatterns
from console.gateway_parts.command import add_arguments
from console.launch.keys import installation_secrets
from console.launch.plan import Commands, read_plan, shared_environment
from tests.bench.__main__ import measures

ROOT = Path(__file__).resolve().parents[1]
CODE = ("console", "deploy", "incidents", "seg_bridge", "api_bridge", "tenants")
_VARIABLE = re.compile(
    r"(BAILEY_[A-Z_]+|DATABASE_URL(_[A-Z]+)?|REDIS_URL|SECRET_KEY|[A-Z_]+_PORT|GATE_HOST|"
    r"DEMO|DEMO_MAIL|GATEWAY)\Z"
)
URLS = {
    "DATABASE_URL": "postgresql://o:o@db/bailey",
    "DATABASE_URL_CONSOLE": "postgresql://c:c@db/bailey",
    "DATABASE_URL_PORTAL": "postgresql://p:p@db/bailey",
    "DATABASE_URL_WORKER": "postgresql://w:w@db/bailey",
    "REDIS_URL": "redis://cache",
}


@cache
def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def variables_in_code() -> set[str]:
    """Names of environment variables that stand as whole strings in the code."""
    found = set()
    for folder in CODE:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found |= {node.value} if _VARIABLE.match(node.value) else set()
    # "BAILEY_GATE" picks all that begin so; it is no variable.
    return {
        name
        for name in found
        if name.startswith("DATABASE_URL")
        or not any(
            other.startswith(name.rstrip("_") + "_") for other in found - {name, "DEMO_MAIL"}
        )
    }


def variables_in_docs() -> set[str]:
    return set(re.findall(r"^\| `([A-Z_]+)` \|", read("docs/install.md"), re.M))


def packages() -> set[str]:
    """The direct dependencies, as the .in files name them."""
    found = set()
    for name in ("requirements.in", "requirements-dev.in"):
        for line in read(name).splitlines():
            wanted = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
            found |= {wanted.group().lower()} if wanted else set()
    return found


def test_every_variable_that_is_read_is_documented_and_none_is_invented():
    assert variables_in_code() == variables_in_docs()


def test_every_direct_dependency_has_a_line_saying_why():
    named = set(re.findall(r"^\| ([A-Za-z0-9._-]+) \|", read("docs/dependencies.md"), re.M))
    assert packages() <= {name.lower() for name in named}


@pytest.mark.parametrize("number", range(1, 26))
def test_every_promise_is_mapped_to_tests_or_called_open(number):
    found = re.search(rf"^## {number}\. (.+?)(?=^## |\Z)", read("docs/promises.md"), re.M | re.S)
    assert found, number
    assert "::test_" in found.group() or "Not yet" in found.group()


def test_every_link_between_the_documents_leads_somewhere():
    broken = []
    for file in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")):
        text = file.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if not target.startswith("http") and not (file.parent / target).exists():
                broken.append(f"{file.name}: {target}")
    assert not broken


def test_every_page_of_the_documentation_is_linked_from_the_readme():
    pages = {f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")}
    assert pages == {page for page in pages if f"({page})" in read("README.md")}


def test_every_make_target_that_the_documents_name_exists():
    targets = set(re.findall(r"^([a-z-]+):.*##", read("Makefile"), re.M))
    named = set()
    for file in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        # In code only: in backquotes, or at the start of an indented line.
        text = file.read_text(encoding="utf-8")
        named |= set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.M))
    assert "run" in named
    assert named <= targets


def test_every_measure_has_a_line_that_says_against_what_and_none_is_invented():
    assert set(re.findall(r"^\| `(\w+)` \|", read("docs/benchmarks.md"), re.M)) == set(measures())


@pytest.mark.parametrize("name", ["console", "portal", "ingest", "worker", "beat", "gate", "ship"])
def test_a_unit_starts_what_the_launcher_starts(name, tmp_path):
    plan = read_plan({"DEMO": "0"}, tmp_path)
    commands = Commands(plan, shared_environment(plan, installation_secrets(tmp_path), URLS))
    is_web = name in ("console", "portal", "ingest")
    command = commands.web(name) if is_web else getattr(commands, name)()
    unit = read(f"deploy/systemd/bailey-{name}.service")
    started = re.search(r"^ExecStart=\S+/python (.+)$", unit, re.M)
    assert started
    assert tuple(started[1].split()) == command.argv[1:]
    surface = re.search(r"^Environment=BAILEY_SURFACE=(\w+)$", unit, re.M)
    assert (surface[1] if surface else None) == command.env.get("BAILEY_SURFACE")


def test_the_unit_of_the_parts_starts_them_and_stays():
    unit = read("deploy/systemd/bailey-gateway.service")
    started = re.search(r"^ExecStart=\S+/python -m console\.gateway_parts (.+)$", unit, re.M)
    assert started
    assert run_options(started[1].split()) == ("up", True)


def run_options(words: list[str]) -> tuple[str, bool]:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = parser.parse_args(words)
    return options.action, options.foreground


def test_the_containers_start_what_the_units_start():
    composed = read("deploy/compose.yaml")
    for unit in (ROOT / "deploy" / "systemd").glob("*.service"):
        started = re.search(r"^ExecStart=\S+/python (.+)$", unit.read_text(), re.M)
        assert started
        words = started[1].replace("127.0.0.1", "0.0.0.0")
        assert f"command: python {words}\n" in composed, unit.name


def resources_in_docs(text: str = "") -> list[str]:
    """The addresses of the API's table, written out: ``…/save`` goes on from the last whole one."""
    found: list[str] = []
    table = text or read("docs/api.md")
    for cell in re.findall(r"^\| (`[^|]+`) \| (?:GET|POST)", table, re.M):
        whole = ""
        for address in re.findall(r"`([^`]+)`", cell):
            if address.startswith("…"):
                stem = whole if whole.endswith("}") else whole.rpartition("/")[0]
                found.append(stem + address[1:])
            else:
                whole = address
                found.append(address)
    return found


def routes_named(text: str = "") -> list[ResolverMatch]:
    """Of ``resources_in_docs``, in its order."""
    found = []
    for address in resources_in_docs(text):
        path = address.replace("{id}", "0" * 36).replace("{kept,missed,open}", "kept")
        path = re.sub(r"\{\w+\}", "some", path)
        route = next(match for each in urlpatterns if (match := each.resolve(path)) is not None)
        assert route.url_name != "api-nothing", address
        found.append(route)
    return found


def test_every_address_of_the_api_is_documented_and_the_other_way_round():
    named = {route.url_name for route in routes_named()}
    routes = {each.name for each in urlpatterns}
    assert routes - named == {"api-root", "api-schema", "api-nothing"}
