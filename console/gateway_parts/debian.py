"""Programs of Debian packages: those that are installed, or unpacked into a folder without root.

    python -m console.gateway_parts.debian rspamd clamav-daemon

unpacks them for whoever starts the gateway without root: the packages, and the libraries they need
that this machine lacks, by apt's own signed lists in a folder of ours. Nothing is installed, no
service starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from console.gateway_parts import PartMissing
from console.launch.account import Account, can_enter, unprivileged_account

WITHIN_S = 300.0
_DOWNLOADED = "archives"


@dataclass(frozen=True, slots=True)
class Programs:
    """Where a package's files are: `root` is / where it is installed."""

    root: Path

    def path(self, inside: str) -> str:
        return str(self.root / inside)

    def has(self, inside: str) -> bool:
        return os.access(self.root / inside, os.X_OK)

    def version(self, inside: str, *options: str) -> str:
        """What the program says of itself.  Raises PartMissing where it does not run."""
        argv = [self.path(inside), *options, "--version"]
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                text=True,
                check=False,
                timeout=30.0,
                env=self.environment(),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PartMissing(f"{argv[0]} does not run: {error}") from error
        if done.returncode != 0:
            raise PartMissing(f"{argv[0]} does not run: {done.stderr.strip()[-200:]}")
        return done.stdout.strip().splitlines()[0]

    def argv(self, inside: str, *arguments: str) -> tuple[str, ...]:
        """With its environment, for whoever starts it without."""
        pairs = (f"{name}={value}" for name, value in self.environment().items())
        return ("/usr/bin/env", *pairs, self.path(inside), *arguments)

    def environment(self) -> dict[str, str]:
        """A clean one; unpacked programs find their libraries by it."""
        plain = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        if self.root == Path("/"):
            return plain
        libraries = [self.root / "usr/lib/rspamd", *self.root.glob("usr/lib/*-linux-gnu")]
        libraries += self.root.glob("lib/*-linux-gnu")
        return plain | {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}

    def rspamd_folders(self) -> dict[str, Path]:
        """The variables of an Rspamd that does not lie where it was built for."""
        if self.root == Path("/"):
            return {}
        share = self.root / "usr/share/rspamd"
        return {
            "CONFDIR": self.root / "etc/rspamd",
            "SHAREDIR": share,
            "PLUGINSDIR": share / "plugins",
            "RULESDIR": share / "rules",
            "LUALIBDIR": share / "lualib",
            "WWWDIR": share / "www",
        }


def unpacked_folder(package: str) -> Path:
    """Where this account's unpacked packages are."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "bailey" / package


def account_for(folder: Path) -> Account | None:
    """Who runs an engine whose files are in `folder`; None: whoever starts it.

    Raises PartMissing where root's unprivileged account cannot get there.
    """
    try:
        account = unprivileged_account()
    except LookupError as error:
        raise PartMissing(str(error)) from error
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    if account is not None and not can_enter(account, there):
        raise PartMissing(
            f"{account.name}, who runs the engines for root, cannot get into {there}: let the "
            "gateway's folder lie elsewhere"
        )
    return account


def find_programs(program: str, unpacked: Path) -> Programs | None:
    """`program` is like usr/bin/rspamd: of the system, else what lies in the folder `unpacked`."""
    for root in (Path("/"), unpacked):
        found = Programs(root)
        if found.has(program):
            return found
    return None


def unpack(packages: Sequence[str], folder: Path) -> Programs:
    """Fetch the packages with what they need and unpack them into `folder`.  Raises PartMissing."""
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise PartMissing(f"there is no {tool} here: install {' '.join(packages)} yourself")
    work = folder.with_name(folder.name + ".new")
    shutil.rmtree(work, ignore_errors=True)
    (work / "lists" / "partial").mkdir(parents=True)
    (work / _DOWNLOADED / "partial").mkdir(parents=True)
    options = _options(work)
    _run(["apt-get", *options, "--quiet=2", "update"])
    # Also where it is installed, and only broken or unreadable for us.
    fetch = ["--yes", "--no-install-recommends", "--download-only", "--reinstall", "install"]
    _run(["apt-get", *options, "--quiet=2", *fetch, *packages])
    root = work / "root"
    for archive in sorted((work / _DOWNLOADED).glob("*.deb")):
        _run(["dpkg", "--extract", str(archive), str(root)])
    shutil.rmtree(folder, ignore_errors=True)
    root.rename(folder)
    shutil.rmtree(work)
    return Programs(folder)


def _options(work: Path) -> list[str]:
    """apt over lists and archives of our own; what is installed is still left out."""
    settings = {
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work,
        "Dir::Cache::archives": work / _DOWNLOADED,
        "Dir::Log": work,
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
        "APT::Keep-Downloaded-Packages": "true",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PartMissing(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise PartMissing(f"{argv[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}")


def main(packages: list[str]) -> int:
    if not packages:
        sys.stderr.write("name the packages: python -m console.gateway_parts.debian rspamd\n")
        return 2
    try:
        for package in packages:
            programs = unpack([package], unpacked_folder(package))
            sys.stdout.write(f"{package} is in {programs.root}\n")
    except PartMissing as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
