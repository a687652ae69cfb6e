"""Reading settings from the environment: a wrong value stops the process and names the variable."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit


def refuse(variable: str, wanted: str) -> NoReturn:
    """End the process with status 2 and one line that names the variable."""
    sys.stderr.write(f"bailey: {variable} is wrong or missing. It should look like: {wanted}\n")
    raise SystemExit(2)


def text(variable: str, default: str | None = None, *, wanted: str = "some text") -> str:
    value = os.environ.get(variable, default)
    if not value:
        refuse(variable, wanted)
    return value


def optional_text(variable: str) -> str:
    """ "" where it is not set."""
    return os.environ.get(variable, "").strip()


def flag(variable: str, *, default: bool) -> bool:
    value = os.environ.get(variable, "1" if default else "0").strip().lower()
    if value not in ("0", "1", "true", "false", "yes", "no"):
        refuse(variable, "0 or 1")
    return value in ("1", "true", "yes")


def number(variable: str, default: int, *, least: int, most: int) -> int:
    value = os.environ.get(variable, str(default)).strip()
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        refuse(variable, f"a number from {least} to {most}, like {default}")
    return int(value)


def choice(variable: str, choices: tuple[str, ...], default: str) -> str:
    value = os.environ.get(variable, default)
    if value not in choices:
        refuse(variable, " or ".join(choices))
    return value


def secret_bytes(variable: str, default: str | None = None, *, length: int = 32) -> bytes:
    """A secret as hex digits; at least ``length`` bytes."""
    wanted = f"{length * 2} hex digits (python3 -c 'import secrets; print(secrets.token_hex())')"
    try:
        value = bytes.fromhex(text(variable, default, wanted=wanted))
    except ValueError:
        refuse(variable, wanted)
    if len(value) < length:
        refuse(variable, wanted)
    return value


def database(variable: str, default: str | None = None) -> dict[str, object]:
    """Django's settings for a ``postgresql://user:password@host:port/name`` address."""
    wanted = "postgresql://user:password@127.0.0.1:5432/bailey"
    url = text(variable, default, wanted=wanted)
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        refuse(variable, wanted)
    if parts.scheme not in ("postgres", "postgresql") or not parts.hostname or parts.path in "/":
        refuse(variable, wanted)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname,
        "PORT": port,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"application_name": "bailey", "connect_timeout": 10},
    }


def url(variable: str, default: str, *, schemes: tuple[str, ...]) -> str:
    value = os.environ.get(variable, default)
    try:
        parts = urlsplit(value)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        refuse(variable, f"{schemes[0]}://127.0.0.1:1234")
    return value.rstrip("/")


def other_cloud(variable: str) -> tuple[str, str, str] | None:
    """A Microsoft-like cloud of the operator's: where programs go, where people's browsers go, and
    the file of its authorities ("" for the system's).  None where the variable is not set.
    """
    value = os.environ.get(variable, "").split(maxsplit=2)
    if not value:
        return None
    wanted = "https://cloud.example:8443 https://cloud.example /etc/ssl/cloud.pem"
    programs, people = value[0], value[1] if len(value) > 1 else value[0]
    for address, schemes in ((programs, ("https",)), (people, ("https", "http"))):
        parts = urlsplit(address)
        if parts.scheme not in schemes or not parts.hostname:
            refuse(variable, wanted)
    return programs.rstrip("/"), people.rstrip("/"), value[2] if len(value) > 2 else ""


def mail_server(variable: str) -> dict[str, Any]:
    """Host, port, user, password, ``ssl`` and ``starttls``; empty where the variable is not set."""
    value = os.environ.get(variable, "")
    if not value:
        return {}
    ports = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
    try:
        parts = urlsplit(value)
        port = parts.port or ports.get(parts.scheme, 25)
    except ValueError:
        parts, port = urlsplit(""), 25
    if parts.scheme not in ports or not parts.hostname:
        refuse(variable, "smtp+starttls://user:password@mail.example.com:587")
    return {
        "host": parts.hostname,
        "port": port,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "ssl": parts.scheme == "smtps",
        "starttls": parts.scheme == "smtp+starttls",
    }


def load_running_installation(var_dir: Path) -> None:
    """Take over what ``make run`` gave its children, so that commands reach the same installation.

    A variable that is already set wins.  The file is readable by its owner only.
    """
    path = var_dir / "environment.json"
    if "DATABASE_URL" in os.environ or not path.exists():
        return
    for name, value in json.loads(path.read_text()).items():
        os.environ.setdefault(name, value)
