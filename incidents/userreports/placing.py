"""Serves ``reported``: from the row of a report to the incident it belongs to.

1. A new report: its original is found among the reporter's copies, the reporter's word goes
   through intake like every other word about a mail, the receipt is written.
2. Intake has made sense of the word (incidents/correlation.py leaves the work): the report knows
   its copy, and so its incident; a closed one is told of at once, an open one may meet the herd
   rule.
3. An incident was resolved: its reporters are told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from incidents.client_words import REQUESTS
from incidents.intake import record
from incidents.models import (
    ClientWord,
    Delivery,
    Incident,
    Observation,
    Sighting,
    UserReport,
)
from incidents.models.mail import Place
from incidents.observations import Observation as Word
from incidents.observations import Reason
from incidents.userreports.finding import WINDOW, FoundCopy, find_original
from incidents.userreports.herd import follow_herd
from incidents.userreports.telling import is_our_own, send_outcome, send_receipt
from incidents.words import Layer, Verdict
from tenants.doors import ClaimedWork
from tenants.errors import is_passing_trouble
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

MOST_AT_ONCE = 200
SOURCE = "report:"
State, Said, Found = UserReport.State, UserReport.Said, UserReport.Found


def serve_reported(claimed: ClaimedWork) -> datetime | None:
    """Everything that waits for one client; answers when something is left."""
    is_left = False
    for wanted, step in _STEPS:
        with work_scope(claimed):
            ids = list(_of(claimed.tenant_id, wanted).values_list("id", flat=True)[:MOST_AT_ONCE])
        for report_id in ids:
            _one(claimed, report_id, wanted, step)
        is_left |= len(ids) == MOST_AT_ONCE
    return timezone.now() if is_left else None


def _of(tenant_id: int, wanted: Q) -> QuerySet[UserReport]:
    return UserReport.objects.filter(wanted, tenant_id=tenant_id).order_by("reported_at", "id")


def _one(
    claimed: ClaimedWork, report_id: UUID, wanted: Q, step: Callable[[UserReport], None]
) -> None:
    """Each in a transaction of its own, and never by two workers: the row is held meanwhile."""
    try:
        with work_scope(claimed):
            held = _of(claimed.tenant_id, wanted).filter(id=report_id)
            report = held.select_for_update(of=("self",)).first()
            if report is not None:
                step(report)
    except Exception as error:
        if is_passing_trouble(error):
            raise  # no report's fault
        log.exception("report %s is left to a person", report_id)
        with work_scope(claimed):
            failed = UserReport.objects.filter(id=report_id)
            failed.filter(state__in=(State.NEW, State.SAID)).update(
                state=State.MISSING, found_why="Bailey failed at it; its log says how."
            )
            failed.filter(owes_outcome=True).update(
                owes_outcome=False, unanswered="Bailey failed at it; its log says how."
            )


def place(report: UserReport) -> None:
    """Find the original, say the reporter's word, write the receipt."""
    if not report.counts:
        _close(report, State.IGNORED)
        return
    named = report.original.pop("named", [])
    found = find_original(report)
    # A rule that passes on whatever comes in passes on the receipt, too.
    about = found.copy.message.internet_message_id if found.copy else ""
    if is_our_own(report.tenant_id, [report.original_id, about, *named]):
        report.found_why = "It is about a mail of Bailey's own, or answers one."
        _close(report, State.IGNORED)
        return
    report.found, report.found_why = found.how, found.why
    if report.is_automatic and found.copy is None and not report.evidence:
        report.found_why = "An automatic mail without a mail attached: no report."
        _close(report, State.IGNORED)
        return
    if found.copy is None and not _tells_of_mail(report):
        report.state = State.MISSING
    else:
        record([_word(report, found)])
        report.state, report.delivery = State.SAID, found.copy
        if report.said == Said.NOT_JUNK and found.copy is not None:
            _wish(report, found.copy)
    send_receipt(report)
    _close(report, report.state)


def _close(report: UserReport, state: str) -> None:
    report.state = state
    report.original = {}
    report.save()


def _tells_of_mail(report: UserReport) -> bool:
    """Enough to make a copy of, or to recognise one by that arrives later."""
    return bool(report.original_id or report.original_fingerprint or report.evidence)


