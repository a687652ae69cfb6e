"""Who runs the database: PostgreSQL refuses root, so root hands it to an unprivileged account."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged account of this machine."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """`postgres`, else `nobody`, when we are root; None when we are not.

    Raises LookupError when root finds neither.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise LookupError("root needs an account `postgres` or `nobody` to run the database")


def can_run(account: Account | None, *argv: str) -> bool:
    """Whether the account can start this program (its folders may be closed to others)."""
    try:
        done = subprocess.run(
            argv,
            cwd="/",
            capture_output=True,
            timeout=30,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError:
        return False
    return done.returncode == 0


def can_enter(account: Account | None, folder: Path) -> bool:
    """Whether the account may look into `folder` through all folders above it."""
    return can_run(account, "/usr/bin/test", "-x", str(folder))
