"""When an incident opens, what joins it, and keeping it true to the facts.

An incident opens when a person must decide, or copies are or were exposed (docs/architecture.md);
mail that a layer settled alone stays a countable fact.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max

from incidents.announce import announce_incident
from incidents.assessment import IN_MAILBOX, RANK, assess
from incidents.codes import CROSS_LAYER
from incidents.disagreements import follow_incident, follow_mails
from incidents.grouping import find_incident_for, remember_keys
from incidents.late_copies import follow_orders
from incidents.ledger import note_incident
from incidents.models import Delivery, Incident, IncidentMessage, Message
from incidents.models.mail import Outcome, Place
from incidents.services.quiet import follow_quiet
from incidents.sla.reckoning import reckon
from incidents.words import Verdict
from tenants.audit import BAILEY, write_audit
from tenants.models import Mailbox, Tenant

_HARMLESS = {"", Verdict.CLEAN, Verdict.GRAYMAIL}


def assess_messages(tenant: Tenant, message_ids: Collection[Any]) -> None:
    """Open, join and refresh the incidents of these messages.  Must run in the client's scope."""
    touched: dict[Any, Incident] = {}
    messages = Message.objects.filter(id__in=message_ids).order_by("first_seen_at", "id")
    for message in messages:
        incident = _incident_for(tenant, message)
        if incident is not None:
            remember_keys(incident, message)
            touched[incident.id] = incident
    for incident in touched.values():
        refresh_incident(incident)
    follow_mails(tenant, message_ids)


def _incident_for(tenant: Tenant, message: Message) -> Incident | None:
    member = IncidentMessage.objects.select_related("incident").filter(message=message).first()
    copies = list(message.deliveries.all())
    if member is not None:
        known: Incident = member.incident
        if known.kind != Incident.Kind.HEALTH or not must_open(copies):
            return known
        # First only a bypass, now a threat: it gets an incident of its own.
        member.delete()
        refresh_incident(known)
    if must_open(copies):
        joined = find_incident_for(message)
        if joined is not None:
            _add(joined.incident, message, joined.reason)
            return joined.incident
        return _open(
            tenant, message, Incident.Kind.SUSPICIOUS, "The incident opened with this mail."
        )
    if any(copy.is_bypass for copy in copies):
        health = Incident.objects.filter(kind=Incident.Kind.HEALTH).exclude(
            state=Incident.State.RESOLVED
        )
        incident = health.first()
        reason = "It reached a mailbox without passing the gateway."
        if incident is None:
            return _open(tenant, message, Incident.Kind.HEALTH, reason)
        _add(incident, message, reason)
        return incident
    return None


def must_open(copies: Sequence[Delivery]) -> bool:
    """Does a person have to decide, or is or was a copy of a threat within somebody's reach?"""
    for copy in copies:
        in_mailbox = copy.place in IN_MAILBOX or copy.was_exposed
        junked_spam = (
            copy.mailbox_verdict == Verdict.SPAM
            and copy.place == Place.JUNK
            and not copy.was_exposed
        )
        if copy.mailbox_verdict not in _HARMLESS and in_mailbox and not junked_spam:
            return True
        delivered = copy.outcome in (Outcome.DELIVERED, Outcome.UNKNOWN)
        if delivered and copy.gateway_verdict not in {*_HARMLESS, Verdict.SPAM}:
            return True
        if delivered and copy.person_verdict not in {*_HARMLESS, Verdict.SPAM}:
            return True
    outcomes = {copy.outcome for copy in copies if copy.gateway_at}
    threatening = any(copy.gateway_verdict not in _HARMLESS for copy in copies)
    return threatening and {Outcome.HELD, Outcome.DELIVERED} <= outcomes


def _open(tenant: Tenant, message: Message, kind: str, reason: str) -> Incident:
    last = Incident.objects.aggregate(number=Max("number"))["number"] or 0
    incident = Incident.objects.create(
        tenant=tenant,
        number=last + 1,
        title=message.subject[:300],
        kind=kind,
        severity=Incident.Severity.LOW,
        first_seen_at=message.first_seen_at,
        last_seen_at=message.last_seen_at,
    )
    _add(incident, message, reason)
    write_audit(
        "incidents.incident.opened",
        actor=BAILEY,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="incident",
        object_id=incident.id,
    )
    return incident


def _add(incident: Incident, message: Message, reason: str) -> None:
    IncidentMessage.objects.create(
        tenant_id=incident.tenant_id, incident=incident, message=message, reason=reason
    )


def refresh_incident(incident: Incident) -> None:
    """Recompute everything that follows from the facts, and tell whoever looks at it."""
    # Locked and read anew: people act on it at the same time.
    incident.refresh_from_db(from_queryset=Incident.objects.select_for_update())
    messages = list(Message.objects.filter(memberships__incident=incident))
    if not messages:
        incident.disagreements.all().delete()
        incident.delete()
        return
    copies = list(Delivery.objects.filter(message__in=messages))
    vips = frozenset(Mailbox.objects.filter(is_vip=True).values_list("address", flat=True))
    was_exposed = incident.counts.get("in_inbox", 0)
    found = assess(
        messages, copies, vip_addresses=vips, is_health=incident.kind == Incident.Kind.HEALTH
    )
    for name in ("kind", "severity", "severity_parts", "cross_layer", "counts", "title", "sender"):
        setattr(incident, name, getattr(found, name))
    incident.gateway_verdict = found.gateway_verdict
    incident.mailbox_verdict = found.mailbox_verdict
    incident.severity_rank = RANK[Incident.Severity(found.severity)]
    incident.queue_rank = found.queue_rank
    incident.first_seen_at = min(message.first_seen_at for message in messages)
    incident.last_seen_at = max(message.last_seen_at for message in messages)
    was_open = incident.is_open
    _follow_exposure(incident, was_exposed)
    marks = follow_incident(incident, messages, copies)
    incident.cross_layer = [code for code in CROSS_LAYER if code in {*found.cross_layer, *marks}]
    follow_orders(incident, copies)
    follow_quiet(incident)
    reckon(incident)
    incident.save()
    if incident.is_open != was_open:
        note_incident(incident)
    transaction.on_commit(lambda: announce_incident(incident.tenant_id, incident.id))


def _follow_exposure(incident: Incident, was_exposed: int) -> None:
    """A new copy in an inbox reopens what was closed; nothing left contains what was open."""
    exposed = incident.counts["in_inbox"] + incident.counts["in_junk"]
    if incident.state == Incident.State.RESOLVED:
        confirmed = incident.classification == Incident.Classification.TRUE_POSITIVE
        if confirmed and incident.counts["in_inbox"] > was_exposed:
            incident.state, incident.resolved_at = Incident.State.TRIAGED, None
    elif not exposed and incident.counts["removed"]:
        incident.state = Incident.State.CONTAINED
    elif incident.state == Incident.State.CONTAINED and exposed:
        incident.state = Incident.State.TRIAGED
