"""The tests' database as migrating leaves it: made once, copied by every process of tests.

Migrating takes ten seconds of a processor, copying what it made a fraction of one.  What is kept is
the stopped server's data folder, under a name that changes with everything that migrating reads.
`python -m tests.made_database` makes it and says where it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from console.launch.keys import write_private
from console.launch.pglocal import LocalPostgres, find_binaries, is_passing_trouble
from console.launch.ports import free_port
from console.launch.process import start_ready
from console.launch.roles import LOGINS, OWNER, ensure_database, ensure_roles
from console.launch.schema import remember_migrated

ROOT = Path(__file__).resolve().parents[1]
# The tests' own, and the same for a whole installation.
NAME, INSTALLATIONS = "test_bailey", "bailey"
READ = ("*/migrations/*.py", "*/models/*.py", "*/models.py", "tenants/*.py", "console/settings.py")
READ_TOO = ("deploy/roles.sql", "requirements.txt", "tests/made_database.py")
KEPT_AT_MOST = 4  # of other states of the code, for whoever goes back and forth
YOUNG_S = 3600.0  # made, or begun to be copied


@dataclass(frozen=True, slots=True)
class MadeDatabase:
    """`data`: the folder of a server that was stopped in order; `password`: its superuser's."""

    data: Path
    password: str


def made_database() -> MadeDatabase:
    """Makes it where it is missing; whoever comes meanwhile waits.

    Raises what the server or migrating says.
    """
    home = _homes() / f"{_prefix()}{_key()}"
    with _alone(home):
        if not home.is_dir():
            _make(home)
            _remove_others(home)
        os.utime(home)
    return MadeDatabase(home / "data", (home / "password").read_text())


def copy_data(made: MadeDatabase, postgres: LocalPostgres) -> None:
    """Into the folder of a server that has none yet, with owner and rights."""
    folder = postgres.data_folder()
    subprocess.run(["cp", "-Rp", made.data, folder], check=True)


def give_database(var: Path) -> None:
    """An installation's folder that nothing was started in yet: it begins with all tables made."""
    made = made_database()
    postgres = LocalPostgres(
        var / "postgres", port=free_port(), password=made.password, log=var / "postgres.log"
    )
    copy_data(made, postgres)
    write_private(var / "secrets.json", json.dumps({"postgres": made.password}))
    remember_migrated(var / "migrated")


def _homes() -> Path:
    return Path(tempfile.gettempdir())


def _prefix() -> str:
    return f"bailey-database-{os.getuid()}-"


def _key() -> str:
    found = hashlib.sha256(find_binaries().origin.encode())
    paths = {path for pattern in READ for path in ROOT.glob(pattern)}
    for path in (*sorted(paths), *(ROOT / name for name in READ_TOO)):
        found.update(f"{path.relative_to(ROOT)}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(home: Path) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=f"{home.name}.new-"))
    try:
        scratch.chmod(0o711 if os.geteuid() == 0 else 0o700)  # root's server is another account's
        password = secrets.token_hex(24)
        postgres = LocalPostgres(
            scratch / "postgres",
            port=free_port(),
            password=password,
            log=scratch / "postgres.log",
            is_durable=False,
        )
        postgres.prepare()
        _migrate(postgres)
        (scratch / "password").write_text(password)
        (scratch / "password").chmod(0o600)
        data = postgres.data_folder()
        if (scratch / "postgres").is_symlink():
            (scratch / "postgres").unlink()
        shutil.move(data, scratch / "data")
        scratch.rename(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _migrate(postgres: LocalPostgres) -> None:
    running = start_ready(postgres.command(), postgres.is_ready, try_again=is_passing_trouble)
    try:
        passwords = {login: secrets.token_hex(24) for login in LOGINS}
        ensure_roles(postgres.superuser_url(), passwords)
        ensure_database(postgres.superuser_url(), NAME)
        url = postgres.url(OWNER, passwords[OWNER], NAME)
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0"],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": url, "BAILEY_SURFACE": "owner"},
            check=True,
        )
        with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {INSTALLATIONS} TEMPLATE {NAME} OWNER {OWNER}")
    finally:
        running.stop()


def _remove_others(home: Path) -> None:
    """All but the newest, and what makers left that were killed.  What is young stays: others may
    be at work in it, with as many checkouts as there are.
    """
    others = [path for path in _homes().glob(f"{_prefix()}*") if path.is_dir() and path != home]
    aged = sorted(((path.stat().st_mtime, path) for path in others), reverse=True)
    for touched_at, path in aged[KEPT_AT_MOST:]:
        if touched_at < time.time() - YOUNG_S:
            shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    import tests.services  # noqa: F401 - puts addresses and secrets into the environment

    print(made_database().data)
