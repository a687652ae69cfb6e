"""deploy/bootstrap.py: does nothing when nothing changed, and says what is wrong in words."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path):
    """The files that the bootstrap reads, in a folder of their own, with an installed stamp."""
    (tmp_path / "deploy").mkdir()
    for name in ("deploy/bootstrap.py", "deploy/uv.txt", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    lock = (tmp_path / "requirements.txt").read_bytes()
    stamp = {
        "python": ".".join(map(str, sys.version_info[:2])),
        "requirements.txt": hashlib.sha256(lock).hexdigest(),
    }
    (tmp_path / ".venv" / "bailey-installed.json").write_text(json.dumps(stamp))
    return tmp_path


def bootstrap(folder: Path):
    """Run it where no tool is on PATH, so that any work it tried would fail; nor does it ask
    Debian for a pip, which takes a minute and would not be let to an index either.
    """
    argv = [sys.executable, "-I", str(folder / "deploy" / "bootstrap.py")]
    environment = {"PATH": "/nowhere", "PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "HOME": str(folder)}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)


def load(folder: Path):
    spec = importlib.util.spec_from_file_location("bootstrap", folder / "deploy" / "bootstrap.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bootstrap"] = module
    spec.loader.exec_module(module)
    return module


def test_a_second_run_does_nothing_and_says_nothing(clone):
    started = time.monotonic()
    done = bootstrap(clone)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 2
    assert not (clone / ".venv.lock").exists()


def test_a_changed_lock_is_installed_again(clone):
    module = load(clone)
    assert module.is_current(clone / "requirements.txt")
    (clone / "requirements.txt").write_text("django==5.2.19\n")
    assert not module.is_current(clone / "requirements.txt")


def test_another_python_makes_the_environment_anew(clone):
    stamp = clone / ".venv" / "bailey-installed.json"
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"python": "3.0"}))
    module = load(clone)
    assert not module.is_current(clone / "requirements.txt")
    module.make_venv()
    assert (clone / ".venv" / "pyvenv.cfg").exists()


def test_failing_to_install_is_said_and_leaves_no_stamp(clone):
    (clone / "requirements.txt").write_text("bailey-has-no-such-package==1 --hash=sha256:00\n")
    done = bootstrap(clone)
    assert done.returncode == 1
    assert done.stderr.startswith("Setting up did not work: ")
    stamp = json.loads((clone / ".venv" / "bailey-installed.json").read_text())
    lock = (clone / "requirements.txt").read_bytes()
    assert stamp["requirements.txt"] != hashlib.sha256(lock).hexdigest()


def test_no_network_is_told_from_other_trouble(clone):
    module = load(clone)
    assert module.is_network_trouble("error: dns error: failed to lookup address information")
    assert module.is_network_trouble("[Errno -3] Temporary failure in name resolution")
    assert not module.is_network_trouble("hash mismatch for django==5.2.19")


def test_an_old_python_is_named(clone, monkeypatch):
    module = load(clone)
    monkeypatch.setattr(module.sys, "version_info", (3, 9, 2))
    with pytest.raises(module.Failed, match=r"this is 3\.9\.2 .*make run PYTHON="):
        module.check_python()


def test_the_installer_is_pinned_by_hash(clone):
    lock = (clone / "deploy" / "uv.txt").read_text()
    assert load(clone).wanted_uv() in lock
    assert lock.count("--hash=sha256:") > 5
