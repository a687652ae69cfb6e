"""Incidents by what names them exactly: their number, or the number of their ticket."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from incidents.campaigns.moving import successor
from incidents.models import Incident
from tenants.scope import current_scope

MOST = 10


def read_number(text: str) -> int | None:
    """``12`` or ``#12``; None: it is no number of an incident."""
    number = text.removeprefix("#")
    return int(number) if number.isdecimal() and len(number) < 10 else None


def with_ticket(ticket: str) -> set[UUID]:
    """Those of the clients in scope that have it; one that was merged leads to where its mail is.

    Capital letters or not, as far as all of it is written in one way.
    """
    spellings = {ticket, ticket.upper(), ticket.lower()}
    rows = Incident.objects.filter(tenant__in=current_scope().tenant_ids, ticket__in=spellings)
    newest = rows.exclude(ticket="").select_related("tenant").order_by("-opened_at")[:MOST]
    return {successor(each).id for each in newest}


def incidents_named(text: str) -> list[Incident]:
    """Those with this number or ticket, open or not, the newest first; ``MOST`` at most."""
    named = Q(id__in=with_ticket(text))
    if (number := read_number(text)) is not None:
        named |= Q(number=number)
    rows = Incident.objects.filter(named, tenant__in=current_scope().tenant_ids)
    newest = rows.select_related("tenant").order_by("-opened_at", "id")[:MOST]
    return list({found.id: found for found in map(successor, newest)}.values())
