"""Lists of mail, and an incident's story, as files."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from api_bridge.access.counting import MonthCount
from incidents.models import Delivery
from incidents.reports.csv_file import write_csv
from incidents.story import Story

CSV = "text/csv; charset=utf-8"
_NAMES = (
    *("client", "received_at", "recipient", "sender", "subject", "internet_message_id", "trace"),
    *("outcome", "place", "gateway_verdict", "mailbox_verdict", "is_bypass", "was_released"),
    *("verified_at", "copy"),
)


def copies_csv(copies: Iterable[Delivery]) -> bytes:
    """One line a copy; times are UTC in ISO 8601."""
    return write_csv(_NAMES, map(_row, copies))


def _row(copy: Delivery) -> list[object]:
    mail = copy.message
    return [
        *(copy.tenant.name, copy.received_at.isoformat(), copy.recipient, mail.sender_address),
        *(mail.subject, mail.internet_message_id, mail.trace_ulid, copy.outcome, copy.place),
        *(copy.gateway_verdict, copy.mailbox_verdict, copy.is_bypass, copy.was_released),
        *(copy.verified_at.isoformat() if copy.verified_at else "", copy.id),
    ]


_COUNTS = ("client", "short_name", "month", "mailboxes", "licensed", "outside", "days_counted")


def counts_csv(counts: Iterable[MonthCount]) -> bytes:
    """One line a client and month, with the most that any of its days showed."""
    rows: list[list[object]] = [
        [
            *(each.client, each.slug, f"{each.month:%Y-%m}", each.mailboxes),
            *("" if each.licensed is None else each.licensed, each.outside, each.days),
        ]
        for each in counts
    ]
    return write_csv(_COUNTS, rows)


_STORY = ("time_utc", "lane", "sentence", "recipients", "source", "mark")


def story_csv(story: Story) -> bytes:
    """One line of the story a row, with the id of its record; what nobody looked at stands last."""
    rows: list[list[object]] = [
        [
            *(line.at.astimezone(UTC).isoformat(), line.lane, f"{line.lead} {line.text}".strip()),
            *(", ".join(line.recipients), line.source, line.mark.value),
        ]
        for line in story.lines
    ]
    return write_csv(
        _STORY, [*rows, *(["", "not_checked", each, "", "", ""] for each in story.not_checked)]
    )


def download(
    content: bytes, name: str, content_type: str = "application/octet-stream"
) -> HttpResponse:
    """A file that the browser saves and never shows, whatever its name is."""
    response = HttpResponse(content, content_type=content_type)
    disposition = content_disposition_header(as_attachment=True, filename=name)
    response["Content-Disposition"] = str(disposition)
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    return response
