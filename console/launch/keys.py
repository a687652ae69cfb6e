"""The installation's secrets: made once, kept in var/secrets.json, readable by the owner only."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from console.launch.roles import LOGINS

_MAKERS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "BAILEY_MASTER_KEY": lambda: secrets.token_hex(32),
    "BAILEY_GATE_SECRET": lambda: secrets.token_hex(32),
    "postgres": lambda: secrets.token_hex(24),
    "valkey": lambda: secrets.token_hex(24),
    **{login: lambda: secrets.token_hex(24) for login in LOGINS},
}


def write_private(path: Path, content: str) -> None:
    """Replace the file in one step; never readable by others, not even for a moment."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)


def installation_secrets(var: Path) -> dict[str, str]:
    """All secrets by name; those that are missing are made and written first."""
    path = var / "secrets.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {name: make() for name, make in _MAKERS.items() if name not in known}
    if missing:
        known |= missing
        write_private(path, json.dumps(known, indent=1) + "\n")
    return known
