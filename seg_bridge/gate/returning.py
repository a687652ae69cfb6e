"""Returning a mail that waits in the spool: its sender gets a notice (RFC 3464), by his own MX.

Only at a person's word, and only where the sender's mail host takes the notice at once: there is no
queue for it.  Behind Postfix it is Postfix that returns.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from ulid import ULID

from seg_bridge.engines.embedded.resolver import Lookup, ResolverFailed
from seg_bridge.gate.hop import OutgoingMail
from seg_bridge.gate.mail_hosts import MOST_HOSTS, MX_PORT, ranked
from seg_bridge.gate.outgoing import strip_own_words
from seg_bridge.gate.policy import PolicySnapshot, join_hop
from seg_bridge.gate.relay import Relay
from seg_bridge.gate.ways import Way

if TYPE_CHECKING:
    from seg_bridge.gate.spool_entry import SpoolEntry

_MOST_HEADER_BYTES = 64 * 1024
_NOT_A_WORD = re.compile(r"[^\x20-\x7e]+")

NO_SENDER = "It has no sender to return it to."
OURS = "Its sender is a mailbox of one of our clients: take it out, and tell them."


class Returner:
    """``lookup`` is synchronous, as the engine's is."""

    def __init__(
        self,
        *,
        relay: Relay,
        lookup: Lookup,
        hostname: str,
        latest: Callable[[], PolicySnapshot | None],
    ) -> None:
        self._relay = relay
        self._lookup = lookup
        self._hostname = hostname
        self._latest = latest

    async def send_back(self, entry: SpoolEntry, data: bytes) -> str:
        """ "" when the sender's mail host has the notice, else why not."""
        snapshot = self._latest()
        if not may_return(entry):
            return NO_SENDER
        if snapshot is not None and snapshot.find(entry.mail_from) is not None:
            return OURS
        domain = entry.mail_from.rpartition("@")[2]
        try:
            hosts = await asyncio.to_thread(mail_hosts, domain, self._lookup)
        except ResolverFailed:
            return f"The DNS gave no answer about {domain}. Try again later."
        if not hosts:
            return f"{domain} takes no mail: nobody can be told. Take it out instead."
        authserv_id = snapshot.authserv_id if snapshot is not None else ""
        notice = write_notice(entry, strip_own_words(data, authserv_id), self._hostname)
        mail = OutgoingMail(mail_from="", recipients=(entry.mail_from,), data=notice)
        way = Way(tuple(join_hop(host, MX_PORT) for host in hosts))
        answer = (await self._relay.send(way, mail))[entry.mail_from]
        if answer.state == "accepted":
            return ""
        return f"The sender's mail host did not take the notice: {answer.text}"


def may_return(entry: SpoolEntry) -> bool:
    """What clients send is left out: their own server has it from them."""
    return bool(entry.mail_from) and entry.mail_from.isascii() and entry.direction == "inbound"


def mail_hosts(domain: str, lookup: Lookup) -> list[str]:
    """Where mail for this domain goes, the preferred first (RFC 5321, section 5.1); [] where it
    takes none (RFC 7505).  Raises ``ResolverFailed``.
    """
    records = lookup(domain, "MX")
    if not records:
        exists = lookup(domain, "A") or lookup(domain, "AAAA")
        return [domain] if exists else []
    return ranked(records)[:MOST_HOSTS]


def write_notice(entry: SpoolEntry, data: bytes, hostname: str) -> bytes:
    """The notice with the mail's header, whose bytes are ``data``."""
    now = datetime.now(UTC)
    boundary = f"b-{ULID()}"
    head = data.partition(b"\r\n\r\n")[0][:_MOST_HEADER_BYTES]
    why = _NOT_A_WORD.sub("?", entry.last_reply)[:500] or "it could not be delivered in time"
    told = "\r\n".join(f"    {_word(each)}" for each in entry.recipients)
    arrived = format_datetime(datetime.fromtimestamp(entry.spooled_at_s, UTC))
    each = "\r\n".join(
        f"Final-Recipient: rfc822; {_word(recipient)}\r\nAction: failed\r\nStatus: 5.0.0\r\n"
        f"Diagnostic-Code: smtp; {why}\r\n"
        for recipient in entry.recipients
    )
    text = f"""\
From: Mail delivery <MAILER-DAEMON@{hostname}>\r
To: <{entry.mail_from}>\r
Subject: Undelivered mail returned to its sender\r
Date: {format_datetime(now)}\r
Message-ID: <{ULID()}@{hostname}>\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"\r
\r
--{boundary}\r
Content-Type: text/plain; charset=us-ascii\r
\r
This is the mail gateway at {hostname}.\r
\r
Your mail could not be delivered, and is not tried any more:\r
\r
{told}\r
\r
{why}\r
\r
--{boundary}\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; {hostname}\r
Arrival-Date: {arrived}\r
\r
{each}\r
--{boundary}\r
Content-Type: text/rfc822-headers\r
\r
"""
    return text.encode("ascii", "replace") + head + f"\r\n\r\n--{boundary}--\r\n".encode("ascii")


def _word(text: str) -> str:
    return _NOT_A_WORD.sub("?", text)
