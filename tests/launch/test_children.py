"""Children are started again and said so, never outlive the launcher, and stop in order.

The children here are tiny stand-ins; test_run.py starts the real ones.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from console.launch.children import Child, Children, Stopped
from console.launch.process import Command, DidNotStart, Process
from console.launch.say import Step

ROOT = Path(__file__).resolve().parents[2]


def python(name: str, code: str, folder: Path, **options) -> Command:
    argv = (sys.executable, "-c", textwrap.dedent(code))
    return Command(name=name, argv=argv, log=folder / f"{name}.log", **options)


def says_ready(process: Process) -> bool:
    return "ready" in process.log_since_start()


@pytest.fixture
def children():
    watched = Children()
    yield watched
    watched.stop([])


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return str(state) not in ("Z", "X")


def wait_for(condition, within_s: float = 10.0) -> bool:
    give_up_at = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.05)
    return True


SLEEPER = "import time; print('ready', flush=True); time.sleep(600)"


def test_a_killed_child_is_started_again_and_said_so(children, tmp_path, capsys):
    children.start(Child(command=python("gate", SLEEPER, tmp_path), is_ready=says_ready))
    children.wait_until_ready(["gate"], Step("starting"), within_s=10)
    first = children.pids()["gate"]
    os.kill(first, signal.SIGKILL)

    def runs_again():
        children.tick()
        return children.pids().get("gate", first) != first

    assert wait_for(runs_again)
    children.wait_until_ready(["gate"], Step("starting"), within_s=10)
    said = capsys.readouterr().out
    assert "gate was killed by SIGKILL, starting it again" in said
    assert f"gate runs again (pid {children.pids()['gate']})" in said


def test_a_child_that_never_starts_ends_the_launch_with_its_last_lines(children, tmp_path):
    broken = "import sys; print('the disk is full'); sys.exit(3)"
    children.start(Child(command=python("worker", broken, tmp_path), is_ready=says_ready))
    with pytest.raises(DidNotStart, match=r"worker ended with exit code 3(.|\n)*the disk is full"):
        children.wait_until_ready(["worker"], Step("starting"), within_s=20)


def test_wrong_settings_end_the_launch_at_the_first_try(children, tmp_path, capsys):
    wrong = "import sys; print('BAILEY_GATE_LISTEN should be host:port'); sys.exit(2)"
    children.start(Child(command=python("gate", wrong, tmp_path), is_ready=says_ready))
    with pytest.raises(DidNotStart, match="BAILEY_GATE_LISTEN should be host:port"):
        children.wait_until_ready(["gate"], Step("starting"), within_s=20)
    assert "starting it again" not in capsys.readouterr().out


def test_a_silent_child_ends_the_launch_in_time(children, tmp_path):
    silent = "import time; time.sleep(600)"
    children.start(Child(command=python("ship", silent, tmp_path), is_ready=says_ready))
    with pytest.raises(DidNotStart, match="ship was not ready after 1 s"):
        children.wait_until_ready(["ship"], Step("starting"), within_s=1)


def test_waves_stop_one_after_the_other(children, tmp_path):
    order = tmp_path / "order"
    code = """
        import signal, sys, time
        def end(*_):
            time.sleep({delay})
            open({order!r}, "a").write("{name} ")
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("ready", flush=True)
        time.sleep(600)
    """
    for name, delay in (("postgres", 0), ("gate", 0.6), ("console", 0.3)):
        command = python(name, code.format(delay=delay, order=str(order), name=name), tmp_path)
        children.start(Child(command=command, is_ready=says_ready))
    children.wait_until_ready(["postgres", "gate", "console"], Step("starting"), within_s=10)
    children.stop([["gate"], ["console"], ["postgres"]])
    assert order.read_text().split() == ["gate", "console", "postgres"]
    assert children.pids() == {}


def test_a_child_deaf_to_stop_is_killed_with_what_it_started(children, tmp_path):
    grandchild = tmp_path / "grandchild"
    code = f"""
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open({str(grandchild)!r}, "w").write(str(started.pid))
        print("ready", flush=True)
        time.sleep(600)
    """
    command = python("deaf", code, tmp_path, stop_within_s=0.5)
    children.start(Child(command=command, is_ready=says_ready))
    children.wait_until_ready(["deaf"], Step("starting"), within_s=10)
    pids = [children.pids()["deaf"], int(grandchild.read_text())]
    children.stop([])
    assert wait_for(lambda: not any(map(is_alive, pids)))


def test_asking_to_stop_interrupts_waiting(children, tmp_path):
    children.start(Child(command=python("gate", SLEEPER, tmp_path), is_ready=lambda _: False))
    children.ask_stop()
    with pytest.raises(Stopped):
        children.wait_until_ready(["gate"], Step("starting"), within_s=10)


def test_a_failing_command_is_shown_with_its_last_lines(children, tmp_path):
    failing = python("migrate", "raise SystemExit('no such table')", tmp_path)
    with pytest.raises(DidNotStart, match=r"migrate ended with exit code 1:\n +no such table"):
        children.run_once(failing, Step("migrating"))


@pytest.mark.crash
def test_killing_the_launcher_leaves_no_child(tmp_path):
    """One child is deaf to SIGTERM: only what the kernel does by itself can end it."""
    launcher = f"""
        import sys
        from pathlib import Path
        from console.launch.children import Child, Children
        from console.launch.process import Command
        from console.launch.say import Step
        deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + {SLEEPER!r}
        children = Children()
        for name, code in (("gate", {SLEEPER!r}), ("worker", deaf)):
            command = Command(name=name, argv=(sys.executable, "-c", code),
                              log=Path({str(tmp_path)!r}) / name)
            children.start(Child(command=command,
                                 is_ready=lambda p: "ready" in p.log_since_start()))
        children.wait_until_ready(["gate", "worker"], Step("starting"), within_s=20)
        print(*children.pids().values(), flush=True)
        while True:
            children.tick()
    """
    argv = [sys.executable, "-c", textwrap.dedent(launcher)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        process.kill()
        assert wait_for(lambda: not any(map(is_alive, pids)))
