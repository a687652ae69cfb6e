"""What the gateway is asked for and answers: exceptions, forecasts, rights, lessons."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionWish:
    """One entry for both layers, asked for with a release.

    ``match``: ``mail`` (this one), what the narrowest proposal for the copies names, or ``like``
    for whichever that is.
    ``beats_threats``: for malware and phishing too.  ``despite``: the rehearsal may object.
    """

    match: str
    days: int
    beats_threats: bool = False
    despite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionMade:
    """``words`` name it to people."""

    rule_id: UUID
    owner: str
    words: str
    beats_threats: bool


@dataclass(frozen=True, slots=True)
class RepairForecast:
    """What a rule would have done, kept as rehearsal ``id``; ``stops`` are the objections."""

    id: UUID
    counts: dict[str, int]
    stops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleaseRight:
    """Who may release a held copy: ``roles`` among ``client help_desk analyst lead``, empty for
    nobody.  ``sentence`` says what decides, and whose policy it is.
    """

    roles: frozenset[str]
    sentence: str


@dataclass(frozen=True, slots=True)
class LessonWish:
    """One mail is, or is not, spam.  ``kind``: ``spam`` or ``phish`` where it is, else ""."""

    message_id: UUID
    as_spam: bool
    kind: str = ""
