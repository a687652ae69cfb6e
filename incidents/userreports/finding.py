"""Which copy is it that somebody reported?  Looked for among the reporter's own copies.

1. its Message-ID (several: the one with the same content)
2. the fingerprint of its content
3. passed on in the text: the only mail of the last week with this subject (and sender, if said)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet

from incidents.known import storable_id
from incidents.mail.fingerprint import normal_subject
from incidents.models import Delivery, UserReport
from incidents.words import Direction

WINDOW = timedelta(days=30)
BY_SUBJECT_WITHIN = timedelta(days=7)
# The clocks of mail host and gateway are not one.
SLACK = timedelta(hours=1)
MOST_COPIES = 2_000
Found = UserReport.Found


@dataclass(frozen=True, slots=True)
class FoundCopy:
    """``copy`` None: none of the layers has it among the reporter's copies; ``why`` says so."""

    copy: Delivery | None
    how: str = Found.NOT_YET.value
    why: str = ""


def find_original(report: UserReport) -> FoundCopy:
    """Needs the client's scope."""
    copies = _copies_of(report)
    if report.original_id:
        named = copies.filter(message__internet_message_id=storable_id(report.original_id))
        near = list(named[:MOST_COPIES])
        same = [each for each in near if each.message.fingerprint == report.original_fingerprint]
        if near:
            return FoundCopy((same or near)[0], Found.BY_ID.value)
    if report.original_fingerprint:
        same_content = copies.filter(message__fingerprint=report.original_fingerprint).first()
        if same_content is not None:
            return FoundCopy(same_content, Found.BY_CONTENT.value)
    if report.original_id or report.original_fingerprint or report.evidence:
        return FoundCopy(None, why="No layer has seen this mail.")
    return _by_subject(report, copies)


def _copies_of(report: UserReport) -> QuerySet[Delivery]:
    """What came to the reporter before the report, newest first."""
    box = report.mailbox
    names = {report.reporter, *((box.address, *box.aliases) if box else ())}
    return (
        Delivery.objects.filter(
            tenant=report.tenant_id,
            recipient__in=names,
            received_at__gte=report.reported_at - WINDOW,
            received_at__lte=report.reported_at + SLACK,
        )
        .exclude(direction=Direction.OUTBOUND)
        .select_related("message")
        .defer("message__facts")
        .order_by("-received_at", "-id")
    )


def _by_subject(report: UserReport, copies: QuerySet[Delivery]) -> FoundCopy:
    wanted = normal_subject(report.original_subject)
    if not wanted:
        why = "No mail is attached or passed on in it."
        return FoundCopy(None, Found.NOWHERE.value, report.found_why or why)
    lately = copies.filter(received_at__gte=report.reported_at - BY_SUBJECT_WITHIN)
    fits = [
        copy
        for copy in lately[:MOST_COPIES]
        if normal_subject(copy.message.subject) == wanted
        and report.original_sender in ("", copy.message.sender_address)
    ]
    mails = {copy.message.fingerprint or str(copy.message_id) for copy in fits}
    if len(mails) == 1:
        return FoundCopy(fits[0], Found.BY_SUBJECT.value)
    why = "No mail of the last week has the subject of what is passed on."
    if mails:
        why = f"{len(mails)} mails of the last week have this subject."
    return FoundCopy(None, Found.NOWHERE.value, why)
