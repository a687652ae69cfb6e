"""Getting a part's packages from Debian, without letting any of them start by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from console.gateway_parts import PartMissing

POLICY = Path("/usr/sbin/policy-rc.d")
_MARK = "# Bailey, while it installs packages; may be removed\n"
_LOCK_TIMEOUT_S = 300
# Debian would ask what kind of mail server this is to be; ours has its configuration elsewhere.
_ANSWERS = "postfix postfix/main_mailer_type select No configuration\n"


def may_install() -> bool:
    """Root on Debian, where it may write: a unit of systemd (``ProtectSystem``) may not."""
    is_writable = os.access(POLICY.parent, os.W_OK)
    return os.geteuid() == 0 and is_writable and shutil.which("apt-get") is not None


def is_installed(package: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    done = subprocess.run(
        ("dpkg-query", "-W", "-f=${db:Status-Status}", package),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout == "installed"


def install(packages: Sequence[str]) -> list[str]:
    """Installs those that are not there; which they were.  Raises ``PartMissing``."""
    missing = [each for each in packages if not is_installed(each)]
    if not missing:
        return []
    if not may_install():
        names = " ".join(missing)
        raise PartMissing(f"not installed: {names} (as root on Debian: apt-get install {names})")
    apt = ("apt-get", "-qq", f"-oDPkg::Lock::Timeout={_LOCK_TIMEOUT_S}")
    with _nothing_starts():
        if shutil.which("debconf-set-selections"):
            _run(("debconf-set-selections",), words=_ANSWERS)
        _run((*apt, "update"))
        _run((*apt, "install", "--yes", "--no-install-recommends", *missing))
    _disable(missing)
    return missing


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Debian starts what it installs, unless this file says no."""
    is_ours = not POLICY.exists() or _MARK in POLICY.read_text(errors="replace")
    if is_ours:
        POLICY.write_text(f"#!/bin/sh\n{_MARK}exit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if is_ours:
            POLICY.unlink(missing_ok=True)


def _disable(packages: Sequence[str]) -> None:
    """Nor shall they start with the machine."""
    if not Path("/run/systemd/system").is_dir():
        return
    for package in packages:
        listed = _run(("dpkg-query", "-L", package)).splitlines()
        units = [Path(each).name for each in listed if each.endswith((".service", ".socket"))]
        if units:
            subprocess.run(("systemctl", "disable", *units), capture_output=True, check=False)


def _run(argv: Sequence[str], *, words: str | None = None) -> str:
    done = subprocess.run(
        argv,
        input=words,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode != 0:
        raise PartMissing(f"{' '.join(argv)} failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout
