"""Incidents like this one that were worked on before, at clients in sight: what they turned out to
be is the best advice there is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Case, Count, Max, Min, When
from django.utils import timezone

from incidents.models import GroupKey, Incident

LOOKED_BACK = timedelta(days=180)
SHOWN = 8
_MOST_KEYS = 200
_MOST_MET = 200
_WEIGHTS = {"content": 10, "file": 8, "sender": 5}
# Rows are read with the kind that tells most first.
_RANK = Case(When(kind="content", then=0), When(kind="file", then=1), default=2)


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
    latest_first = sorted(points, reverse=True)
    best = sorted(latest_first, key=lambda other: -points[other])[:SHOWN]
    rows = Incident.objects.select_related("tenant").in_bulk(best)
    return [Similar(rows[other], ", ".join(why[other])) for other in best if other in rows]


def _by_keys(incident: Incident) -> list[tuple[UUID, int, str]]:
    """Counted in the database for each other incident; cut after the likest, the latest first."""
    own = (
        GroupKey.objects.filter(tenant=incident.tenant_id, incident=incident)
        .values("value")
        .annotate(rank=Min(_RANK), last=Max("last_seen_at"))
        .order_by("rank", "-last", "value")
    )
    met = (
        GroupKey.objects.filter(value__in=[row["value"] for row in own[:_MOST_KEYS]])
        .exclude(incident=incident.id)
        # Ids sort by time: the index alone answers.
        .values("incident_id", "kind", rank=_RANK)
        .annotate(n=Count("value", distinct=True))
        .order_by("rank", "-n", "-incident_id")
    )
    found = []
    with_content: set[UUID] = set()
    for row in met[:_MOST_MET]:
        other, kind, n = row["incident_id"], row["kind"], row["n"]
        if kind == "content":
            with_content.add(other)
            found.append((other, _WEIGHTS[kind], "the same content"))
        elif kind == "file":
            found.append((other, _WEIGHTS[kind], "the same file"))
        elif n > 1 and other not in with_content:
            found.append((other, n, "much of the same text"))
    return found


def _by_sender(incident: Incident) -> list[tuple[UUID, int, str]]:
    if not incident.sender:
        return []
    rows = (
        Incident.objects.filter(
            sender=incident.sender,
            last_seen_at__gte=timezone.now() - LOOKED_BACK,
            merged_into=None,
        )
        .exclude(id=incident.id)
        .order_by("-last_seen_at", "-id")
        .values_list("id", flat=True)[:100]
    )
    return [(other, _WEIGHTS["sender"], "the same sender") for other in rows]
