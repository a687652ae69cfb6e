"""The real thing: `python -m console.launch run` with the real processes, without the demo."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request

import psycopg
import pytest

from tests.installation import ROOT, Installation, is_alive, wait_for

PROCESSES = {"console", "portal", "ingest", "gate", "ship", "worker", "beat", "postgres", "valkey"}


@pytest.fixture
def installation(tmp_path):
    made = Installation(tmp_path, DEMO="0")
    yield made
    made.remove()


def is_healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.crash
def test_it_starts_survives_deaths_keeps_its_data_and_leaves_nothing(installation):
    facts = installation.start()
    assert set(facts["pids"]) == PROCESSES
    for name in ("run.json", "environment.json", "secrets.json"):
        assert (installation.var / name).stat().st_mode & 0o777 == 0o600
    assert is_healthy(facts["console"])
    assert is_healthy(facts["portal"])
    with psycopg.connect(installation.setting("DATABASE_URL")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")

    installation.kill("postgres")
    wait_for(lambda: "postgres runs again" in installation.said(), 90, "postgres")
    installation.kill("gate")
    wait_for(lambda: "gate runs again" in installation.said(), 90, "the gate")
    now = installation.facts()["pids"]
    renewed = {name for name in PROCESSES if now[name] != facts["pids"][name]}
    assert renewed == {"postgres", "gate"}, installation.said()
    wait_for(lambda: is_healthy(facts["console"]), 30, "the console")

    second = [sys.executable, "-m", "console.launch", "run"]
    refused = subprocess.run(
        second, cwd=ROOT, env=installation.environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "Bailey runs already" in refused.stderr

    assert installation.end(signal.SIGINT) == 0
    assert not any(map(is_alive, now.values()))
    assert not (installation.var / "run.json").exists()

    again = installation.start()
    with psycopg.connect(installation.setting("DATABASE_URL")) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    installation.end(signal.SIGKILL)
    wait_for(lambda: not any(map(is_alive, again["pids"].values())), 30, "the children's end")
