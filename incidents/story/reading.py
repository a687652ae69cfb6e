"""When somebody read a copy, where her answer tells it better than the read mark.

A read mark is seen when the mailbox is looked at next; whoever answered a mail, passed it on or
reported it had read it by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from incidents.models import Delivery, Observation

# How the sources of observations begin that are reports (incidents/userreports/placing.py).
REPORT = "report:"


def is_told_by_answer(copy: Delivery, seen: Sequence[Observation]) -> bool:
    """Its read mark was seen only after its reader had answered, passed on or reported it."""
    answered = _first_answer(copy, seen)
    marks = [one.observed_at for one in seen if one.is_read]
    return bool(answered and marks and min(marks) >= answered)


def read_and_did(copy: Delivery, seen: Sequence[Observation], at: datetime) -> bool:
    """What its reader did at ``at`` is what tells of the reading."""
    return is_told_by_answer(copy, seen) and at == _first_answer(copy, seen)


def reported_at(seen: Sequence[Observation]) -> datetime | None:
    """When somebody first reported the copy whose observations these are."""
    return min((one.observed_at for one in seen if one.source.startswith(REPORT)), default=None)


def is_reported(seen: Sequence[Observation]) -> bool:
    return reported_at(seen) is not None


def _first_answer(copy: Delivery, seen: Sequence[Observation]) -> datetime | None:
    answers = (copy.replied_at, copy.forwarded_at, reported_at(seen))
    return min(filter(None, answers), default=None)
