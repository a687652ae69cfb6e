"""What is delivered for servers: units and compose file are whole, and name what there is."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typing_extensions import override

from console import healthy
from console.gateway_parts.registry import PARTS
from console.launch.plan import QUEUES
from seg_bridge import sign_of_life
from seg_bridge.gate.desk import Desk
from seg_bridge.gate.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
ROOMS = ("console", "incidents", "seg_bridge", "api_bridge", "tenants")
HOME = "/opt/bailey"
PYTHON = f"{HOME}/.venv/bin/python"

# https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json (read
# 2026-11-30), as far as we use it, and nothing else: a key that is misspelt is none of these.
_TEXTS = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
_SPAN = {"type": "string", "pattern": r"^\d+s$"}
_HEALTHCHECK = {
    "type": "object",
    "additionalProperties": False,
    "required": ["test", "interval", "timeout", "retries", "start_period"],
    "properties": {
        "test": {"type": "array", "items": {"type": "string"}, "minItems": 2},
        "interval": _SPAN,
        "timeout": _SPAN,
        "retries": {"type": "integer", "minimum": 1},
        "start_period": _SPAN,
    },
}
_DEPENDENCY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["condition"],
    "properties": {
        "condition": {"enum": ["service_started", "service_healthy"]},
        "restart": {"type": "boolean"},
    },
}
_SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "build": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"context": {"type": "string"}, "dockerfile": {"type": "string"}},
        },
        "image": {"type": "string"},
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "command": {"type": "string"},
        "user": {"type": "string"},
        "hostname": {"type": "string"},
        "env_file": {"type": "string"},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "volumes": {**_TEXTS, "items": {"type": "string", "pattern": r"^[a-z]+:/[\w/.-]+$"}},
        "ports": {**_TEXTS, "items": {"type": "string", "pattern": r"^([\d.]+:)?\d+:\d+$"}},
        "network_mode": {"type": "string"},
        "depends_on": {"type": "object", "additionalProperties": _DEPENDENCY},
        "healthcheck": _HEALTHCHECK,
        "stop_grace_period": _SPAN,
        "profiles": _TEXTS,
        "entrypoint": _TEXTS,
    },
}
COMPOSE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["services"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "additionalProperties": _SERVICE},
        "volumes": {"type": "object"},
    },
    "patternProperties": {"^x-": {}},
}


class OnceOnly(yaml.SafeLoader):
    """A key that stands twice is a mistake, and not the last one's victory."""

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [each.value for each, _ in node.value if each.value != "<<"]
        assert len(keys) == len(set(keys)), f"a key stands twice: {keys}"
        return super().construct_mapping(node, deep)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((DEPLOY / "compose.yaml").read_text(), Loader=OnceOnly)
    return loaded


