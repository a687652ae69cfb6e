"""What the mailbox layer knows around a mail, gathered by the caller: plain data, no database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from incidents.mail.facts import Address, AuthResult
from incidents.mail.signals.reading import Reading
from incidents.observations import Reason
from incidents.words import Direction, Verdict

TraceState = Literal["valid", "missing", "invalid", "foreign", "none_expected"]


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """One of the client's own people.  ``is_vip``: fraud likes to speak in this name."""

    address: str
    name: str
    title: str = ""
    is_vip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What came from this sender before this mail.  ``first_seen_at`` None: nothing ever."""

    first_seen_at: datetime | None = None
    mails_to_mailbox: int = 0
    mails_to_client: int = 0
    last_seen_at: datetime | None = None
    mails_answered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a sender's mail usually looks: hours (UTC), mail programs, languages, domains of links.

    An empty set: not known, and then nothing is compared.  ``mails`` is how many were looked at.
    """

    mails: int = 0
    hours: frozenset[int] = frozenset()
    mailers: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    most_recipients: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxContext:
    """Around one copy of a mail.

    ``auth`` is that of the trusted hop only; () means: not known.  ``history_known`` False: the
    mailbox was not read long enough to call anybody new.  ``payment_accounts_of_sender`` are
    numbers without spaces, as ``incidents.mail.signals.money`` writes them.
    ``thread_participants`` are addresses of the conversation that the mail says it answers, empty
    where that is not known.  ``gateway_verdict`` None: the gateway has not said anything (yet).
    """

    recipient: Address
    own_domains: tuple[str, ...]
    people: tuple[KnownPerson, ...] = ()
    direction: Direction = Direction.INBOUND
    trace_state: TraceState = "none_expected"
    auth: tuple[AuthResult, ...] = ()
    sender_history: History = field(default_factory=History)
    history_known: bool = True
    known_vendor_domains: frozenset[str] = frozenset()
    payment_accounts_of_sender: frozenset[str] = frozenset()
    usual_features_of_sender: Habits = field(default_factory=Habits)
    thread_participants: frozenset[str] = frozenset()
    gateway_verdict: Verdict | None = None

    @property
    def is_internal(self) -> bool:
        return self.direction is Direction.INTERNAL


@dataclass(frozen=True, slots=True)
class Case:
    """One mail in its context, as detectors get it."""

    reading: Reading
    context: MailboxContext

    @property
    def sender(self) -> Address | None:
        return self.reading.facts.sender

    @property
    def is_from_own_domain(self) -> bool:
        return self.reading.sender_domain in self.context.own_domains


Detector = Callable[[Case], Iterator[Reason]]
