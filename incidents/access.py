"""Fetching one thing for a person.  Not there and not hers give the same answer: ``NotThere``.

The wall decides what is hers; these functions only turn an empty answer into the right error.
"""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.db import models

from incidents.models import (
    Attachment,
    Delivery,
    Disagreement,
    Incident,
    Job,
    Message,
    PullProposal,
    Recomputation,
    Regrouping,
    ReleaseLook,
    Renewal,
    Report,
    StandingOrder,
)
from tenants.errors import NotThere
from tenants.models import AuditEntry, Tenant

_M = TypeVar("_M", bound=models.Model)


def access_one(found: models.QuerySet[_M], object_id: UUID | str) -> _M:
    try:
        key = UUID(str(object_id))
    except ValueError as error:
        raise NotThere from error
    row = found.filter(pk=key).first()
    if row is None:
        raise NotThere
    return row


def access_incident(object_id: UUID | str) -> Incident:
    return access_one(Incident.objects.select_related("tenant", "campaign"), object_id)


def access_log_entry(object_id: UUID | str) -> AuditEntry:
    """An entry about an incident; what else the log holds has no page."""
    entries = AuditEntry.objects.filter(
        tenant__isnull=False, action__startswith="incidents.incident."
    )
    return access_one(entries.select_related("tenant"), object_id)


def access_message(object_id: UUID | str) -> Message:
    return access_one(Message.objects.select_related("tenant"), object_id)


def access_delivery(object_id: UUID | str) -> Delivery:
    return access_one(Delivery.objects.select_related("tenant", "message"), object_id)


def access_look(object_id: UUID | str) -> ReleaseLook:
    found = ReleaseLook.objects.select_related(
        "delivery__message", "delivery__tenant", "intent", "tenant"
    )
    return access_one(found, object_id)


def access_job(object_id: UUID | str) -> Job:
    return access_one(Job.objects.select_related("tenant", "incident"), object_id)


def access_regrouping(object_id: UUID | str) -> Regrouping:
    return access_one(Regrouping.objects.select_related("incident", "other"), object_id)


def access_report(object_id: UUID | str) -> Report:
    return access_one(Report.objects.select_related("tenant", "incident"), object_id)


def access_attachment(object_id: UUID | str) -> Attachment:
    return access_one(Attachment.objects.select_related("tenant", "comment__incident"), object_id)


def access_disagreement(object_id: UUID | str) -> Disagreement:
    return access_one(
        Disagreement.objects.select_related("tenant", "incident__tenant", "message"), object_id
    )


def access_proposal(object_id: UUID | str) -> PullProposal:
    return access_one(PullProposal.objects.select_related("tenant", "incident"), object_id)


def access_renewal(object_id: UUID | str) -> Renewal:
    return access_one(Renewal.objects.select_related("tenant"), object_id)


def access_order(object_id: UUID | str) -> StandingOrder:
    return access_one(StandingOrder.objects.select_related("tenant", "incident"), object_id)


def access_open_recomputation(slug: str) -> Recomputation:
    """What waits for a decision about the client's grouping."""
    rows = Recomputation.objects.select_related("tenant").filter(tenant__slug=slug)
    found = rows.filter(decided_at=None).first()
    if found is None:
        raise NotThere
    return found


def access_client(slug: str) -> Tenant:
    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        raise NotThere
    return tenant
