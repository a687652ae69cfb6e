"""Reading a log from its beginning, however its host orders it.  Pure but for what is passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

T = TypeVar("T")
MOST_AT_ONCE = 10_000
SHORTEST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Log(Generic[T]):
    """``until``: what was logged before it was read.  ``is_cut``: within that, not all of it."""

    entries: Sequence[T]
    until: datetime
    is_cut: bool = False


def read_in_parts(
    span: Callable[[datetime, datetime], Iterable[T]],
    since: datetime,
    now: datetime,
    *,
    most: int = MOST_AT_ONCE,
) -> Log[T]:
    """From ``since`` on, but no more than about ``most`` entries.  Hosts list the newest first, so
    that a list that breaks off lacks its beginning: a span with too many is read in parts.

    ``span(start, end)``: all entries of it, page by page.  Raises what it raises.
    """
    found: list[T] = []
    at, width, is_cut = since, now - since, False
    while at < now and len(found) < most:
        end = min(at + width, now)
        some, is_whole = _some(span(at, end), most)
        if not is_whole and width > SHORTEST:
            width = max(SHORTEST, width / 8)
            continue
        is_cut = is_cut or not is_whole
        found += some
        at = end
    return Log(found, at, is_cut)


def _some(entries: Iterable[T], most: int) -> tuple[list[T], bool]:
    """False: there are more."""
    found: list[T] = []
    for each in entries:
        if len(found) >= most:
            return found, False
        found.append(each)
    return found, True
