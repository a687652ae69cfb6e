"""The same campaign at several clients in sight: what one look at all of them shows.

Clients are linked by the provider's keyed fingerprints (incidents/campaigns/links.py).  Whoever
asks sees those of the clients in her scope: the wall decides.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models.expressions import RawSQL

from incidents.bulk import fetch
from incidents.models import Incident

# The incident itself and those of its campaign, with the roots of their fingerprints.
_ASKED = """
WITH asked AS (
    SELECT id AS asked, tenant_id, id AS incident_id FROM incidents_incident WHERE id = ANY(%(ids)s)
    UNION
    SELECT w.id, w.tenant_id, s.id
    FROM incidents_incident w
    JOIN incidents_incident s ON s.tenant_id = w.tenant_id AND s.campaign_id = w.campaign_id
    WHERE w.id = ANY(%(ids)s)
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
    ids = [incident.id for incident in incidents]
    return {asked: int(n) for asked, n in fetch(_CLIENTS, {"ids": ids})} if ids else {}


def campaign_words(clients: int) -> str:
    """``2 clients``; "" where it is at one alone."""
    return f"{clients} clients" if clients else ""


def incidents_everywhere(incident: Incident) -> list[UUID]:
    """The incidents of its campaign, and those of other clients in sight that are linked to it."""
    return [row[0] for row in fetch(_EVERYWHERE, {"ids": [incident.id]})]


def as_rows(ids: Collection[UUID]) -> RawSQL:
    """For ``id__in``: as one value, however many they are."""
    return RawSQL("SELECT unnest(%s::uuid[])", [list(ids)])
