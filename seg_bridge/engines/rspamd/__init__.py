"""Rspamd as an engine: one HTTP request a mail, and our own verdict from its score and symbols.

Rspamd answers "no action" also where it could not look: without the sending host's address, for an
empty mail, with its store away, after a time-out of its own.  So an answer counts only where it is
positive: 200, a score, symbols, no "soft reject", and the store's sign of life
(deploy/rspamd/rspamd.local.lua).  All else is ``EngineDidNotAnswer``.

The mail goes to Rspamd as the next hop would see it: with a Received line of this hop on top, which
is made for the scan only.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from dataclasses import replace
from typing import Any, Final, Protocol

from incidents.mail.dates import format_date
from incidents.mail.facts import MailFacts
from incidents.mail.json_text import parse_json
from seg_bridge.engines import EngineDidNotAnswer, Envelope, Scan
from seg_bridge.engines.endpoints import Endpoint, HttpAnswer, NoAnswer, header_value, post
from seg_bridge.engines.rspamd.mapping import Answer, Symbol, scan_of

NAME: Final = "rspamd"
# Rspamd gives up by itself after 8 s (task_timeout) and says so.
TIMEOUT_S: Final = 12.0
# A mail of 30 MB keeps a worker for 6 s: one such at a time, so that the others find one free.
LARGE_BYTES: Final = 4 * 1024 * 1024
LARGE_TIMEOUT_S: Final = 25.0
STORE_LIVES: Final = "GATE_STORE_OK"
RECIPIENTS_TOLD: Final = 200
# Symbols that say: the resolver did not answer about this name.
DNS_FAILED: Final = frozenset(
    {"R_SPF_DNSFAIL", "R_DKIM_TEMPFAIL", "DMARC_DNSFAIL", "ARC_DNSFAIL", "RDNS_DNSFAIL"}
)


class NameService(Protocol):
    """What is needed of ``seg_bridge.engines.names.Names``."""

    async def of_client(self, address: str) -> str: ...

    async def lives(self) -> bool: ...


class RspamdEngine:
    """``authserv_id`` is the gate's name in Authentication-Results.  ``names`` asks the resolver
    that Rspamd uses: where names could not be looked up, a sender with broken DNS is judged, a dead
    resolver of our own means *not scanned*.  ``needs_store`` False: this Rspamd has no store.
    """

    name = NAME

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        authserv_id: str,
        names: NameService,
        needs_store: bool = True,
        timeout_s: float = TIMEOUT_S,
        large_timeout_s: float = LARGE_TIMEOUT_S,
    ) -> None:
        self._endpoint = endpoint
        self._authserv_id = authserv_id
        self._names = names
        self._needs_store = needs_store
        self._timeout_s = timeout_s
        self._large_timeout_s = large_timeout_s
        self._one_large = asyncio.Semaphore(1)

    async def scan(self, raw: bytes, facts: MailFacts, envelope: Envelope) -> Scan:
        """Raises ``EngineDidNotAnswer``."""
        if not raw.strip():
            raise EngineDidNotAnswer("the mail is empty, which Rspamd does not look at")
        try:
            ipaddress.ip_address(envelope.client_ip)
        except ValueError as error:
            text = "the address of the sending host is not known, so SPF was not checked"
            raise EngineDidNotAnswer(text) from error
        if not envelope.client_name:
            name = await self._names.of_client(envelope.client_ip)
            envelope = replace(envelope, client_name=name)
        head = request_headers(envelope, self._authserv_id)
        body = received_line(envelope, self._authserv_id) + raw
        try:
            if len(raw) < LARGE_BYTES:
                told = await post(self._endpoint, "/checkv2", head, body, timeout_s=self._timeout_s)
            else:
                async with self._one_large:
                    told = await post(
                        self._endpoint, "/checkv2", head, body, timeout_s=self._large_timeout_s
                    )
        except NoAnswer as error:
            raise EngineDidNotAnswer(str(error)) from error
        answer = read_answer(told, needs_store=self._needs_store)
        failed = sorted(DNS_FAILED & answer.symbols.keys())
        if failed and not await self._names.lives():
            raise EngineDidNotAnswer(f"the resolver does not answer ({', '.join(failed)})")
        return scan_of(answer, facts, envelope, authserv_id=self._authserv_id)


def request_headers(envelope: Envelope, authserv_id: str) -> list[tuple[str, str]]:
    """What Rspamd is told beside the mail.

    Without ``Hostname`` it would count the sending host as one without a name, so "unknown" is said
    only where it was looked for.  No ``User``, no ``X-Tenant``: there is none.
    """
    pairs = [
        ("IP", envelope.client_ip),
        ("Helo", envelope.helo),
        ("Hostname", envelope.client_name),
        ("From", envelope.mail_from),
        *(("Rcpt", address) for address in envelope.recipients[:RECIPIENTS_TOLD]),
        ("Queue-Id", envelope.mail_id),
        ("MTA-Name", authserv_id),
        ("User", envelope.authenticated_as),
        ("X-Tenant", str(envelope.tenant_id) if envelope.tenant_id is not None else ""),
    ]
    cleaned = ((name, header_value(value)) for name, value in pairs)
    # The null sender is told too, as an empty value.
    return [(name, value) for name, value in cleaned if value or name == "From"]


def received_line(envelope: Envelope, hostname: str) -> bytes:
    """This hop as the mail will show it; without it Rspamd takes the mail for a direct delivery."""
    helo = header_value(envelope.helo) or "unknown"
    name = header_value(envelope.client_name) or "unknown"
    address = envelope.client_ip
    if ":" in address:
        address = f"IPv6:{address}"
    mail_id = header_value(envelope.mail_id) or "scan"
    encrypted = f"\r\n\t(using {header_value(envelope.tls)})" if envelope.tls else ""
    protocol = "ESMTP" + ("S" if envelope.tls else "") + ("A" if envelope.authenticated_as else "")
    return (
        f"Received: from {helo} ({name} [{address}]){encrypted}\r\n"
        f"\tby {hostname} (Bailey) with {protocol} id {mail_id};\r\n"
        f"\t{format_date(envelope.received_at)}\r\n"
    ).encode("ascii")


def read_answer(told: HttpAnswer, *, needs_store: bool) -> Answer:
    """Raises ``EngineDidNotAnswer`` for whatever is no positive answer."""
    if told.status != 200:
        raise EngineDidNotAnswer(f"it answered {told.status}")
    try:
        data: Any = parse_json(told.body)
        action, score = str(data["action"]), data["score"]
        symbols = {name: _symbol(name, each) for name, each in data["symbols"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EngineDidNotAnswer(f"its answer is no result: {error!r}"[:200]) from error
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise EngineDidNotAnswer("its answer has no score")
    if not symbols or data.get("is_skipped"):
        raise EngineDidNotAnswer("it did not look at the mail")
    if action == "soft reject":
        said = data.get("messages")
        why = said.get("smtp_message", "") if isinstance(said, dict) else ""
        raise EngineDidNotAnswer(f"it gave up: {why or action}"[:200])
    if needs_store and STORE_LIVES not in symbols:
        raise EngineDidNotAnswer("its store (Redis) gave no sign of life")
    version = told.server.partition("/")[2]
    return Answer(score=float(score), symbols=symbols, version=version)


def _symbol(name: str, data: Any) -> Symbol:
    score = float(data["score"])
    if not math.isfinite(score):
        raise ValueError(f"{name} has no score")
    description, options = data.get("description"), data.get("options")
    return Symbol(
        name,
        score,
        str(description) if description else "",
        tuple(map(str, options)) if options else (),
    )