def _word(report: UserReport, found: FoundCopy) -> Word:
    """The reporter's word of the mail, without a verdict where somebody of the staff has spoken,
    and where the reporter takes it for harmless: no reader clears a mail.
    """
    copy = found.copy
    is_bare = report.said == Said.NOT_JUNK or (copy is not None and _staff_has_spoken(copy))
    said = UserReport.Said(report.said).label.lower()
    detail: dict[str, Any] = {"report": str(report.id), "said": report.said}
    if copy is not None:
        detail["delivery_id"] = str(copy.id)
    else:
        detail["received_at"] = _received_at(report).isoformat()
    address = report.mailbox.address if report.mailbox else report.reporter
    return Word(
        tenant_id=report.tenant_id,
        layer=Layer.PERSON,
        source=f"{SOURCE}{report.reporter}",
        source_key=str(report.id),
        observed_at=report.reported_at,
        recipient=copy.recipient if copy else address,
        internet_message_id=report.original_id,
        fingerprint=report.original_fingerprint,
        verdict=None if is_bare else Verdict.SUSPICIOUS,
        reasons=(
            Reason("said_by_reader", f"{report.reporter} reported it: {said}.", report.words),
        ),
        mail={} if copy else report.original,
        evidence="" if copy else report.evidence,
        detail=detail,
    )


def _received_at(report: UserReport) -> datetime:
    """When the newest hop took the mail, as the reporter's copy says; the report's time at last."""
    for hop in report.original.get("hops", [])[:1]:
        try:
            at = datetime.fromisoformat(hop.get("received_at") or "")
        except ValueError:
            break
        if at.tzinfo is not None and report.reported_at - WINDOW <= at <= report.reported_at:
            return at
    return report.reported_at


def _staff_has_spoken(copy: Delivery) -> bool:
    """About any copy of the mail: an analyst's word is about the mail."""
    seen = Sighting.objects.filter(
        tenant=copy.tenant_id, delivery__message=copy.message_id
    ).values_list("observation_id", "observed_at")
    ids, times = zip(*seen, strict=True) if seen else ((), ())
    words = Observation.objects.filter(id__in=ids, observed_at__in=times, layer=Layer.PERSON)
    return words.filter(source__startswith="person:", verdict__isnull=False).exists()


def _wish(report: UserReport, copy: Delivery) -> None:
    """Held mail that is reported as harmless is asked for, as if by a link of the digest."""
    if copy.place != Place.HOLD or report.mailbox_id is None:
        return
    ClientWord.objects.bulk_create(
        [
            ClientWord(
                tenant_id=report.tenant_id,
                kind=ClientWord.Kind.RELEASE,
                source=ClientWord.Source.REPORT,
                delivery=copy,
                text=report.words or "Reported as not junk.",
                person_id=report.mailbox_id,
                person_name=report.reporter[:200],
            )
        ],
        ignore_conflicts=True,  # it is asked for already
    )
    want_work(report.tenant_id, REQUESTS)


def follow(report: UserReport) -> None:
    """Intake may have made sense of the word: which copy is it, and which incident?"""
    seen = Observation.objects.filter(
        tenant=report.tenant_id,
        source=f"{SOURCE}{report.reporter}",
        source_key=str(report.id),
        observed_at=report.reported_at,
    ).values_list("id", flat=True)
    sighting = Sighting.objects.filter(tenant=report.tenant_id, observation_id__in=list(seen))
    delivery_id = sighting.values_list("delivery_id", flat=True).first()
    if delivery_id is None:
        return  # intake still waits for the layers' own accounts
    report.delivery_id, report.state = delivery_id, State.PLACED
    if not report.found:
        copy = Delivery.objects.get(id=delivery_id)
        was_seen = copy.gateway_at is not None or copy.mailbox_at is not None
        report.found = Found.BY_ID if was_seen else Found.ATTACHED
    incident = incident_of(report)
    if incident is not None and not incident.is_open:
        report.owes_outcome = True
    report.save()
    if incident is not None and incident.is_open:
        follow_herd(incident)


def incident_of(report: UserReport) -> Incident | None:
    mails = Incident.objects.filter(
        tenant=report.tenant_id, memberships__message__deliveries=report.delivery_id
    )
    return mails.first()


def tell(report: UserReport) -> None:
    """Its incident was resolved."""
    incident = incident_of(report)
    if incident is None or incident.is_open:
        UserReport.objects.filter(id=report.id).update(owes_outcome=False)
        return
    send_outcome(report, incident)


_STEPS: tuple[tuple[Q, Callable[[UserReport], None]], ...] = (
    (Q(state=State.NEW), place),
    (Q(state=State.SAID), follow),
    (Q(owes_outcome=True), tell),
)
