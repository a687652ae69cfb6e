"""What tests stand on: commands with the tests' settings, and the database that is made once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import made_database

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
try:
    print(os.getpid(), flush=True)
    time.sleep(60)
finally:
    time.sleep(0.5)
    open(sys.argv[1], "w").write("ended in order")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_told_to_end_ends_the_command_in_order(tmp_path: Path, number: signal.Signals):
    said = tmp_path / "said"
    argv = (sys.executable, "-m", "tests.services", "--no-servers")
    command = subprocess.Popen(
        [*argv, sys.executable, "-c", CHILD, str(said)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert command.stdout is not None
    child = int(command.stdout.readline())
    with command:
        if number == signal.SIGINT:
            # The terminal tells both.
            os.kill(child, signal.SIGTERM)
        command.send_signal(number)
        assert command.wait(30) == 7
        assert said.read_text() == "ended in order"


def test_others_may_be_making_or_copying_what_is_young(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(made_database, "_homes", lambda: tmp_path)
    prefix, now = made_database._prefix(), time.time()
    ages = {f"{prefix}a.new-x": 1_000.0, f"{prefix}old": 8_000.0, f"{prefix}old.new-y": 9_000.0}
    ages |= {f"{prefix}{number}": float(number) for number in range(6)}
    for name, age_s in ages.items():
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (now - age_s, now - age_s))
    made_database._remove_others(tmp_path / f"{prefix}0")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == ages.keys() - {f"{prefix}old", f"{prefix}old.new-y"}
