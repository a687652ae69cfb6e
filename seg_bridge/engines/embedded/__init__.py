"""The gateway's own engine, made of libraries: it serves where no Rspamd is installed.

What it looks at: SPF, DKIM and DMARC (``auth``), the facts of ``incidents.mail.signals``, the
conversation with the sending host (``session``), and our YARA rules over the decoded bytes
(``content``).  What each is worth stands in ``weights.toml``; how that was measured:
``make bench ONLY=detection``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from incidents.mail.facts import MailFacts
from incidents.mail.signals import read, shared_reasons
from incidents.mail.signals.scale import Score, load_scale, weigh
from incidents.observations import Reason
from incidents.words import Verdict
from seg_bridge.engines import EngineDidNotAnswer, Envelope, Scan
from seg_bridge.engines.embedded.auth import Authentication, authenticate
from seg_bridge.engines.embedded.content import content_reasons
from seg_bridge.engines.embedded.resolver import Lookup, Resolver
from seg_bridge.engines.embedded.session import auth_reasons, session_reasons

NAME: Final = "embedded"
VERSION: Final = "1"
SCAN_TIMEOUT_S: Final = 25.0
WEIGHTS: Final = Path(__file__).parent / "weights.toml"


def gateway_reasons(
    raw: bytes, facts: MailFacts, envelope: Envelope, auth: Authentication | None
) -> Iterator[Reason]:
    """Every reason that the gateway can see, unweighted.  ``auth`` None: it was not looked at."""
    reading = read(facts)
    yield from content_reasons(raw)
    if auth is not None:
        yield from auth_reasons(auth, reading.sender_domain)
    yield from session_reasons(reading, envelope)
    yield from shared_reasons(reading)


def score_mail(
    raw: bytes, facts: MailFacts, envelope: Envelope, auth: Authentication | None
) -> Score:
    return weigh(gateway_reasons(raw, facts, envelope, auth), load_scale(WEIGHTS))


class EmbeddedEngine:
    """One for a gate.  ``resolver`` None: the host's own."""

    name = NAME

    def __init__(
        self,
        resolver: tuple[str, int] | None = None,
        *,
        authserv_id: str = "bailey",
        lookup: Lookup | None = None,
        threads: int = 8,
    ) -> None:
        self._authserv_id = authserv_id
        self._lookup: Lookup = lookup or Resolver(resolver)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="embedded-engine")

    async def scan(self, raw: bytes, facts: MailFacts, envelope: Envelope) -> Scan:
        """Raises ``EngineDidNotAnswer`` where the scan took longer than ``SCAN_TIMEOUT_S``."""
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, self.scan_now, raw, facts, envelope)
        try:
            return await asyncio.wait_for(work, SCAN_TIMEOUT_S)
        except TimeoutError as error:
            raise EngineDidNotAnswer(f"no result within {SCAN_TIMEOUT_S:.0f} s") from error

    def scan_now(self, raw: bytes, facts: MailFacts, envelope: Envelope) -> Scan:
        """The same in the calling thread; it may wait for DNS."""
        auth = self._authenticate(raw, facts, envelope)
        if not facts.is_readable:
            return self._unscannable(raw, facts, auth)
        score = score_mail(raw, facts, envelope, auth)
        return Scan(
            engine=NAME,
            version=VERSION,
            verdict=score.verdict,
            score=score.points,
            confidence=score.confidence,
            reasons=score.reasons,
            auth=auth.results if auth else (),
        )

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _authenticate(
        self, raw: bytes, facts: MailFacts, envelope: Envelope
    ) -> Authentication | None:
        """None for a mail that somebody sent with a login: it was he, and no host of his."""
        if envelope.authenticated_as:
            return None
        return authenticate(
            raw,
            client_ip=envelope.client_ip,
            helo=envelope.helo,
            mail_from=envelope.mail_from,
            from_domain=facts.sender.domain if facts.sender else "",
            authserv_id=self._authserv_id,
            lookup=self._lookup,
        )

    def _unscannable(self, raw: bytes, facts: MailFacts, auth: Authentication | None) -> Scan:
        """A mail that cannot be read: malware if our rules find some in it, else unscannable."""
        score = weigh(content_reasons(raw), load_scale(WEIGHTS))
        is_bad = score.verdict is Verdict.MALWARE
        unreadable = Reason(
            "unreadable", "The mail could not be read.", ", ".join(facts.problems), 0.0
        )
        return Scan(
            engine=NAME,
            version=VERSION,
            verdict=score.verdict if is_bad else Verdict.UNSCANNABLE,
            score=score.points,
            confidence=score.confidence if is_bad else 1.0,
            reasons=(unreadable, *score.reasons),
            auth=auth.results if auth else (),
        )
