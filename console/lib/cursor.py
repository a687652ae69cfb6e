"""Keyset cursors in links: where the last row stood, checked on the way in."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from datetime import datetime
from typing import Any
from uuid import UUID

from tenants.errors import WrongInput

_GONE = "This page does not exist any more. Start again at the first."


def write_cursor(*values: Any) -> str:
    return urlsafe_b64encode(json.dumps(values, default=str).encode()).decode().rstrip("=")


def read_cursor(text: str, *kinds: type) -> list[Any] | None:
    """The values as they were written; None for "".  Raises ``WrongInput`` for anything else."""
    if not text:
        return None
    try:
        values = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, Error) as error:
        raise WrongInput(_GONE) from error
    fits = isinstance(values, list) and len(values) == len(kinds)
    if not fits or not all(isinstance(v, kind) for v, kind in zip(values, kinds, strict=True)):
        raise WrongInput(_GONE)
    return list(values)


def read_time(text: str) -> datetime:
    """Raises ``WrongInput``."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongInput(_GONE) from error


def read_id(text: str) -> UUID:
    """Raises ``WrongInput``."""
    try:
        return UUID(text)
    except ValueError as error:
        raise WrongInput(_GONE) from error
