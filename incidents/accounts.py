"""Incidents of accounts that seem to be in other hands: one for each mailbox, while it is open.

Its mails are those that the mailbox sent; they join it by their sender alone, never by what others
sent that looks alike.
"""

from __future__ import annotations

from collections.abc import Collection

from incidents.holding import take_turn
from incidents.models import Incident, IncidentMessage, Message
from incidents.opening import add_message, open_incident, refresh_incident
from tenants.models import Tenant


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
    incident = (
        Incident.objects.filter(
            tenant=tenant, kind=Incident.Kind.ACCOUNT, sender=mailbox, merged_into=None
        )
        .exclude(state=Incident.State.RESOLVED)
        .order_by("number")
        .first()
    )
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
    refresh_incident(incident)
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
