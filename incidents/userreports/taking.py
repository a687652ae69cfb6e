"""A report becomes a row, once, and work is left to find what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from incidents.evidence import store_evidence
from incidents.models import UserReport
from incidents.userreports import letter
from incidents.userreports.reading import PROBLEMS, Original, ReadReport
from tenants.models import Mailbox
from tenants.work import want_work

QUEUE = "reported"
METHOD = "user-report"
Trust = UserReport.Trust

WHY = {
    Trust.OUTSIDE: "It came from outside of the client.",
    Trust.FORGED: "The sender is an address of the client, and neither the gateway nor the mail"
    " host found that it wrote this.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenReport:
    """One reported mail on its way into the database.

    ``named``: Message-IDs that the report itself carries; ``original`` {} where none is attached;
    ``raw`` its bytes as the reporter sent them.
    """

    source_key: str
    way: str
    reporter: str
    reported_at: datetime
    said: str
    trust: str
    is_automatic: bool = False
    subject: str = ""
    words: str = ""
    named: tuple[str, ...] = ()
    original_id: str = ""
    original_fingerprint: str = ""
    original_subject: str = ""
    original_sender: str = ""
    original: dict[str, Any] = field(default_factory=dict)
    raw: bytes = b""
    problem: str = ""


def reports_of(
    report: ReadReport, *, source_key: str, reported_at: datetime, trust: str
) -> list[TakenReport]:
    """One for each attached mail; one for the mail that is passed on in the text."""
    way = UserReport.Way.MICROSOFT if report.by_button else UserReport.Way.ABUSE_MAILBOX
    sender = report.facts.sender.address if report.facts.sender else ""
    common: dict[str, Any] = {
        "way": way.value,
        "reporter": letter.storable(sender)[:320],
        "reported_at": reported_at,
        "said": report.said,
        "trust": trust,
        "is_automatic": report.is_automatic,
        "subject": letter.storable(report.facts.subject)[:300],
        "words": report.words,
        "named": report.named,
        "problem": report.problem,
    }
    if not report.originals:
        return [
            TakenReport(
                source_key=source_key,
                original_subject=letter.storable(report.inline_subject)[:300],
                original_sender=letter.storable(report.inline_sender)[:320],
                **common,
            )
        ]
    return [
        TakenReport(source_key=f"{source_key}/{n}", **_told_by(original), **common)
        for n, original in enumerate(report.originals)
    ]


def _told_by(original: Original) -> dict[str, Any]:
    facts = original.facts
    return {
        "original_id": letter.storable(facts.internet_message_id)[:998],
        "original_fingerprint": facts.fingerprint,
        "original_subject": letter.storable(facts.subject)[:300],
        "original_sender": letter.storable(facts.sender.address if facts.sender else "")[:320],
        "original": letter.storable_json(facts.as_json()),
        "raw": original.raw,
    }


def take_reports(tenant_id: int, taken: Sequence[TakenReport]) -> int:
    """Answers how many were new.  Must run in the client's scope."""
    rows = [_row(tenant_id, each) for each in taken]
    if not rows:
        return 0
    ids = {row.id for row in UserReport.objects.bulk_create(rows, ignore_conflicts=True)}
    new = UserReport.objects.filter(tenant_id=tenant_id, id__in=ids).count()
    if new:
        want_work(tenant_id, QUEUE)
    return new


def _row(tenant_id: int, each: TakenReport) -> UserReport:
    trust, why = each.trust, WHY.get(Trust(each.trust), "")
    mailbox = mailbox_of(tenant_id, each.reporter) if trust == Trust.OWN else None
    if trust == Trust.OWN and mailbox is None:
        trust, why = Trust.OUTSIDE.value, "No mailbox of the client has this address."
    row = UserReport(
        tenant_id=tenant_id,
        mailbox_id=mailbox,
        trust=trust,
        trust_why=why,
        found_why=PROBLEMS.get(each.problem, ""),
        **{name: getattr(each, name) for name in _SAME},
    )
    if trust == Trust.OWN:
        # Of a stranger's mail nothing is kept but that it came.
        row.original = {**each.original, "named": list(each.named)}
        if each.raw:
            row.evidence = store_evidence(
                tenant_id=tenant_id, raw=each.raw, source=f"report of {row.reporter}", method=METHOD
            )
    return row


_SAME = (
    *("source_key", "way", "reporter", "reported_at", "said", "is_automatic", "subject", "words"),
    *("original_id", "original_fingerprint", "original_subject", "original_sender"),
)


def mailbox_of(tenant_id: int, address: str) -> UUID | None:
    """The client's mailbox that has this address, as its own or as an alias."""
    address = address.lower()
    known = Mailbox.objects.filter(tenant_id=tenant_id).exclude(state=Mailbox.State.GONE)
    fits = known.filter(Q(address=address) | Q(aliases__contains=[address]))
    return fits.order_by("address").values_list("id", flat=True).first()
