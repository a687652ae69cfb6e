"""Keyset cursors in links: where the last row stood, checked on the way in."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.utils.dateparse import parse_duration

from tenants.errors import WrongInput

PAGE = 50
_GONE = "This page does not exist any more. Start again at the first."

_M = TypeVar("_M", bound=Model)


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


def newest_first(
    rows: QuerySet[_M], cursor: str, *, at: str = "", key: str = "id"
) -> tuple[list[_M], str]:
    """One page of ``PAGE`` rows, and the cursor of the next ("" at the end).

    By the time ``at`` and then by ``key``, an id; without ``at`` by the id alone, which sorts by
    time.  Raises ``WrongInput`` for a cursor that is none.
    """
    after = read_cursor(cursor, *([str, str] if at else [str]))
    if after:
        below = Q(**{f"{key}__lt": read_id(after[-1])})
        if at:
            time = read_time(after[0])
            below = Q(**{f"{at}__lt": time}) | Q(**{at: time}) & below
        rows = rows.filter(below)
    found = list(rows.order_by(*([f"-{at}"] if at else []), f"-{key}")[: PAGE + 1])
    if len(found) <= PAGE:
        return found, ""
    last = found[PAGE - 1]
    ends = [getattr(last, at).isoformat()] if at else []
    return found[:PAGE], write_cursor(*ends, getattr(last, key))


def read_time(text: str) -> datetime:
    """Raises ``WrongInput``."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongInput(_GONE) from error


def read_length(text: str) -> timedelta:
    """As ``duration_iso_string`` wrote it.  Raises ``WrongInput``."""
    try:
        found = parse_duration(text)
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise WrongInput(_GONE)
    return found


def read_id(text: str) -> UUID:
    """Raises ``WrongInput``."""
    try:
        return UUID(text)
    except ValueError as error:
        raise WrongInput(_GONE) from error