def lines_of(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


def env_files() -> dict[str, dict[str, str]]:
    """Name → variables with a value, as ``environment.example`` has them."""
    found: dict[str, dict[str, str]] = {}
    for line in (DEPLOY / "environment.example").read_text().splitlines():
        if named := re.match(r"# --- ([a-z]+)\.env", line):
            found[named[1]] = {}
        elif "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[list(found)[-1]][name] = value
    return found


def check_command(words: list[str]) -> None:
    """``-m module arguments``: the module is there, and so is what its arguments name."""
    assert words[0] == "-m", words
    assert importlib.util.find_spec(words[1]) is not None, words[1]
    if "console.asgi:application" in words:
        assert (ROOT / "console" / "asgi.py").read_text().count("\napplication") == 1
    if "worker" in words:
        assert words[words.index("-Q") + 1] == QUEUES


@pytest.fixture(scope="session")
def systemd_analyze() -> str:
    """Its path; from Debian where we are root.  Nothing of systemd is started by it."""
    if shutil.which("systemd-analyze") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for argv in (
            ["apt-get", "-qq", "update"],
            ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", "systemd"],
        ):
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(argv, check=False, capture_output=True, env=environment)
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("no systemd-analyze here (root on Debian would install it)")
    return found


# What a unit may be exposed at most, by systemd's own count: 10 is a service without any bounds.
# Postfix begins as root; a gate may listen on port 25.
EXPOSED = {"bailey-gateway": 2.9, "bailey-gate": 2.0}
MOST_EXPOSED = 1.7


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_counts_each_unit_as_well_bounded(unit, systemd_analyze, tmp_path):
    most = EXPOSED.get(unit.stem, MOST_EXPOSED)

    def counted(path):
        asked = (systemd_analyze, "security", "--offline=true", f"--threshold={most * 10:.0f}")
        done = subprocess.run((*asked, path), capture_output=True, text=True, check=False)
        level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
        if level is None and "offline" in done.stderr:
            pytest.skip("this systemd counts running services only (before version 250)")
        assert level is not None, done.stderr
        return done.returncode, float(level[1])

    status, level = counted(unit)
    assert (status, level <= most) == (0, True), level
    loose = tmp_path / unit.name
    loose.write_text(re.sub(r"^(Protect|Restrict).*$", "", unit.read_text(), flags=re.MULTILINE))
    assert counted(loose)[0] != 0, "it does count"


def test_systemd_understands_every_line_of_every_unit(tmp_path, systemd_analyze):
    for unit in UNITS:
        here = unit.read_text().replace(PYTHON, sys.executable).replace(HOME, str(ROOT))
        (tmp_path / unit.name).write_text(here)

    def verify(*paths):
        return subprocess.run(
            (systemd_analyze, "verify", "--man=no", "--recursive-errors=no", *paths),
            capture_output=True,
            text=True,
            check=False,
        )

    done = verify(*tmp_path.glob("*.service"))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    spoilt = tmp_path / UNITS[0].name
    spoilt.write_text(spoilt.read_text().replace("ProtectHome=", "ProtectHom="))
    assert "ProtectHom" in verify(spoilt).stderr, "it does look"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_a_unit_names_is_there(unit):
    (started,) = lines_of(unit, "ExecStart")
    program, *words = shlex.split(started)
    assert program == PYTHON
    check_command(words)
    assert lines_of(unit, "WorkingDirectory") == [HOME]
    (document,) = lines_of(unit, "Documentation")
    assert Path(document.replace(f"file:{HOME}", str(ROOT))).is_file()
    (environment,) = lines_of(unit, "EnvironmentFile")
    assert Path(environment).stem in env_files()
    named = " ".join((*lines_of(unit, "Before"), *lines_of(unit, "After"))).split()
    ours = {name for name in named if name.startswith("bailey-")}
    assert ours <= {each.name for each in UNITS}


def may_write(unit: str) -> list[Path]:
    lines = " ".join(lines_of(DEPLOY / "systemd" / f"bailey-{unit}.service", "ReadWritePaths"))
    return [Path(each.removeprefix("-")) for each in lines.split()]


def test_a_unit_may_write_where_its_settings_say():
    files = env_files()
    gate = {**files["gate"], "BAILEY_GATE_SECRET": "00" * 32}
    settings = read_settings(gate)
    assert settings.milter is not None
    assert settings.postfix is not None
    assert settings.own_postfix is not None, "clients can submit their mail to Postfix"
    needed = (
        *(settings.folder, settings.milter, settings.socket_for("sasl")),
        *(settings.postfix / "maps", Desk(settings.postfix).wishes),
    )
    for path in needed:
        assert any(path.is_relative_to(each) for each in may_write("gate")), path
    assert may_write("ship") == [settings.folder]
    assert Path(files["gateway"]["BAILEY_VAR"]) in may_write("gateway")
    for name in ("console", "portal", "ingest", "worker"):
        assert Path(files["console"]["BAILEY_VAR"]) in may_write(name), name


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_makes_the_folder_that_it_cannot_start_without(unit):
    needed = [each for each in lines_of(unit, "ReadWritePaths") if not each.startswith("-")]
    assert [f"/var/lib/{each}" for each in lines_of(unit, "StateDirectory")] == needed
    for sign in (each for each in lines_of(unit, "Environment") if "BAILEY_ALIVE" in each):
        (folder,) = lines_of(unit, "RuntimeDirectory")
        assert sign == f"BAILEY_ALIVE=/run/{folder}/alive"
    assert lines_of(unit, "StartLimitIntervalSec") == ["0"], "it never gives up"


def test_what_postfix_and_rspamd_ask_the_kernel_is_no_fault():
    """Seen on Debian 12: without these neither starts (``make deploycheck``)."""
    for name in ("gate", "gateway"):
        (families,) = lines_of(
            DEPLOY / "systemd" / f"bailey-{name}.service", "RestrictAddressFamilies"
        )
        assert "AF_NETLINK" in families.split(), "postmap asks for this machine's addresses"
    unit = DEPLOY / "systemd" / "bailey-gateway.service"
    assert "mincore" in lines_of(unit, "SystemCallFilter")[-1].split()
    assert lines_of(unit, "SystemCallErrorNumber") == ["EPERM"]


def test_the_gate_has_an_account_of_its_own():
    accounts = {unit.stem: lines_of(unit, "User") for unit in UNITS}
    assert accounts.pop("bailey-gateway") == [], "Postfix begins as root"
    gate = env_files()["gateway"]["BAILEY_GATE_ACCOUNT"]
    theirs = {name for name, (account,) in accounts.items() if account == gate}
    assert theirs == {"bailey-gate", "bailey-ship"}


def test_image_and_page_have_what_the_gateway_cannot_do_without():
    image = (DEPLOY / "Dockerfile").read_text().split()
    page = (ROOT / "docs" / "install.md").read_text()
    packages = [each for part in PARTS if part.is_needed for each in part.packages]
    assert len(packages) == 3
    assert set(packages) <= set(image)
    assert f"--no-install-recommends {' '.join(packages)} " in page


def test_the_gate_may_give_its_sockets_to_postfix(systemd_analyze):
    """A call that is filtered out kills the process."""
    unit = DEPLOY / "systemd" / "bailey-gate.service"
    assert lines_of(unit, "SystemCallFilter")[-1] == "@chown", "behind ~@privileged, which has it"
    listed = subprocess.run(
        (systemd_analyze, "syscall-filter", "@chown"), capture_output=True, text=True, check=True
    )
    assert "fchownat" in listed.stdout.split()


def test_the_compose_file_is_one(compose):
    jsonschema.validate(compose, COMPOSE)
    misspelt = {**compose, "services": {"a": {"image": "x", "enviroment": {}}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(misspelt, COMPOSE)
    whole = json.loads((ROOT / "tests/launch/compose_spec/compose-spec.json").read_text())
    jsonschema.validate(compose, whole)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(misspelt, whole)


def test_every_service_is_asked_whether_it_works(compose):
    """By a check of its own name, which finds what it needs in the service's environment."""
    files = env_files()
    for name, service in compose["services"].items():
        if "profiles" in service:
            continue  # a command, which ends by itself
        kind, *words = service["healthcheck"]["test"]
        if "build" not in service:
            assert kind in ("CMD", "CMD-SHELL"), name
            continue
        assert (kind, words) == ("CMD", ["python", "-m", "console.healthy", name])
        assert name in healthy.CHECKS
        told = {*files[Path(service["env_file"]).stem], *service.get("environment", {})}
        assert (sign_of_life.VARIABLE in told) == (name in healthy.FRESH_S), name
    for surface, port in healthy.PORTS.items():
        assert f"--port {port} " in compose["services"][surface]["command"]


def test_a_service_waits_for_those_that_can_say_that_they_work(compose):
    services = compose["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_started" or "healthcheck" in services[other], name
    for name in ("console", "portal", "ingest", "worker", "beat", "manage"):
        assert set(services[name]["depends_on"]) == {"postgres", "valkey"}
    assert services["gate"]["depends_on"]["gateway"]["condition"] == "service_healthy"


def test_every_variable_of_the_example_is_read_somewhere(compose):
    code = "\n".join(path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    named = {name for values in env_files().values() for name in values}
    for service in compose["services"].values():
        named |= set(service.get("environment", {}))
    for unit in UNITS:
        named |= {each.partition("=")[0] for each in lines_of(unit, "Environment")}
    assert len(named) > 25
    assert [name for name in sorted(named) if f'"{name}"' not in code] == []


def test_a_surface_that_is_named_is_one(compose):
    named = {each for unit in UNITS for each in lines_of(unit, "Environment")}
    surfaces = {each.partition("=")[2] for each in named if each.startswith("BAILEY_SURFACE=")}
    surfaces |= {
        service["environment"]["BAILEY_SURFACE"]
        for service in compose["services"].values()
        if "BAILEY_SURFACE" in service.get("environment", {})
    }
    assert surfaces == {"console", "portal", "ingest", "worker", "owner"}
    known = (ROOT / "console" / "settings.py").read_text()
    assert all(f'"{each}"' in known for each in surfaces)


def test_the_image_is_built_from_what_is_there():
    """Every path that the Dockerfile names, and no secret or data of the checkout goes in."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    (home,) = re.findall(r"^WORKDIR (\S+)$", text, re.MULTILINE)
    assert home == HOME
    (path,) = re.findall(r"^ENV PATH=([^: ]+)", text, re.MULTILINE)
    assert f"{path}/python" == PYTHON
    runs = " && ".join(re.findall(r"^RUN (.*)$", text, re.MULTILINE))
    scripts = re.findall(r"python3? (\S+\.py)", runs)
    assert scripts == ["deploy/bootstrap.py"]
    assert (ROOT / scripts[0]).is_file()
    (compiled,) = re.findall(r"-m compileall ((?:-\w(?: \d)? )*)(.*)$", runs)
    assert set(compiled[1].split()) == set(ROOMS), "each room's modules are compiled"
    assert all((ROOT / room / "__init__.py").is_file() for room in compiled[1].split())
    left_out = (ROOT / ".dockerignore").read_text().split("\n")
    assert {"var", "deploy/env", ".git", ".venv"} <= set(left_out)
    kept = {*ROOMS, "deploy", "templates", "docs", "manage.py", "requirements.txt"}
    assert kept.isdisjoint(left_out)
    assert all((ROOT / each).exists() for each in kept)


def test_what_a_container_names_is_there(compose):
    services, volumes = compose["services"], compose["volumes"]
    for name, service in services.items():
        others = [*service.get("depends_on", ())]
        if network := service.get("network_mode"):
            kind, _, other = network.partition(":")
            assert kind == "service", name
            others.append(other)
            assert "ports" not in service, f"{name} has no network of its own"
        assert set(others) <= set(services), name
        assert {each.partition(":")[0] for each in service.get("volumes", ())} <= set(volumes)
        command = service.get("command", "")
        if command.startswith("python "):
            check_command(shlex.split(command)[1:])
            assert (DEPLOY / service["build"]["dockerfile"].removeprefix("deploy/")).is_file()
            assert Path(service["env_file"]).stem in env_files(), name
        if "entrypoint" in service:
            assert service["entrypoint"] == ["python", "manage.py"]
            assert (ROOT / "manage.py").is_file()


def test_containers_reach_postfix_where_its_settings_put_it(compose):
    gateway = env_files()["gateway"]
    inside = {each.rpartition(":")[2] for each in compose["services"]["gateway"]["ports"]}
    assert inside == {gateway[f"{name}_PORT"] for name in ("GATE", "SUBMISSION", "SUBMISSIONS")}
