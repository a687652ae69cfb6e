"""Reports as people send them, and a client to which they come."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from django.utils import timezone

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Backlog, Incident, UserReport
from incidents.userreports.placing import serve_reported
from incidents.userreports.reading import read_report
from incidents.userreports.taking import reports_of, take_reports
from tenants.doors import ClaimedWork
from tenants.models import Domain, Mailbox, Tenant
from tenants.scope import Role, Scope, tenant_scope
from tests.factories import gateway_saw, mailbox_saw

NOW = datetime.now(UTC)
LURE = b"""\
From: Eve <eve@evil.example>\r
To: %(to)s\r
Subject: Invoice 4711\r
Message-ID: <1@evil.example>\r
Date: Sun, 01 Nov 2026 08:00:00 +0000\r
%(more)s\r
Please open https://pay.evil.example/login today and confirm the invoice.\r
"""


def lure(to: str, more: bytes = b"") -> bytes:
    """The mail that is reported, as it lay in the mailbox of ``to``."""
    return LURE % {b"to": to.encode(), b"more": more}


def report(
    reporter: str,
    original: bytes = b"",
    *,
    subject: str = "3|Reported",
    headers: Sequence[str] = (),
    text: str = "This looks odd.",
    kind: str = "message/rfc822",
    name: str = "",
    encoded: bytes = b"",
) -> bytes:
    """A mail to the report mailbox; ``original`` is attached to it."""
    head = [
        f"From: <{reporter}>",
        "To: <abuse@acme.example>",
        f"Subject: {subject}",
        f"Message-ID: <report-of-{reporter}>",
        *headers,
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="b"',
    ]
    disposition = f'\r\nContent-Disposition: attachment; filename="{name}"' if name else ""
    encoding = "\r\nContent-Transfer-Encoding: base64" if encoded else ""
    parts = f"\r\n--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n".encode()
    if original or encoded:
        parts += f"--b\r\nContent-Type: {kind}{disposition}{encoding}\r\n\r\n".encode()
        parts += (encoded or original) + b"\r\n"
    return "\r\n".join(head).encode() + b"\r\n" + parts + b"--b--\r\n"


def worker(tenant: Tenant) -> AbstractContextManager[Scope]:
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def more_people(tenant: Tenant, number: int) -> list[str]:
    """So many mailboxes more; their addresses."""
    with worker(tenant):
        domain = Domain.objects.get(tenant=tenant, name=f"{tenant.slug}.example")
        made = [
            Mailbox(tenant=tenant, domain=domain, address=f"p{n}@{tenant.slug}.example")
            for n in range(number)
        ]
        Mailbox.objects.bulk_create(made)
    return [each.address for each in made]


def arrived(tenant: Tenant, *people: str) -> None:
    """Both layers let the lure through to these."""
    seen = []
    for number, whom in enumerate(people):
        ulid = f"01J000000000000000000{number:05d}"
        seen.append(gateway_saw(tenant, whom, ulid=ulid))
        seen.append(mailbox_saw(tenant, whom, trace_ulid=ulid))
    with worker(tenant):
        record(seen)
        make_sense_of_backlog(tenant)


def come(tenant: Tenant, raw: bytes, *, key: str = "", trust: str = "own") -> list[UserReport]:
    """The report lies in the mailbox and was read; answers its rows."""
    read = read_report(raw)
    key = key or f"box/{read.facts.internet_message_id}"
    taken = reports_of(read, source_key=key, reported_at=timezone.now(), trust=trust)
    with worker(tenant):
        take_reports(tenant.id, taken)
        return list(UserReport.objects.filter(source_key__in=[each.source_key for each in taken]))


def work(tenant: Tenant, *, is_patient: bool = False) -> None:
    """The workers until nothing is left; ``is_patient``: the layers had their time."""
    claimed = ClaimedWork(tenant.id, tenant.provider_id, 1)
    for _ in range(3):
        serve_reported(claimed)
        with worker(tenant):
            if is_patient:
                Backlog.objects.update(wait_until=NOW)
            make_sense_of_backlog(tenant)
    serve_reported(claimed)


def the_incident(tenant: Tenant) -> Incident:
    with worker(tenant):
        return Incident.objects.select_related("tenant").get()
