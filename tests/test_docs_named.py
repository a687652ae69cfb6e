"""What the documents name by a word of the code is there under this word."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.management import load_command_class
from django.urls import Resolver404, resolve

from console.launch.plan import QUEUES
from incidents.codes import COUNTS, CROSS_LAYER
from incidents.findings import TITLES as FINDINGS
from incidents.models import Incident, Intent, Job
from incidents.words import Outcome, Place, Verdict
from tests.isolation.catalogue import DOORS
from tests.test_docs import CODE, ROOT, read, resources_in_docs, routes_named

PAGES = ("README.md", *(f"docs/{file.name}" for file in sorted((ROOT / "docs").glob("*.md"))))
FOLDERS = (*CODE, "templates", "tests", "docs")
_FILE = re.compile(r"[\w./-]+\.(py|md|html|css|js|toml|sql|sh|ya?ml|conf|txt)\Z")
# Made by a running installation, or by hand while one is set up.
_MADE = re.compile(r"(var|BAILEY_VAR|deploy/env|local/override\.d)/|outbound\.json\Z")


def spans(page: str) -> list[str]:
    """What stands in backquotes; blocks of code are left out."""
    blocks = re.compile(r"^```.*?^```|^    .*?$", re.M | re.S)
    return re.findall(r"`([^`]+)`", blocks.sub("", read(page)))


def written_out(name: str) -> list[str]:
    """``a/{b,c}.py`` as ``a/b.py`` and ``a/c.py``."""
    choice = re.search(r"\{([^{}]*,[^{}]*)\}", name)
    if not choice:
        return [name]
    whole = (name[: choice.start()] + part + name[choice.end() :] for part in choice[1].split(","))
    return [each for part in whole for each in written_out(part)]


def files() -> list[str]:
    found = (file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))
    return [f"/{file.relative_to(ROOT).as_posix()}" for file in found]


def functions_named(page: str) -> list[tuple[str, str]]:
    return re.findall(r"`([\w/]+\.py)::(test_\w+)`", read(page))


@pytest.mark.parametrize("document", PAGES)
def test_backquotes_come_in_pairs_and_hold_one_name_each(document):
    text = re.sub(r"^```.*?^```|^    .*?$", "", read(document), flags=re.M | re.S)
    for paragraph in re.split(r"\n\n|\n(?=\| |- |#)", text):
        assert paragraph.count("`") % 2 == 0, paragraph[:200]
    assert [span for span in spans(document) if "::" in span and " " in span] == []


@pytest.mark.parametrize("document", PAGES)
def test_a_block_of_code_is_followed_by_a_blank_line(document):
    assert re.findall(r"^ {4}\S.*\n(?=[A-Za-z`*])", read(document), re.M) == []


@pytest.mark.parametrize("document", PAGES)
def test_every_test_that_is_named_exists(document):
    for file, test in functions_named(document):
        assert f"def {test}(" in read(f"tests/{file}"), (file, test)


def test_every_file_that_is_named_exists():
    there, missing = files(), []
    for page in PAGES:
        for span in spans(page):
            for name in written_out(span.split("::")[0].split(":")[0].split("#")[0]):
                if _FILE.match(name) and not _MADE.search(name):
                    found = any(each.endswith(f"/{name}") for each in there)
                    missing += [] if found or (ROOT / name).exists() else [(page, name)]
    assert not missing


def look_up(name: str) -> Any:
    """A module, or what stands in one.  Raises ``AttributeError`` or ``ModuleNotFoundError``."""
    parts, found = name.split("."), None
    for count in range(1, len(parts) + 1):
        try:
            found = import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            found = getattr(found, parts[count - 1])
    return found


def test_every_name_of_the_code_that_is_named_exists():
    text = "\n".join(
        file.read_text(encoding="utf-8") for room in CODE for file in (ROOT / room).rglob("*.py")
    )
    pattern = re.compile(rf"(?:{'|'.join(CODE)})(?:\.\w+)+")
    for page in PAGES:
        for span in spans(page):
            name = span.partition("(")[0]
            # An audit action looks the same and is a string of the code.
            if pattern.fullmatch(name) and f'"{name}"' not in text:
                assert look_up(name), (page, name)


def test_every_address_of_the_api_that_is_named_exists():
    for page in PAGES:
        for address in re.findall(r"/api/v1/[\w/{}-]*", read(page)):
            path = re.sub(r"\{(id|\w*_id)\}", "0" * 8 + "-0000" * 3 + "-" + "0" * 12, address)
            try:
                route = resolve(re.sub(r"\{\w+\}", "some", path), "console.urls")
            except Resolver404:
                pytest.fail(f"{page}: {address}")
            assert route.url_name != "api-nothing", (page, address)


def test_every_command_of_manage_py_that_is_named_exists():
    there = {file.stem for file in ROOT.glob("*/management/commands/*.py")}
    for page in PAGES:
        named = set(
            re.findall(r"(?:manage\.py|^ *bailey|run --rm manage) ([a-z]+)", read(page), re.M)
        )
        assert named <= there | {"migrate", "makemigrations"}, page


def test_the_queues_of_the_worker_are_those_it_serves():
    (named,) = re.findall(r"^\| `worker`: queues `([^`]+)` \|", read("docs/architecture.md"), re.M)
    assert named.split() == QUEUES.split(",")


def test_the_doors_are_those_of_the_database_with_their_callers():
    rows = re.findall(r"^\| `(door_\w+)` \| .+ \| ([a-z, ]+) \|$", read("docs/isolation.md"), re.M)
    said = {name: {re.sub(r".*_", "", each) for each in who.split(", ")} for name, who in rows}
    assert said == {
        signature.partition("(")[0]: {re.sub(r".*_", "", each) for each in callers}
        for signature, callers in DOORS.items()
    }


def test_the_indexes_that_do_not_begin_with_the_client_are_those_of_the_models():
    listed = re.search(
        r"^Indexes that do not begin .+?:\n(.+?)\. ", read("docs/isolation.md"), re.M | re.S
    )
    assert listed
    assert set(re.findall(r"`(\w+)`", listed[1])) == {
        index.name
        for model in apps.get_models()
        if any(field.name == "tenant" for field in model._meta.fields)
        for index in model._meta.indexes
        if "tenant" not in (index.fields[0] if index.fields else str(index.expressions[0]))
    }


def test_every_option_of_a_command_that_is_named_exists():
    paths = {file.stem: file for file in ROOT.glob("*/management/commands/[a-z]*.py")}
    parsers = {
        name: load_command_class(path.parts[-4], name).create_parser("manage.py", name)
        for name, path in paths.items()
    }
    checked = 0
    for page in PAGES:
        lines = read(page).replace("\\\n", " ").splitlines()
        for name, rest in re.findall(
            r"(?:manage\.py|bailey|manage) ([a-z]+) (.*--.*)", "\n".join(lines)
        ):
            known = parsers[name]._option_string_actions if name in parsers else {}
            for option in re.findall(r"(?<![\w-])--[a-z-]+", rest.partition("`")[0]):
                assert option in known, (page, name, option)
                checked += 1
    assert checked > 20


def test_the_methods_of_each_address_of_the_api_are_those_it_takes():
    for cell, said in re.findall(
        r"^\| (`[^|]+`) \| ((?:GET|POST)[^|]*) \|", read("docs/api.md"), re.M
    ):
        views = [route.func.cls for route in routes_named(f"| {cell} | GET")]  # type: ignore[attr-defined]
        taken = {
            name.upper()
            for name in ("get", "post", "put", "patch", "delete")
            for view in views
            if hasattr(view, name)
        }
        assert taken == set(said.split(", ")), cell


def test_the_filters_of_each_list_of_the_api_are_those_it_knows():
    rows = re.findall(r"^\| ([^`|]+) \| `([a-z_ ]+)` \|$", read("docs/api.md"), re.M)
    said = {name.strip(): set(known.split()) for names, known in rows for name in names.split(", ")}
    for address, route in zip(resources_in_docs(), routes_named(), strict=True):
        filters = getattr(route.func.cls, "filterset_class", None)  # type: ignore[attr-defined]
        if filters:
            assert said.get(address) == set(filters.base_filters), address


def test_the_closed_lists_of_the_api_are_those_of_the_code():
    closed = read("docs/api.md").partition("## Closed lists")[2]
    said = {name: set(codes.split()) for name, codes in re.findall(r"([\w `]+): `([^`]+)`", closed)}
    wanted: dict[str, set[str]] = {
        " kind": set(Incident.Kind.values),
        " or what is lost": set(FINDINGS),
        " state of an incident": set(Incident.State.values),
        " severity": set(Incident.Severity.values),
        " state of a job": set(Job.State.values),
        " of an action": set(Intent.State.values),
        " verdict": {each.value for each in Verdict},
        " outcome": {each.value for each in Outcome},
        " place": {each.value for each in Place},
        " `cross_layer`": set(CROSS_LAYER),
        " keys of `counts`": set(COUNTS),
    }
    assert {name: said.get(name) for name in wanted} == wanted
