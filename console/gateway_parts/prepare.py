"""A part's plan becomes files on disk, checked by the part's own program."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from console.gateway_parts import Part, PartMissing, PartPlan, PartSettings
from console.gateway_parts.install import install, may_install
from console.launch.account import Account, can_enter
from console.launch.pglocal import SHARED_HOME

_CHECK_TIMEOUT_S = 120


class BadConfiguration(Exception):
    """The part's own program does not accept what we wrote; its words."""


def find_or_install(part: Part) -> str:
    """What ``part.find`` says, after installing its packages where that is possible and needed.

    Raises ``PartMissing``.
    """
    try:
        return part.find()
    except PartMissing:
        if not may_install() or not part.packages:
            raise
    install(part.packages)
    return part.find()


def gateway_home(var: Path, accounts: Sequence[Account]) -> Path:
    """The folder of all parts: in ``var``, or elsewhere if one of the accounts can't get there."""
    home = var / "gateway"
    if home.is_symlink():
        return home.readlink()
    var.mkdir(parents=True, exist_ok=True)
    if home.exists() or all(can_enter(account, var) for account in accounts):
        home.mkdir(exist_ok=True)
        home.chmod(0o755)
        return home
    SHARED_HOME.mkdir(parents=True, exist_ok=True)
    SHARED_HOME.chmod(0o755)
    target = Path(tempfile.mkdtemp(prefix="gateway-", dir=SHARED_HOME))
    target.chmod(0o755)
    home.symlink_to(target)
    return target


def prepare(part: Part, settings: PartSettings) -> PartPlan:
    """Writes and checks.  Raises ``PartMissing``, ``BadConfiguration`` or ``OSError``."""
    plan = part.plan(settings)
    for folder in plan.folders:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.path.chmod(folder.mode)
        _give(folder.path, folder.owner)
    for file in plan.files:
        if file.is_kept and file.path.exists():
            continue
        scratch = file.path.with_name(file.path.name + ".new")
        scratch.touch(mode=0o600)
        scratch.write_text(file.text)
        scratch.chmod(file.mode)
        _give(scratch, file.owner)
        scratch.replace(file.path)
    for argv in (*plan.prepare, plan.check):
        _run(part.name, argv)
    return plan


def check_apart(part: Part, settings: PartSettings) -> None:
    """The same in a scratch folder: what is there, and may be running, stays as it is."""
    with tempfile.TemporaryDirectory(prefix="bailey-check-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        prepare(part, _elsewhere(settings, folder))


def _elsewhere(settings: PartSettings, folder: Path) -> PartSettings:
    return PartSettings(
        folder=folder,
        logs=folder / "log",
        hostname=settings.hostname,
        ports=settings.ports,
        host=settings.host,
        dns=settings.dns,
        takes_xclient=settings.takes_xclient,
    )


def _give(path: Path, owner: Account | None) -> None:
    if owner is not None and os.geteuid() == 0:
        os.chown(path, owner.uid, owner.gid)


def _run(name: str, argv: Sequence[str]) -> None:
    environment: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            timeout=_CHECK_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadConfiguration(f"{name}: {argv[0]}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip()[-1500:]
        raise BadConfiguration(f"{name}: {' '.join(argv)} failed:\n{said}")
