"""The same mail at several clients in sight: what one look at all of them shows.

Alike means: the same content, the same file, or text of which at least four of sixteen MinHash
bands meet (about 70 % of it; see incidents/grouping.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from uuid import UUID

from incidents.models import GroupKey, Incident

BANDS_ALIKE = 4
MOST_KEYS = 2000
_KINDS = ("content", "file", "text")


def same_at_other_clients(incidents: Collection[Incident]) -> dict[UUID, dict[UUID, int]]:
    """Incident → incidents of other clients with the same mail, each with its client's id."""
    own = list(
        GroupKey.objects.filter(
            tenant__in={incident.tenant_id for incident in incidents},
            incident__in=[incident.id for incident in incidents],
        )
        .order_by("-last_seen_at")
        .values_list("incident_id", "tenant_id", "kind", "value")[:MOST_KEYS]
    )
    holders: defaultdict[tuple[str, str], set[tuple[UUID, int]]] = defaultdict(set)
    found = GroupKey.objects.filter(kind__in=_KINDS, value__in={value for *_, value in own})
    for incident_id, tenant_id, kind, value in found.values_list(
        "incident_id", "tenant_id", "kind", "value"
    ).order_by("-last_seen_at", "-id")[: MOST_KEYS * 5]:
        holders[kind, value].add((incident_id, tenant_id))
    bands: Counter[tuple[UUID, UUID]] = Counter()
    tenant_of: dict[UUID, int] = {}
    for incident_id, tenant_id, kind, value in set(own):
        for other_id, other_tenant in holders[kind, value]:
            if other_tenant != tenant_id:
                tenant_of[other_id] = other_tenant
                bands[incident_id, other_id] += 1 if kind == "text" else BANDS_ALIKE
    alike: defaultdict[UUID, dict[UUID, int]] = defaultdict(dict)
    for (incident_id, other_id), meetings in bands.items():
        if meetings >= BANDS_ALIKE:
            alike[incident_id][other_id] = tenant_of[other_id]
    return dict(alike)


def campaign_words(others: dict[UUID, int]) -> str:
    """``2 clients`` with the incident's own; "" where it is alone."""
    return f"{len(set(others.values())) + 1} clients" if others else ""
