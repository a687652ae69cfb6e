"""What reporters are told: a receipt at once, the outcome once the incident is resolved.

Through the outbox, to mailboxes of the client alone, each once.  Loops end here: automatic mail and
answers to Bailey's own mail are never answered, nor is the report mailbox itself, and one mailbox
gets at most ``MOST_A_DAY`` of each kind within 24 hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _

from incidents.assessment import within_reach
from incidents.models import Incident, UserReport
from incidents.notices import inert
from incidents.userreports.terms import terms_of
from tenants.models import Mailbox, OutgoingMail, Tenant
from tenants.outbox import post

MOST_A_DAY = 10
DAY = timedelta(hours=24)
RECEIPT, OUTCOME = "receipt", "outcome"
HARMLESS = "harmless"
Kind, Classification = Incident.Kind, Incident.Classification


def is_our_own(tenant_id: int, message_ids: Iterable[str]) -> bool:
    """Is any of these the Message-ID of a mail that Bailey sent to this client?"""
    ids = [each for each in message_ids if each]
    sent = OutgoingMail.objects.filter(tenant_id=tenant_id, message_id__in=ids)
    return bool(ids) and sent.exists()


def send_receipt(report: UserReport) -> None:
    """Sets ``receipt_at`` or ``unanswered``; the caller saves.  Needs the client's scope."""
    to, why = _addressee(report, RECEIPT)
    if not to:
        report.unanswered = why
        return
    is_missing = report.state == UserReport.State.MISSING
    context = {**_context(report), "is_missing": is_missing, "why": report.found_why}
    template = "mail/report_receipt.txt"
    if report.said == UserReport.Said.NOT_JUNK:
        subject = _("We have your word that a mail is harmless")
    else:
        subject = _("We have your report, thank you")
    post(
        tenant_id=report.tenant_id,
        event=f"report/{report.id}/receipt",
        kind=RECEIPT,
        to=to,
        subject=subject,
        text=render_to_string(template, context),
    )
    report.receipt_at, report.unanswered = timezone.now(), ""


def send_outcome(report: UserReport, incident: Incident) -> None:
    """One mail for all that this reporter reported of the incident; told again only where the
    answer has changed since.  Writes the rows.
    """
    if incident.kind in (Kind.HEALTH, Kind.ACCOUNT):
        why = "Its incident is about the way of mail or an account, and says nothing of this mail."
        UserReport.objects.filter(id=report.id).update(owes_outcome=False, unanswered=why)
        return
    outcome = outcome_of(incident)
    same = UserReport.objects.filter(
        tenant=report.tenant_id,
        mailbox=report.mailbox_id,
        trust=UserReport.Trust.OWN,
        delivery__message__memberships__incident=incident,
    )
    reports = list(same)
    rows = UserReport.objects.filter(id__in=[each.id for each in reports])
    # Of another report of the same mail it may have been told already.
    before = [each.outcome_at for each in reports if each.outcome == outcome and each.outcome_at]
    if not before:
        to, why = _addressee(report, OUTCOME)
        if not to:
            rows.update(owes_outcome=False, unanswered=why)
            return
        _post_outcome(report, incident, outcome, to)
    told_at = max(before, default=timezone.now())
    rows.update(owes_outcome=False, outcome=outcome, outcome_at=told_at)
    # Why an earlier one was not told; that of a receipt that was never sent stays.
    rows.exclude(receipt_at=None).update(unanswered="")


def _post_outcome(report: UserReport, incident: Incident, outcome: str, to: str) -> None:
    subject, said, advice = words_of(outcome)
    context = {
        **_context(report),
        "said": said,
        "was_right": outcome != HARMLESS and report.said != UserReport.Said.NOT_JUNK,
        "advice": advice,
        "removed": _removed(incident),
    }
    post(
        tenant_id=report.tenant_id,
        event=f"report/outcome/{incident.id}/{report.mailbox_id}/{incident.resolved_at}",
        kind=OUTCOME,
        to=to,
        subject=subject,
        text=render_to_string("mail/report_outcome.txt", context),
    )


def outcome_of(incident: Incident) -> str:
    """A key of ``words_of``: ``harmless``, or the kind of a true positive."""
    is_threat = incident.classification == Classification.TRUE_POSITIVE
    return incident.kind if is_threat else HARMLESS


def words_of(outcome: str) -> tuple[str, str, str]:
    """Subject, what it was, and what the reporter should do."""
    clicked = _(
        "If you clicked a link in it, entered a password or opened a file, tell your IT at once."
    )
    match outcome:
        case "harmless":
            return (
                _("The mail that you reported is harmless"),
                _("We have looked at it: it is harmless."),
                _("You can use it. Asking was right: report again whatever looks odd to you."),
            )
        case Kind.PHISH:
            return (
                _("The mail that you reported was phishing"),
                _("It was phishing, made to steal passwords or data."),
                clicked,
            )
        case Kind.BEC:
            return (
                _("The mail that you reported was fraud"),
                _("It was fraud. Its sender is not who it says."),
                _("If you answered it or paid anything, tell your IT and your finance team now."),
            )
        case Kind.MALWARE:
            return (
                _("The mail that you reported carried malware"),
                _("It carried harmful software."),
                _("If you opened the file, disconnect the computer and tell your IT at once."),
            )
        case Kind.SPAM:
            return (
                _("The mail that you reported was spam"),
                _("It was spam."),
                _("Delete it; nothing else is to be done."),
            )
    return (
        _("The mail that you reported was a threat"),
        _("It was a threat."),
        clicked,
    )


def _removed(incident: Incident) -> str:
    """What became of the copies; only what has been read back."""
    removed = int(incident.counts.get("removed", 0))
    if removed and not within_reach(incident.counts):
        return _("All copies of it that were found have been removed from mailboxes.")
    return _("Copies of it have been removed from mailboxes.") if removed else ""


def _addressee(report: UserReport, kind: str) -> tuple[str, str]:
    """Where to, or "" and why nobody is answered."""
    terms = terms_of(report.tenant_id)
    if not terms.answers:
        return "", "The client's terms say that reporters are not answered."
    if report.is_automatic:
        return "", "The report is an automatic mail: it is not answered."
    if report.original_sender == parseaddr(settings.DEFAULT_FROM_EMAIL)[1].lower():
        return "", "What it reports says that it is Bailey's own mail: it is not answered."
    box = report.mailbox
    if not report.counts or box is None or box.state == Mailbox.State.GONE:
        return "", "No mailbox of the client has this address."
    if report.mailbox_id == terms.mailbox_id:
        return "", "The report mailbox is not answered itself."
    # Whoever answers this mailbox now waits here: the limit holds for all of them together.
    list(Mailbox.objects.filter(id=box.id).select_for_update(of=("self",)).values_list("id"))
    lately = OutgoingMail.objects.filter(
        tenant=report.tenant_id,
        kind=kind,
        to_address=box.address,
        created_at__gte=timezone.now() - DAY,
    )
    if lately.count() >= MOST_A_DAY:
        return "", f"It had {MOST_A_DAY} answers within 24 hours."
    return box.address, ""


def _context(report: UserReport) -> dict[str, Any]:
    tenant = Tenant.objects.select_related("provider").get(id=report.tenant_id)
    copy = report.delivery
    subject = copy.message.subject if copy else report.original_subject
    sender = copy.message.sender_address if copy else report.original_sender
    return {
        "provider": tenant.provider.name,
        "reported_at": report.reported_at,
        "mail_subject": inert(subject) or _("(no subject)"),
        "mail_sender": inert(sender) or _("not readable"),
        "not_junk": report.said == UserReport.Said.NOT_JUNK,
    }
