"""The gateway's own engine, made of libraries: it serves where no Rspamd is installed.

What it looks at: SPF, DKIM and DMARC (``auth``), the facts of ``incidents.mail.signals``, the
conversation with the sending host (``session``), and our YARA rules over the decoded bytes
(``content``).  What each is worth stands in ``weights.toml``; how that was measured:
``make bench ONLY=detection_gateway``.

Whatever reads a mail's content may meet a bomb, so it runs in the reading process, which can be
killed and holds one mail alone: the gate's ``MailReader`` has ``JUDGE`` as its judge.  Here stay
DNS and what is bounded: names, signatures and sums.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from incidents.mail.facts import MailFacts
from incidents.mail.signals import read
from incidents.mail.signals.scale import Score, load_scale, weigh
from incidents.mail.wire import unpack_reasons
from incidents.observations import Reason
from incidents.words import Verdict
from seg_bridge.engines import EngineDidNotAnswer, Envelope, Scan
from seg_bridge.engines.embedded.auth import Authentication, authenticate
from seg_bridge.engines.embedded.child import mail_reasons
from seg_bridge.engines.embedded.resolver import Lookup, Resolver
from seg_bridge.engines.embedded.session import auth_reasons, session_reasons

NAME: Final = "embedded"
VERSION: Final = "1"
JUDGE: Final = "seg_bridge.engines.embedded.child:judge"
SCAN_TIMEOUT_S: Final = 25.0
WEIGHTS: Final = Path(__file__).parent / "weights.toml"


def gateway_reasons(
    raw: bytes, facts: MailFacts, envelope: Envelope, auth: Authentication | None
) -> Iterator[Reason]:
    """Every reason that the gateway can see, unweighted.  ``auth`` None: it was not looked at.

    All of it in this process: for mail that is known to be tame.
    """
    yield from mail_reasons(raw, facts)
    yield from _session_and_auth(facts, envelope, auth)


def score_mail(
    raw: bytes, facts: MailFacts, envelope: Envelope, auth: Authentication | None
) -> Score:
    """``gateway_reasons`` weighed, in this process."""
    return weigh(gateway_reasons(raw, facts, envelope, auth), load_scale(WEIGHTS))


def _session_and_auth(
    facts: MailFacts, envelope: Envelope, auth: Authentication | None
) -> Iterator[Reason]:
    reading = read(facts)
    if auth is not None:
        yield from auth_reasons(auth, reading.sender_domain)
    yield from session_reasons(reading, envelope)


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
        """``facts`` come from a reader with ``JUDGE`` as its judge.

        Raises ``EngineDidNotAnswer`` where the judge could not bring the mail to an end, or the
        rest took longer than ``SCAN_TIMEOUT_S``.
        """
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, self.scan_now, raw, facts, envelope)
        try:
            return await asyncio.wait_for(work, SCAN_TIMEOUT_S)
        except TimeoutError as error:
            raise EngineDidNotAnswer(f"no result within {SCAN_TIMEOUT_S:.0f} s") from error

    def scan_now(self, raw: bytes, facts: MailFacts, envelope: Envelope) -> Scan:
        """The same in the calling thread; it may wait for DNS."""
        content = _judged(facts)
        auth = self._authenticate(raw, facts, envelope)
        if not facts.is_readable:
            return self._unscannable(facts, content, auth)
        reasons = (*content, *_session_and_auth(facts, envelope, auth))
        score = weigh(reasons, load_scale(WEIGHTS))
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

    def _unscannable(
        self, facts: MailFacts, content: Iterable[Reason], auth: Authentication | None
    ) -> Scan:
        """A mail that cannot be read: malware if our rules find some in it, else unscannable."""
        score = weigh(content, load_scale(WEIGHTS))
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


def _judged(facts: MailFacts) -> tuple[Reason, ...]:
    """What the reading process found; nothing for a mail over which it died before.

    Raises ``EngineDidNotAnswer``.
    """
    if facts.judged is None and not facts.is_readable:
        return ()
    try:
        return unpack_reasons(facts.judged)
    except (ValueError, TypeError) as error:
        raise EngineDidNotAnswer(
            "scoring took too much memory, CPU or time, or failed; it was ended"
        ) from error
