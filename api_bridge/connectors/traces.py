"""What a mail host itself has on record of mail that passed through it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable


class TraceStatus(StrEnum):
    """What the host did with one copy.

    ``filtered``: taken for spam and not delivered; ``waiting``: it is still at it; ``expanded``: a
    list's address, its members have rows of their own; ``other``: a word that is not known here.
    """

    DELIVERED = "delivered"
    FILTERED = "filtered"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    WAITING = "waiting"
    EXPANDED = "expanded"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """One copy.  ``id`` names the mail's way and is shared by its copies; addresses are
    lower-cased, ``recipient`` never ""; ``received_at`` aware, UTC.
    """

    id: str
    received_at: datetime
    recipient: str
    status: TraceStatus
    sender: str = ""
    internet_message_id: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePage:
    """``link`` "": it was the last.  ``skipped``: rows that could not be read."""

    traced: tuple[Traced, ...]
    link: str
    skipped: int = 0


@runtime_checkable
class TracesMail(Protocol):
    """``trace_window``: the longest time that one question may be about; ``trace_reach``: how far
    back anything is on record.
    """

    trace_window: timedelta
    trace_reach: timedelta

    def traced(self, since: datetime, until: datetime, *, link: str = "") -> TracePage:
        """What was received in that time, in any order.  ``AccessDenied``: not granted."""
