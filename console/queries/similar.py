"""Incidents like this one that were worked on before, at clients in sight: what they turned out to
be is the best advice there is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from incidents.models import GroupKey, Incident

LOOKED_BACK = timedelta(days=180)
SHOWN = 8
_MOST_KEYS = 200
_WEIGHTS = {"content": 10, "file": 8, "sender": 5}


@dataclass(frozen=True, slots=True)
class Similar:
    incident: Incident
    why: str


def similar_to(incident: Incident) -> list[Similar]:
    """The likest first; three statements.  Text bands of which several meet count as content."""
    points: defaultdict[UUID, int] = defaultdict(int)
    why: defaultdict[UUID, list[str]] = defaultdict(list)
    for other, weight, words in [*_by_keys(incident), *_by_sender(incident)]:
        points[other] += weight
        why[other].append(words)
    best = sorted(points, key=lambda other: (-points[other], str(other)))[:SHOWN]
    rows = Incident.objects.select_related("tenant").in_bulk(best)
    return [Similar(rows[other], ", ".join(why[other])) for other in best if other in rows]


def _by_keys(incident: Incident) -> list[tuple[UUID, int, str]]:
    own = list(
        GroupKey.objects.filter(tenant=incident.tenant_id, incident=incident)
        .order_by("-last_seen_at")
        .values_list("kind", "value")[:_MOST_KEYS]
    )
    rows = (
        GroupKey.objects.filter(
            value__in={value for _, value in own}, kind__in={kind for kind, _ in own}
        )
        .exclude(incident=incident.id)
        .values_list("incident_id", "kind", "value")[: _MOST_KEYS * 10]
    )
    met: defaultdict[UUID, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for other, kind, value in rows:
        if (kind, value) in set(own):
            met[other][kind].add(value)
    found = []
    for other, kinds in met.items():
        if "content" in kinds:
            found.append((other, _WEIGHTS["content"], "the same content"))
        elif len(kinds["text"]) > 1:
            found.append((other, len(kinds["text"]), "much of the same text"))
        if "file" in kinds:
            found.append((other, _WEIGHTS["file"], "the same file"))
    return found


def _by_sender(incident: Incident) -> list[tuple[UUID, int, str]]:
    if not incident.sender:
        return []
    rows = (
        Incident.objects.filter(
            sender=incident.sender, last_seen_at__gte=timezone.now() - LOOKED_BACK
        )
        .exclude(id=incident.id)
        .order_by("-last_seen_at")
        .values_list("id", flat=True)[:100]
    )
    return [(other, _WEIGHTS["sender"], "the same sender") for other in rows]
