"""What the gate asks of an engine.  No Django here.

An engine must answer *positively*: a ``Scan`` says "I looked, and this is what I hold it to be".
An engine that could not look raises ``EngineDidNotAnswer``; the mail is then *not scanned* and
follows the client's policy for that, never "clean".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from incidents.mail.facts import AuthResult, MailFacts
from incidents.observations import Reason
from incidents.words import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """How the mail came.  ``mail_from`` is "" for the null sender; ``recipients`` are addresses as
    the sender wrote them; ``tls`` and ``authenticated_as`` are "" where there was none.

    ``client_name`` is the sending host's name where its address leads to it and it leads back,
    "unknown" where it has none, "" where nobody looked or the resolver did not say.  ``mail_id`` is
    the gate's own (ulid), for an engine's log.  ``tenant_id`` is the one client whom the mail is
    for, None where several are.
    """

    client_ip: str
    helo: str
    mail_from: str
    recipients: tuple[str, ...]
    received_at: datetime
    tls: str = ""
    authenticated_as: str = ""
    client_name: str = ""
    mail_id: str = ""
    tenant_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One engine's answer.  ``score`` is in points (from 6 bad by default, from 15 very bad),
    ``confidence`` 0..1, ``auth`` what the engine found for SPF, DKIM and DMARC of this hop.
    """

    engine: str
    version: str
    verdict: Verdict
    score: float
    confidence: float
    reasons: tuple[Reason, ...]
    auth: tuple[AuthResult, ...] = ()


class EngineDidNotAnswer(Exception):
    """The mail was not scanned: no answer, no score, or a dependency that is down."""


class Engine(Protocol):
    """Safe to call for many mails at once."""

    @property
    def name(self) -> str: ...

    async def scan(self, raw: bytes, facts: MailFacts, envelope: Envelope) -> Scan:
        """Raises ``EngineDidNotAnswer``.  ``facts.is_readable`` may be False."""
        ...
