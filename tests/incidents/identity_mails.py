"""Real mail bytes as both layers see them: what the gate took, and what a host made of it."""

from __future__ import annotations

import base64
import quopri
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.mail import read_mail
from incidents.mail.trace import TRACE_HEADER, Trace, check_trace, hash_message_id, sign_trace
from incidents.models import Backlog, Delivery
from incidents.observations import Observation
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import gateway_saw, mailbox_saw

KEYS = {"k1": b"k" * 32}
AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
INFO, IT, CEO = "info@acme.example", "it@acme.example", "ceo@acme.example"
SALES = "sales@acme.example"
WORDS = (
    "Dear colleague, the numbers of the third quarter are ready. Please look at them before the"
    " meeting on Thursday and tell me what is missing, so that the board gets one version."
)


@dataclass(frozen=True)
class Letter:
    """A mail as its sender wrote it; ``bytes`` is what went over the wire."""

    message_id: str = "<q3@partner.example>"
    subject: str = "Numbers of the third quarter"
    sender: str = "eve@partner.example"
    text: str = WORDS
    link: str = "https://files.partner.example/q3/report"
    head: tuple[str, ...] = ()
    banner: str = ""
    encoding: str = "8bit"

    def bytes(self) -> bytes:
        html = (
            f"<html><body>{self.banner}<p>{self.text}</p>"
            f'<p><a href="{self.link}">The report</a></p></body></html>'
        ).encode()
        if self.encoding == "base64":
            html = base64.encodebytes(html)
        elif self.encoding == "quoted-printable":
            html = quopri.encodestring(html)
        head = [
            *self.head,
            "Received: from mx.partner.example (mx.partner.example [198.51.100.7])"
            " by gate.bailey.example; Fri, 20 Nov 2026 09:00:00 +0000",
            f"From: Eve <{self.sender}>",
            "To: list@acme.example",
            f"Subject: {self.subject}",
            *([f"Message-ID: {self.message_id}"] if self.message_id else []),
            "Date: Fri, 20 Nov 2026 08:59:58 +0000",
            "MIME-Version: 1.0",
            "Content-Type: text/html; charset=utf-8",
            f"Content-Transfer-Encoding: {self.encoding}",
        ]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + html

    def passed(self, tenant: Tenant, ulid: str) -> Letter:
        """With the trace that the gate writes on top of what it passes."""
        facts = read_mail(self.bytes())
        trace = Trace(
            key_id="k1",
            tenant_id=tenant.id,
            ulid=ulid,
            at=AT,
            message_id_hash=hash_message_id(facts.internet_message_id),
            fingerprint=facts.fingerprint,
        )
        line = f"{TRACE_HEADER}: {sign_trace(trace, KEYS['k1'])}"
        return replace(self, head=(line, *self.head))

    def wrapped(self) -> Letter:
        """Its link goes by way of a scanning service."""
        way = "https://eur01.safelinks.protection.outlook.com/?url={}&data=05%7C02%7C&reserved=0"
        return replace(self, link=way.format(quote(self.link, safe="")))


def ulid(number: int) -> str:
    return f"01J{number:023d}"


def _said_of(raw: bytes) -> dict[str, Any]:
    facts = read_mail(raw)
    return {
        "internet_message_id": facts.internet_message_id,
        "fingerprint": facts.fingerprint,
        "mail": facts.as_json(),
    }


def gate(tenant: Tenant, raw: bytes, to: str, number: int = 1, **changes: Any) -> Observation:
    """The gate's account of one copy."""
    values = {"ulid": ulid(number), "observed_at": AT, **_said_of(raw)}
    return gateway_saw(tenant, to, **values | changes)


def box(tenant: Tenant, raw: bytes, whom: str, item: str, **changes: Any) -> Observation:
    """What the mailbox layer says of a mail it has read; the trace counts only if it is genuine."""
    value = read_mail(raw).trace
    trace = check_trace(value, KEYS) if value else None
    state = "valid" if trace else "invalid" if value else "missing"
    if trace is not None and trace.tenant_id != tenant.id:
        state, trace = "foreign", None
    values = {
        "item": item,
        "observed_at": AT + timedelta(seconds=5),
        "trace_state": state,
        "trace_ulid": trace.ulid if trace else "",
        **_said_of(raw),
    }
    return mailbox_saw(tenant, whom, **values | changes)


def take(tenant: Tenant, *batches: Observation | list[Observation]) -> None:
    """Each batch is recorded and made sense of on its own."""
    for batch in batches:
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
            record(batch if isinstance(batch, list) else [batch])
            while make_sense_of_backlog(tenant):
                pass


def run_out_of_patience(tenant: Tenant) -> None:
    """A quarter of an hour later."""
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        Backlog.objects.update(wait_until=AT)
        while make_sense_of_backlog(tenant):
            pass


def copies() -> dict[str, Delivery]:
    """By mailbox item, by recipient where no mailbox has shown the copy."""
    return {
        copy.mailbox_item_id or copy.recipient: copy
        for copy in Delivery.objects.select_related("message")
    }
