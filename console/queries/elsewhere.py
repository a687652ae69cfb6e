"""The same campaign at several clients in sight: what one look at all of them shows.

Clients are linked by the provider's keyed fingerprints (incidents/campaigns/links.py).  Whoever
asks sees those of the clients in her scope: the wall decides.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models.expressions import RawSQL

from incidents.bulk import fetch
from incidents.models import Incident

# The incident itself and those of its campaign, with the roots of their fingerprints.  What is
# known of the incidents is handed over: by their ids alone, all of every client in sight were read.
_ASKED = """
WITH known AS (
    SELECT *
    FROM unnest(%(ids)s::uuid[], %(tenants)s::bigint[], %(campaigns)s::uuid[])
        AS k (id, tenant_id, campaign_id)
), asked AS (
    SELECT id AS asked, tenant_id, id AS incident_id FROM known
    UNION
    SELECT w.id, w.tenant_id, s.id
    FROM known w
    JOIN incidents_incident s ON s.tenant_id = w.tenant_id AND s.campaign_id = w.campaign_id
), roots AS MATERIALIZED (
    SELECT DISTINCT a.asked, a.tenant_id, l.root
    FROM asked a
    JOIN incidents_linkedincident k
        ON k.tenant_id = a.tenant_id AND k.incident_id = a.incident_id
    JOIN incidents_campaignlink l ON l.id = k.link_id
)
"""
_CLIENTS = (
    _ASKED
    + """
SELECT r.asked, count(DISTINCT k.tenant_id)
FROM roots r
JOIN incidents_campaignlink l ON l.root = r.root
JOIN incidents_linkedincident k ON k.link_id = l.id
GROUP BY r.asked HAVING count(DISTINCT k.tenant_id) > 1
"""
)
_EVERYWHERE = (
    _ASKED
    + """
SELECT incident_id FROM asked
UNION
SELECT k.incident_id
FROM roots r
JOIN incidents_campaignlink l ON l.root = r.root
JOIN incidents_linkedincident k ON k.link_id = l.id AND k.tenant_id <> r.tenant_id
"""
)


def clients_of_campaigns(incidents: Collection[Incident]) -> dict[UUID, int]:
    """Incident → at how many clients in sight its campaign is, where it is at more than one."""
    if not incidents:
        return {}
    return {asked: int(n) for asked, n in fetch(_CLIENTS, _known(incidents))}


def campaign_words(clients: int) -> str:
    """``2 clients``; "" where it is at one alone."""
    return f"{clients} clients" if clients else ""


def incidents_everywhere(incident: Incident) -> list[UUID]:
    """The incidents of its campaign, and those of other clients in sight that are linked to it."""
    return [row[0] for row in fetch(_EVERYWHERE, _known([incident]))]


def _known(incidents: Collection[Incident]) -> dict[str, list[Any]]:
    return {
        "ids": [incident.id for incident in incidents],
        "tenants": [incident.tenant_id for incident in incidents],
        "campaigns": [incident.campaign_id for incident in incidents],
    }


def as_rows(ids: Collection[UUID]) -> RawSQL:
    """For ``id__in``: as one value, however many they are."""
    return RawSQL("SELECT unnest(%s::uuid[])", [list(ids)])
