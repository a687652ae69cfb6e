"""Mail comes in: the mailbox provider's SMTP server.

It behaves as a last hop: unknown domains and recipients are refused, the mail's bytes stay as they
were below one Received line of ours, headers that only the provider may set are taken out, and 250
is said after the mail is in the store.
"""

import asyncio
import email.utils
import logging
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from typing_extensions import override

from api_bridge.sandbox import directory, filters, mailboxes, mime, traces
from api_bridge.sandbox.cloud import Cloud
from api_bridge.sandbox.directory import new_guid

HOST_NAME = "mail.sandbox.example"
OWN_HEADERS = "X-MS-Exchange-Organization-"
MAX_MAIL_BYTES = 64 * 1024 * 1024
MAX_RECIPIENTS = 500
log = logging.getLogger(__name__)


class Inbound:
    """The hooks that aiosmtpd calls; their names are its own."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        domain = address.rpartition("@")[2]
        if not directory.has_domain(self._cloud.store, domain):
            return "550 5.4.1 Recipient address rejected: Access denied"
        if directory.mailbox_of(self._cloud.store, address) is None:
            return "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address"
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Recipient OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        for address in envelope.rcpt_tos:
            if self._cloud.faults.take("smtp_451", address):
                return "451 4.7.500 Server busy. Please try again later"
        content = envelope.original_content or b""
        peer = str(session.peer[0]) if session.peer else "unknown"
        await deliver_from_outside(
            self._cloud, content, envelope.rcpt_tos, helo=session.host_name or "unknown", peer=peer
        )
        return "250 2.6.0 Queued mail for delivery"


async def deliver_from_outside(
    cloud: Cloud, content: bytes, recipients: list[str], *, helo: str, peer: str
) -> None:
    """Put a mail into each recipient's inbox once; committed when this returns."""
    received = (
        f"Received: from {_printable(helo)} ([{peer}]) by {HOST_NAME} with ESMTP"
        f"\r\n id {new_guid()}; {email.utils.formatdate()}\r\n"
    )
    found = [directory.mailbox_of(cloud.store, address) for address in recipients]
    # Google lets these headers through: to it they are any sender's.
    if not all(each and directory.is_google(cloud.store, each["tenant_id"]) for each in found):
        content = mime.without_headers(content, OWN_HEADERS)
        content = filters.stamped(cloud.store, content, peer)
    raw = received.encode() + content
    # Parsing a large mail takes its time; the thread keeps the other connections going.
    mail = await asyncio.to_thread(mime.read_mail, raw)
    copies: dict[int, str] = {}
    for mailbox in found:
        if mailbox is not None:
            copies[mailbox["number"]] = "inbox"
    mailboxes.deliver(cloud.store, raw=raw, mail=mail, copies=list(copies.items()))
    reached = {box["number"]: box for box in found if box is not None}
    traces.note(cloud.store, mail, list(reached.values()), size=len(raw), from_ip=peer)
    cloud.notifier.wake()


class Server(SMTP):
    """aiosmtpd with its line limit lifted: real mail has lines of any length, and a 500 for them
    would lose mail that Exchange takes.
    """

    line_length_limit = MAX_MAIL_BYTES

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(
            Inbound(cloud), hostname=HOST_NAME, ident="Bailey sandbox", enable_SMTPUTF8=True,
            data_size_limit=MAX_MAIL_BYTES, loop=asyncio.get_running_loop(),
        )  # fmt: skip
        self._cloud = cloud

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._cloud.faults.take("smtp_down", str(transport.get_extra_info("peername"))):
            transport.close()
            return
        super().connection_made(transport)


async def listen(cloud: Cloud, host: str, port: int) -> asyncio.Server:
    def connected() -> Any:
        return Server(cloud)

    return await asyncio.get_running_loop().create_server(connected, host, port)


def _printable(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:255]
