"""Incidents by what names them exactly: their number, or the number of their ticket."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from incidents.campaigns.moving import successor
from incidents.models import Incident
from tenants.scope import current_scope

MOST = 10


def read_number(text: str) -> int | None:
    """``12`` or ``#12``; None: it is no number of an incident."""
    number = text.removeprefix("#")
    return int(number) if number.isdecimal() and len(number) < 10 else None


def has_ticket(ticket: str) -> Q:
    """Incidents of the clients in scope that have it, or into which one that has it was merged.

    Capital letters or not, as far as all of it is written in one way.
    """
    spellings = {ticket, ticket.upper(), ticket.lower()} - {""}
    mine = Q(tenant__in=current_scope().tenant_ids, ticket__in=spellings)
    merged = Incident.objects.filter(mine, merged_into__isnull=False)
    return Q(merged_into=None) & (mine | Q(id__in=_where_they_lead(merged)))


def _where_they_lead(merged: QuerySet[Incident]) -> set[UUID]:
    """Over all steps; one statement for each."""
    found: set[UUID] = set()
    step = set(merged.values_list("merged_into_id", flat=True))
    while step:
        found |= step
        rows = Incident.objects.filter(id__in=step, merged_into__isnull=False)
        step = set(rows.values_list("merged_into_id", flat=True)) - found
    return found


def incidents_named(text: str) -> list[Incident]:
    """Those with this number or ticket, open or not, the newest first; ``MOST`` at most."""
    named = has_ticket(text)
    if (number := read_number(text)) is not None:
        named |= Q(number=number)
    rows = Incident.objects.filter(named, tenant__in=current_scope().tenant_ids)
    newest = rows.select_related("tenant").order_by("-opened_at", "id")[:MOST]
    return list({found.id: found for found in map(successor, newest)}.values())
