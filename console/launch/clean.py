"""`make clean-data`: remove var/ and what root keeps of it elsewhere; standard library only."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

LOCK_NAME = "launcher.lock"


def var_folder() -> Path:
    """Where this installation keeps its data: BAILEY_VAR, else var/ in the repository."""
    given = os.environ.get("BAILEY_VAR")
    return Path(given).absolute() if given else Path(__file__).resolve().parents[2] / "var"


def clean(var: Path) -> str:
    """Remove the data; the words for the person. Raises BlockingIOError while it runs."""
    if not var.exists():
        return f"There is no data in {var}."
    with (var / LOCK_NAME).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        database = var / "postgres"
        if database.is_symlink():  # see pglocal: root keeps it where the server's account may read
            shutil.rmtree(database.readlink().parent, ignore_errors=True)
        parts = var / "gateway"
        if parts.is_symlink():  # as above, for Postfix (gateway_parts/prepare.py)
            shutil.rmtree(parts.readlink(), ignore_errors=True)
        shutil.rmtree(var)
    return f"Removed {var}."


def main() -> int:
    try:
        print(clean(var_folder()))
    except BlockingIOError:
        print("Bailey is running: stop it first (Ctrl-C where it runs).", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
