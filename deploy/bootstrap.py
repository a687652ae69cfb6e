"""Make .venv and install the hash-locked requirements, from a bare Python and nothing else.

    python3 deploy/bootstrap.py          # what Bailey needs to run
    python3 deploy/bootstrap.py --dev    # what its tests and linters need, too

A second run with nothing changed ends at once: a stamp in .venv holds the hashes of the installed
locks. uv does the installing, itself pinned by hash in deploy/uv.txt; it is fetched by whichever
pip can be had: this Python's, one that ensurepip makes, one on PATH, or the wheel in Debian's
package python3-pip-whl. Where packages come from is left to the configuration of pip and uv.
Standard library only, and this file must be readable by old Pythons to tell them what is wrong.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "bailey-installed.json"
UV_LOCK = ROOT / "deploy" / "uv.txt"
OLDEST_PYTHON = (3, 11)
THIS_PYTHON = ".".join(map(str, sys.version_info[:2]))
SAY_AFTER_S = 1.0
DEBIAN_WHEELS = Path("/usr/share/python-wheels")
SYSTEM_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
)
SIGNS_OF_NO_NETWORK = re.compile(
    r"resolv|resolution|dns error|connection|connect error|timed out|unreachable|network|proxy",
    re.IGNORECASE,
)


class Failed(Exception):
    """What a person has to be told; the words are complete."""


class Progress:
    """One line for what takes longer than a second: rewritten on a terminal, twice elsewhere."""

    def __init__(self, words: str, count: Callable[[], str] = lambda: "") -> None:
        self.words = words
        self.count = count
        self._done = threading.Event()
        self._is_said = False
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def _tell(self) -> None:
        while not self._done.wait(SAY_AFTER_S if not self._is_said else 0.5):
            seconds = int(time.monotonic() - self._started)
            if sys.stdout.isatty():
                print(f"\r{self.words} … {self.count()} {seconds} s\033[K", end="", flush=True)
            elif not self._is_said:
                print(f"{self.words} …", flush=True)
            self._is_said = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._is_said:
            end = "stopped" if error else "done"
            lead = "\r" if sys.stdout.isatty() else ""
            tail = "\033[K" if sys.stdout.isatty() else ""
            seconds = time.monotonic() - self._started
            print(f"{lead}{self.words}: {end} after {seconds:.1f} s{tail}", flush=True)


def run(argv: list[str | Path], env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a tool quietly; its words are in the exception when it fails."""
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            capture_output=True,
            text=True,
            env=env,
            cwd=cwd,
            check=False,
        )
    except OSError as error:
        raise Failed(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise Failed((done.stderr.strip() or done.stdout.strip())[-2000:])
    return done.stdout


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_python() -> None:
    if sys.version_info < OLDEST_PYTHON:
        here = ".".join(map(str, sys.version_info[:3]))
        raise Failed(
            f"Bailey needs Python 3.11 or later and this is {here} ({sys.executable}). "
            "Name another: make run PYTHON=/path/to/python3.11"
        )


def installed() -> dict[str, str]:
    """What the stamp says: the interpreter and the hash of each installed lock."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_current(lock: Path) -> bool:
    stamp = installed()
    return (
        stamp.get(lock.name) == sha256(lock)
        and stamp.get("python") == THIS_PYTHON
        and PYTHON.exists()
    )


def make_venv() -> None:
    """A virtual environment without pip: Debian's Python may lack ensurepip."""
    if PYTHON.exists() and installed().get("python", THIS_PYTHON) == THIS_PYTHON:
        return
    try:
        import venv
    except ImportError as error:
        raise Failed(f"{sys.executable} comes without venv: install python3-venv") from error

    with Progress("Making the virtual environment"):
        try:
            venv.EnvBuilder(with_pip=False, symlinks=True, clear=VENV.exists()).create(VENV)
        except OSError as error:
            raise Failed(f"{VENV} can't be made: {error}") from error


def wanted_uv() -> str:
    """The version that deploy/uv.txt pins."""
    return str(re.findall(r"^uv==([\w.]+)", UV_LOCK.read_text(), re.MULTILINE)[0])


def uv_version(program: str | Path) -> str:
    try:
        return run([program, "--version"]).split()[1]
    except (Failed, IndexError):
        return ""


def pips() -> Iterator[list[str | Path]]:
    """Ways to run a pip, the plainest first; each is tried only if those before it fail."""
    yield [sys.executable, "-m", "pip"]
    try:
        run([PYTHON, "-m", "ensurepip", "--default-pip"])
        yield [PYTHON, "-m", "pip"]
    except Failed:
        pass
    for on_path in filter(None, map(shutil.which, ("pip3", "pip"))):
        yield [on_path]
    for wheel in sorted(DEBIAN_WHEELS.glob("pip-*.whl")):
        yield [sys.executable, wheel / "pip"]
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        with tempfile.TemporaryDirectory(prefix="bailey-pip-") as scratch:
            yield [sys.executable, pip_from_debian(Path(scratch)) / "pip"]


def pip_from_debian(scratch: Path) -> Path:
    """The pip wheel of Debian's python3-pip-whl, unpacked in a folder of ours, not installed."""
    download: list[str | Path] = ["download", "python3-pip-whl"]
    try:
        run(["apt-get", "-qq", "-oAPT::Sandbox::User=root", *download], cwd=scratch)
    except Failed:
        # The system knows no package lists, or old ones: get lists of our own, without root.
        own = own_apt_folders(scratch)
        run(["apt-get", "-qq", *own, "update"])
        run(["apt-get", "-qq", *own, *download], cwd=scratch)
    for package in scratch.glob("*.deb"):
        run(["dpkg-deb", "-x", package, scratch / "root"])
    return next((scratch / "root").rglob("pip-*.whl"))


def own_apt_folders(scratch: Path) -> list[str | Path]:
    state, cache = scratch / "state", scratch / "cache"
    (state / "lists" / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    return [
        f"-oDir::State={state}",
        "-oDir::State::status=/var/lib/dpkg/status",
        f"-oDir::Cache={cache}",
        "-oDebug::NoLocking=1",
        "-oAPT::Sandbox::User=root",
    ]


def uv_by_pip() -> None:
    """Fetch uv into .venv, checked by hash, by the first pip that can."""
    troubles = []
    arguments: list[str | Path] = ["--disable-pip-version-check", "--retries", "2"]
    arguments += ["--require-hashes", "-r", UV_LOCK]
    for pip in pips():
        try:
            command = [*pip, "--python", PYTHON, "install", "--quiet", *arguments]
            run(command, env=tool_environment())
            return
        except Failed as failure:
            troubles.append((pip, str(failure)))
            if is_network_trouble(str(failure)):
                raise
    said = "\n".join(f"  {' '.join(map(str, pip))}: {last_line(text)}" for pip, text in troubles)
    raise Failed(
        "The installer uv could not be fetched: no usable pip. Install python3-pip (or uv "
        f"{wanted_uv()}) and run this again. Tried:\n{said or '  nothing was there to try'}"
    )


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "no words"


def find_uv() -> str | Path:
    """The pinned uv: ours from an earlier run, the one on PATH, else fetched by a pip.

    Without any pip, a uv of another version on PATH serves: it checks the same hashes.
    """
    own, on_path = VENV / "bin" / "uv", shutil.which("uv")
    for program in (own, on_path):
        if program and uv_version(program) == wanted_uv():
            return program
    try:
        with Progress("Fetching the installer uv"):
            uv_by_pip()
    except Failed:
        if on_path and uv_version(on_path):
            return on_path
        raise
    return own


def tool_environment() -> dict[str, str]:
    """For pip and uv: trust what this machine trusts (a company's proxy may have its own CA).

    uv does not read pip's settings, so a mirror or certificate given to pip is passed on.
    """
    env = {**os.environ}
    env.pop("PYTHONPATH", None)
    system_bundle = ssl.get_default_verify_paths().cafile
    for bundle in (*filter(None, [system_bundle]), *map(str, SYSTEM_BUNDLES)):
        if Path(bundle).exists():
            env.setdefault("REQUESTS_CA_BUNDLE", bundle)
            env.setdefault("UV_SYSTEM_CERTS", "1")
    if "PIP_INDEX_URL" in env:
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    if "PIP_CERT" in env:
        env.setdefault("SSL_CERT_FILE", env["PIP_CERT"])
    return env


def install(lock: Path) -> None:
    total = len(re.findall(r"^[\w.-]+(\[[^\]]*\])?==", lock.read_text(), re.MULTILINE))

    def count() -> str:
        return f"{len(list(VENV.glob('lib/python*/site-packages/*.dist-info')))} of {total}"

    uv = find_uv()
    with Progress(f"Installing {total} packages of {lock.name}", count):
        options: list[str | Path] = ["--quiet", "--require-hashes", "--python", PYTHON]
        run([uv, "pip", "install", *options, "-r", lock], env=tool_environment())
    stamp = {**installed(), "python": THIS_PYTHON, lock.name: sha256(lock)}
    fresh = STAMP.with_suffix(".new")
    fresh.write_text(json.dumps(stamp, indent=1) + "\n")
    fresh.replace(STAMP)


def is_network_trouble(text: str) -> bool:
    return SIGNS_OF_NO_NETWORK.search(text) is not None


def bootstrap(lock: Path) -> None:
    check_python()
    if is_current(lock):
        return
    with (ROOT / ".venv.lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if is_current(lock):
            return
        make_venv()
        install(lock)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make .venv with the locked requirements.")
    parser.add_argument("--dev", action="store_true", help="also what tests and linters need")
    lock = ROOT / ("requirements-dev.txt" if parser.parse_args().dev else "requirements.txt")
    try:
        bootstrap(lock)
    except Failed as failure:
        words = str(failure)
        if is_network_trouble(words):
            words = (
                "the package index can't be reached. The network is needed once, for packages; "
                f"PIP_INDEX_URL names a mirror. Then run this again. What was said:\n{failure}"
            )
        print(f"Setting up did not work: {words}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; what is there is used next time.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
