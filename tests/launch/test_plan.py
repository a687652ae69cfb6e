"""Settings of a start: ports, secrets, who may know what; wrong ones are named."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from pathlib import Path

import psycopg
import pytest

from console.launch import process
from console.launch.clean import LOCK_NAME, clean
from console.launch.demo import forget_answer, last_answer, last_json, remember_answer
from console.launch.keys import installation_secrets
from console.launch.plan import (
    SANDBOX_PORTS,
    WEB_PORTS,
    Commands,
    WrongSetting,
    read_plan,
    shared_environment,
)
from console.launch.ports import free_port
from console.launch.roles import fill_variables
from console.launch.run import AlreadyRuns, check_ports, only_launcher
from console.launch.schema import is_migrated, migrations_on_disk, remember_migrated
from tests.installation import wait_for

DATABASE_URLS = {
    "DATABASE_URL": "postgresql://owner:secret-o@db/bailey",
    "DATABASE_URL_CONSOLE": "postgresql://console:secret-c@db/bailey",
    "DATABASE_URL_PORTAL": "postgresql://portal:secret-p@db/bailey",
    "DATABASE_URL_WORKER": "postgresql://worker:secret-w@db/bailey",
    "REDIS_URL": "redis://cache/0",
}


@pytest.mark.parametrize(
    ("variable", "kind"),
    [
        ("CONSOLE_PORT", socket.SOCK_STREAM),
        ("GATE_PORT", socket.SOCK_STREAM),
        ("SANDBOX_DNS_PORT", socket.SOCK_DGRAM),
    ],
)
def test_a_taken_port_is_named_with_its_variable(variable, kind, tmp_path, monkeypatch):
    monkeypatch.setattr("console.launch.run.PORTS_FREE_WITHIN_S", 0.0)
    ports = {name: str(free_port()) for name in (*WEB_PORTS, *SANDBOX_PORTS)}
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        ports[variable] = str(other.getsockname()[1])
        with pytest.raises(WrongSetting, match=rf"port {ports[variable]} .*make run {variable}="):
            check_ports(read_plan(ports, tmp_path))
    check_ports(read_plan(ports, tmp_path))


@pytest.mark.parametrize("value", ["eighty", "0", "70000", "-1", "8000 "])
def test_a_port_that_is_none_is_named(value, tmp_path):
    with pytest.raises(WrongSetting, match=r"CONSOLE_PORT is .* like 8000"):
        read_plan({"CONSOLE_PORT": value}, tmp_path)


@pytest.mark.parametrize("variable", ["DEMO", "DEMO_MAIL"])
def test_a_switch_is_0_or_1(variable, tmp_path):
    with pytest.raises(WrongSetting, match=f"{variable} is 'maybe'; it should be 0 or 1"):
        read_plan({variable: "maybe"}, tmp_path)
    assert not read_plan({variable: "0"}, tmp_path).has_demo_mail
    assert read_plan({variable: "1"}, tmp_path).has_demo_mail


def test_two_of_ours_on_one_port_are_named(tmp_path):
    with pytest.raises(WrongSetting, match="PORTAL_PORT and CONSOLE_PORT are both 8000"):
        read_plan({"PORTAL_PORT": "8000"}, tmp_path)


def test_without_demo_there_is_no_sandbox_and_no_xclient(tmp_path):
    plan = read_plan({"DEMO": "0"}, tmp_path)
    shared = shared_environment(plan, installation_secrets(tmp_path), DATABASE_URLS)
    assert not [name for name in shared if name.startswith("BAILEY_SANDBOX")]
    assert shared["BAILEY_GATE_XCLIENT"] == "0"
    assert shared["BAILEY_DNS"] == ""


def test_a_database_from_outside_needs_all_logins(tmp_path):
    given = {name: url for name, url in DATABASE_URLS.items() if name != "DATABASE_URL_PORTAL"}
    with pytest.raises(WrongSetting, match="DATABASE_URL_PORTAL must be, too: like postgresql://"):
        read_plan(given, tmp_path)
    plan = read_plan(DATABASE_URLS, tmp_path)
    assert not plan.has_own_database
    assert not plan.has_own_broker


def test_each_process_gets_its_own_login_only(tmp_path):
    plan = read_plan({}, tmp_path)
    secrets = installation_secrets(tmp_path)
    commands = Commands(plan, shared_environment(plan, secrets, DATABASE_URLS))
    known = {
        command.name: {
            name
            for name in ("secret-o", "secret-c", "secret-p", "secret-w")
            if any(name in value for value in command.env.values())
        }
        for command in (
            *map(commands.web, ("console", "portal", "ingest")),
            commands.worker(),
            commands.beat(),
            commands.gate(),
            commands.ship(),
            commands.sandbox(),
            commands.manage("migrate", "migrate"),
        )
    }
    assert known == {
        "console": {"secret-c"},
        "portal": {"secret-p"},
        "ingest": {"secret-w"},
        "worker": {"secret-w"},
        "beat": {"secret-w"},
        "gate": set(),
        "ship": set(),
        "sandbox": set(),
        "migrate": {"secret-o", "secret-c", "secret-p", "secret-w"},
    }
    assert "BAILEY_MASTER_KEY" not in commands.gate().env
    assert "SECRET_KEY" not in commands.sandbox().env


def test_django_settings_from_outside_reach_the_children(tmp_path):
    given = {"BAILEY_HOSTS": "soc.north.example", "BAILEY_OUTGOING_HOSTS": "cloud.example:8443"}
    plan = read_plan({"DEMO": "0", **DATABASE_URLS, **given}, tmp_path)
    shared = shared_environment(plan, installation_secrets(tmp_path), DATABASE_URLS)
    console = Commands(plan, shared).web("console").env
    assert {name: console[name] for name in given} == given
    assert "BAILEY_DEBUG" not in console


def test_the_demos_cloud_stays_within_reach_beside_other_hosts(tmp_path):
    given = {"BAILEY_OUTGOING_HOSTS": "imap.example:993"}
    plan = read_plan(given, tmp_path)
    shared = shared_environment(plan, installation_secrets(tmp_path), DATABASE_URLS)
    sandbox = plan.address("SANDBOX_HTTPS_PORT")
    assert shared["BAILEY_OUTGOING_HOSTS"] == f"{sandbox},imap.example:993"


def test_secrets_are_private_and_stay(tmp_path):
    first = installation_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert installation_secrets(tmp_path) == first
    assert len(bytes.fromhex(first["BAILEY_MASTER_KEY"])) == 32

    path.write_text(json.dumps({"SECRET_KEY": "kept"}))
    again = installation_secrets(tmp_path)
    assert again["SECRET_KEY"] == "kept"
    assert again["valkey"] != first["valkey"]


def test_a_second_launcher_on_the_same_data_is_refused(tmp_path):
    refused = pytest.raises(AlreadyRuns, match=rf"process {os.getpid()}\).*BAILEY_VAR=")
    with only_launcher(tmp_path), refused:
        only_launcher(tmp_path).__enter__()
    with only_launcher(tmp_path):
        pass


def test_clean_data_removes_everything_but_not_while_it_runs(tmp_path):
    var, elsewhere = tmp_path / "var", tmp_path / "elsewhere"
    (elsewhere / "postgres").mkdir(parents=True)
    var.mkdir()
    (var / "postgres").symlink_to(elsewhere / "postgres")
    with (var / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            clean(var)
    assert (elsewhere / "postgres").exists()
    clean(var)
    assert not var.exists()
    assert not elsewhere.exists()
    assert "no data" in clean(var)


def test_variables_of_the_roles_file_are_quoted():
    filled = fill_variables("ALTER ROLE a PASSWORD :'the_word';", {"the_word": "it's"})
    assert filled.as_string(None) == "ALTER ROLE a PASSWORD 'it''s';"
    with pytest.raises(KeyError):
        fill_variables("SELECT :'unknown'", {})


def test_the_demo_is_set_up_again_only_when_something_of_it_changed(tmp_path):
    plan = read_plan({}, tmp_path)
    (tmp_path / "sandbox").mkdir()
    assert last_answer(plan) is None
    remember_answer(plan, {"api_token": "t"})
    assert (tmp_path / "demo-setup.json").stat().st_mode & 0o777 == 0o600
    assert last_answer(plan) == {"api_token": "t"}
    assert last_answer(read_plan({"SANDBOX_SMTP_PORT": "2600"}, tmp_path)) is None
    assert last_answer(read_plan(DATABASE_URLS, tmp_path)) is None
    forget_answer(plan)
    assert last_answer(plan) is None


def test_the_last_json_object_of_an_output_is_found():
    output = 'Made 3 clients.\n{"old": 1}\nwarning\n{\n "people": [],\n "api_token": "t"\n}\n'
    assert last_json(output) == {"people": [], "api_token": "t"}
    with pytest.raises(ValueError, match="no JSON object"):
        last_json("nothing here")


def test_a_rotated_log_is_kept_once(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "LOG_ROTATE_BYTES", 10)
    log = tmp_path / "gate.log"
    log.write_text("an old and long log\n")
    command = process.Command(name="gate", argv=(sys.executable, "-c", "print('new')"), log=log)
    started = process.Process(command)
    started.end(10)
    assert log.read_text() == "new\n"
    assert Path(tmp_path / "gate.old.log").read_text() == "an old and long log\n"


def test_a_log_is_trimmed_while_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "LOG_ROTATE_BYTES", 10)
    log = tmp_path / "worker.log"
    code = "import time\nfor n in range(9999): print(f'line {n}', flush=True); time.sleep(0.01)"
    command = process.Command(name="worker", argv=(sys.executable, "-c", code), log=log)
    running = process.Process(command)
    try:
        wait_for(lambda: "line 9\n" in log.read_text(), 20)
        running.trim_log()
        wait_for(lambda: "line 2" in log.read_text(), 20)
    finally:
        running.stop()
    assert (tmp_path / "worker.old.log").read_text().startswith("line 0\n")
    assert log.read_bytes().startswith(b"line ")
    assert "line 0\n" not in log.read_text()


def test_migrate_is_left_out_only_when_nothing_can_be_pending(services, tmp_path):
    plain = os.environ["DATABASE_URL"]
    url = f"{plain}?options=-csearch_path%3Dscratch"
    stamp = tmp_path / "migrated"
    assert not is_migrated(url, stamp)
    remember_migrated(stamp)
    assert not is_migrated(url, stamp), "there is no table of migrations yet"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA scratch")
        connection.execute("CREATE TABLE django_migrations (app text, name text)")
        try:
            with connection.cursor() as cursor:
                rows = sorted(migrations_on_disk())
                cursor.executemany("INSERT INTO django_migrations VALUES (%s, %s)", rows)
            assert is_migrated(url, stamp)
            connection.execute("DELETE FROM django_migrations WHERE app = 'tenants'")
            assert not is_migrated(url, stamp)
        finally:
            connection.execute("DROP SCHEMA scratch CASCADE")
