"""What is held until the commit, and in which order: nobody can lock another out.

1. ``hold_intake``: the client's mail waits while its facts are made anew.
2. ``take_turn``: the client's boundaries.  Whoever changes which mail is in which incident or
   which incident in which campaign, gives a number, or holds more than one incident of a client
   takes its turn first, and so meets nobody else who holds one and wants another.
3. Copies, then incidents, then their disagreements, then campaigns, each in the order of their ids.
4. ``hold_links``, at the end.

Who acts on incidents of several clients goes client by client (``in_order``): what is held of a
client, the work that it wants too, is held before anything of the next.

Who holds one incident alone needs no turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from uuid import UUID

from django.db import connection

from incidents.bulk import run
from incidents.models import Campaign, Delivery, Incident


def hold_intake(tenant_id: int) -> None:
    """One at a time makes sense of a client's mail."""
    run("SELECT pg_advisory_xact_lock(hashtext('incidents.correlation'), %s)", [tenant_id])


def take_turn(tenant_id: int) -> None:
    """Before any incident is held."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('incidents.turn'), %s)", [tenant_id])


def take_turns(incidents: Iterable[Incident]) -> None:
    """For one act on all of these: the turn of each client that has several among them."""
    counted = Counter(incident.tenant_id for incident in incidents)
    for tenant_id in sorted(tenant_id for tenant_id, n in counted.items() if n > 1):
        take_turn(tenant_id)


def in_order(incidents: Iterable[Incident]) -> list[Incident]:
    """In which one act on all of these holds them."""
    return sorted(incidents, key=lambda incident: (incident.tenant_id, incident.id))


def hold_copies(incident_id: UUID) -> None:
    """Those of the incident's mails."""
    rows = Delivery.objects.filter(message__memberships__incident=incident_id).order_by("id")
    list(rows.select_for_update(of=("self",)).values_list("id"))


def hold_incidents(incident_ids: Collection[UUID]) -> None:
    rows = Incident.objects.filter(id__in=incident_ids).order_by("id")
    list(rows.select_for_update().values_list("id"))


def hold_campaigns(campaign_ids: Collection[UUID]) -> None:
    rows = Campaign.objects.filter(id__in=campaign_ids).order_by("id")
    list(rows.select_for_update().values_list("id"))


def hold_links(provider_id: int) -> None:
    """The last thing that is held: links between campaigns of the provider's clients."""
    run("SELECT pg_advisory_xact_lock(hashtext('incidents.links'), %s)", [provider_id])
