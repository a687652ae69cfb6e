"""Incidents of accounts that seem to be in other hands: one for each mailbox, while it is open.

Two roads lead to it: the gateway stopped the mailbox from sending, or the signs that were noted
about its account come to the client's threshold (incidents/signs.py).  Its mails are those that the
mailbox sent; they join it by their sender alone, never by what others sent that looks alike.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from incidents.campaigns.moving import next_number
from incidents.codes import COUNTS
from incidents.holding import take_turn
from incidents.models import AccountSign, Incident, IncidentMessage, Message
from incidents.opening import add_message, open_incident, refresh_incident
from incidents.signs import SIGNS, WINDOW, points_of
from tenants.audit import BAILEY, write_audit
from tenants.models import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One sign as it was read.  Fields as in ``AccountSign``.

    ``is_again``: the thing was gone meanwhile and has come back.
    """

    code: str
    key: str
    words: str
    source: str
    at: datetime
    raw: dict[str, Any] = field(default_factory=dict)
    is_again: bool = False


def open_account_incident(
    *, tenant: Tenant, mailbox: str, trace_ulids: Collection[str], reason: str
) -> Incident | None:
    """The mailbox's open incident, or a new one, with these mails.  Needs the client's scope.

    None: no gate's account of any of them is known yet.
    """
    take_turn(tenant.id)
    messages = list(
        Message.objects.filter(tenant=tenant, trace_ulid__in=trace_ulids).order_by(
            "first_seen_at", "id"
        )
    )
    if not messages:
        return None
    incident = open_incident_of(tenant, mailbox)
    for message in messages:
        left = _leave(message, incident)
        if incident is None:
            incident = open_incident(tenant, message, Incident.Kind.ACCOUNT, reason)
            Incident.objects.filter(id=incident.id).update(sender=mailbox)
        elif not IncidentMessage.objects.filter(incident=incident, message=message).exists():
            add_message(incident, message, reason)
        if left is not None:
            refresh_incident(left)
    assert incident is not None  # there is a message
    stopped = Sign(
        code="stopped",
        key=min(trace_ulids),
        words=reason,
        source="Gateway",
        at=max(message.last_seen_at for message in messages),
        raw={"mails": sorted(trace_ulids)},
    )
    _keep(tenant, mailbox, stopped, incident)
    # What was known of the account and did not reach the threshold by itself belongs here, too.
    _unsettled(tenant, mailbox).update(incident=incident)
    refresh_incident(incident)
    return incident


def open_incident_of(tenant: Tenant, mailbox: str) -> Incident | None:
    """The account's open incident."""
    found = Incident.objects.filter(
        tenant=tenant, kind=Incident.Kind.ACCOUNT, sender=mailbox, merged_into=None
    )
    return found.exclude(state=Incident.State.RESOLVED).order_by("number").first()


@transaction.atomic
def note_signs(
    tenant: Tenant, mailbox: str, signs: Sequence[Sign], *, threshold: int
) -> Incident | None:
    """Keeps what is new, and joins or opens the account's incident.  Needs the client's scope.

    1. a sign that is known counts no second time, whatever became of its incident: what a person
       closed stays closed by the same evidence.  Where an incident was closed as a true positive
       and the thing was gone and came back, it is a new sign;
    2. new signs join an open incident, whatever they weigh;
    3. else the signs of the last ``WINDOW`` that belong to no incident are added up, and open one
       from ``threshold`` points.
    Answers the account's open incident, None where there is none.
    """
    take_turn(tenant.id)
    incident = open_incident_of(tenant, mailbox)
    kept = [sign for sign in signs if _keep(tenant, mailbox, sign, incident)]
    if incident is not None:
        if kept:
            refresh_incident(incident)
        return incident
    loose = _unsettled(tenant, mailbox)
    rows = list(loose)
    if not rows or points_of(rows) < threshold:
        return None
    incident = _open_by_signs(tenant, mailbox, rows)
    loose.update(incident=incident)
    refresh_incident(incident)
    return incident


def _unsettled(tenant: Tenant, mailbox: str) -> Any:
    since = timezone.now() - WINDOW
    return AccountSign.objects.filter(tenant=tenant, mailbox=mailbox, incident=None, at__gte=since)


def _keep(tenant: Tenant, mailbox: str, sign: Sign, incident: Incident | None) -> bool:
    """False: it is known."""
    known = AccountSign.objects.filter(
        tenant=tenant, mailbox=mailbox, code=sign.code, key=sign.key
    ).select_related("incident")
    key, row = sign.key, known.first()
    if row is not None:
        if not sign.is_again or row.incident is None or not _was_confirmed(row.incident):
            return False
        key = f"{sign.key[:160]}@{sign.at:%Y%m%d%H%M%S}"
    _, is_new = AccountSign.objects.get_or_create(
        tenant=tenant,
        mailbox=mailbox,
        code=sign.code,
        key=key,
        defaults={
            "words": sign.words,
            "weight": SIGNS[sign.code].weight,
            "source": sign.source,
            "raw": sign.raw,
            "at": sign.at,
            "incident": incident,
        },
    )
    return is_new


def _was_confirmed(incident: Incident) -> bool:
    confirmed = incident.classification == Incident.Classification.TRUE_POSITIVE
    return not incident.is_open and confirmed


def _open_by_signs(tenant: Tenant, mailbox: str, signs: Sequence[AccountSign]) -> Incident:
    incident: Incident = Incident.objects.create(
        tenant=tenant,
        number=next_number(tenant.id),
        title="An account at risk",
        kind=Incident.Kind.ACCOUNT,
        severity=Incident.Severity.LOW,
        sender=mailbox,
        counts=dict.fromkeys(COUNTS, 0),
        first_seen_at=min(sign.at for sign in signs),
        last_seen_at=max(sign.at for sign in signs),
    )
    write_audit(
        "incidents.incident.opened",
        actor=BAILEY,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="incident",
        object_id=incident.id,
        reason=f"{len(signs)} signs of {points_of(signs)} points so far about {mailbox}.",
    )
    return incident


def _leave(message: Message, incident: Incident | None) -> Incident | None:
    """A mail is in one incident; the account's is the one that says most about it.  Answers the
    other one.
    """
    member = IncidentMessage.objects.select_related("incident").filter(message=message).first()
    if member is None or (incident is not None and member.incident_id == incident.id):
        return None
    member.delete()
    left: Incident = member.incident
    return left
