"""When somebody read a copy, where her answer tells it better than the read mark.

A read mark is seen when the mailbox is looked at next; whoever answered a mail, or passed it on,
had read it by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from incidents.models import Delivery, Observation


def is_told_by_answer(copy: Delivery, seen: Sequence[Observation]) -> bool:
    """Its read mark was seen only after its reader had answered it or passed it on."""
    answered = _first_answer(copy)
    marks = [one.observed_at for one in seen if one.is_read]
    return bool(answered and marks and min(marks) >= answered)


def read_and_did(copy: Delivery, seen: Sequence[Observation], at: datetime) -> bool:
    """What its reader did at ``at`` is what tells of the reading."""
    return is_told_by_answer(copy, seen) and at == _first_answer(copy)


def _first_answer(copy: Delivery) -> datetime | None:
    return min(filter(None, (copy.replied_at, copy.forwarded_at)), default=None)
