"""Whether `migrate` can be left out: it takes seconds of every start and mostly finds nothing.

It is left out only if the database lists every migration of ours, and the packages (whose own
migrations we do not read) are those of the last `migrate`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg

from console.launch.keys import write_private
from console.launch.plan import ROOT


def _packages() -> str:
    return hashlib.sha256((ROOT / "requirements.txt").read_bytes()).hexdigest()


def migrations_on_disk(root: Path = ROOT) -> set[tuple[str, str]]:
    """App label and name of each migration of ours."""
    files = root.glob("*/migrations/[0-9]*.py")
    return {(file.parent.parent.name, file.stem) for file in files}


def is_migrated(owner_url: str, stamp: Path) -> bool:
    if not stamp.exists() or stamp.read_text() != _packages():
        return False
    with psycopg.connect(owner_url) as connection:
        try:
            rows = connection.execute("SELECT app, name FROM django_migrations").fetchall()
        except psycopg.errors.UndefinedTable:
            return False
    return migrations_on_disk() <= set(rows)


def remember_migrated(stamp: Path) -> None:
    write_private(stamp, _packages())
