"""Why together?  Answers from the ledger, in words, with how rare each shared value was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from incidents.campaigns.ledger import standing, touching
from incidents.campaigns.moving import message_ids_of
from incidents.campaigns.words import say_all, say_part
from incidents.models import Edge, Incident, IncidentMessage

Pair = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class Tie:
    """All that stands between two mails, as one sentence.  ``weight`` orders ties."""

    a: UUID
    b: UUID
    level: str
    sentence: str
    weight: float
    since: datetime


def ties_of(message_ids: Collection[UUID], level: str = "") -> list[Tie]:
    """Every standing tie with an end among these mails, the strongest first."""
    rows: defaultdict[tuple[str, Pair], list[Edge]] = defaultdict(list)
    for row in touching(standing(level), message_ids).order_by("id"):
        rows[row.level, (row.a_id, row.b_id)].append(row)
    ties = [
        Tie(a, b, at, _say(edges), sum(edge.weight for edge in edges), edges[0].created_at)
        for (at, (a, b)), edges in rows.items()
    ]
    return sorted(ties, key=lambda tie: (-tie.weight, tie.a, tie.b))


def _say(edges: Iterable[Edge]) -> str:
    """A person's word comes first; evidence follows, the weightiest first."""
    said, parts = [], []
    for edge in sorted(edges, key=lambda edge: -edge.weight):
        if edge.act == Edge.Act.LINK:
            parts.append(say_part(edge.kind, edge.label, edge.messages, edge.total, edge.reason))
        else:
            verb = "put them together" if edge.act == Edge.Act.MUST else "keeps them apart"
            said.append(f"{edge.who} {verb}: {edge.reason.rstrip('.')}.")
    if parts:
        said.append(f"Both have {say_all(parts)}.")
    return " ".join(said)


def why_in_incident(incident: Incident) -> dict[UUID, list[str]]:
    """Message → why it stands in the incident; [] for the one that opened it."""
    ids = set(message_ids_of(incident))
    why: defaultdict[UUID, list[str]] = defaultdict(list)
    for tie in ties_of(ids, Edge.Level.GROUP):
        if tie.a in ids and tie.b in ids:
            why[tie.a].append(tie.sentence)
            why[tie.b].append(tie.sentence)
    return {message_id: list(dict.fromkeys(sentences)) for message_id, sentences in why.items()}


@dataclass(frozen=True, slots=True)
class CampaignTie:
    """What joins this incident directly to another one of its campaign."""

    other: Incident
    sentence: str
    since: datetime


def why_in_campaign(incident: Incident) -> list[CampaignTie]:
    """Direct ties to other incidents, the strongest first; each once."""
    own = set(message_ids_of(incident))
    ties = [tie for tie in ties_of(own, Edge.Level.CAMPAIGN) if (tie.a in own) != (tie.b in own)]
    ends = {tie.b if tie.a in own else tie.a for tie in ties}
    members = {
        member.message_id: member.incident
        for member in IncidentMessage.objects.select_related("incident").filter(message__in=ends)
    }
    found: dict[UUID, CampaignTie] = {}
    for tie in ties:
        other = members.get(tie.b if tie.a in own else tie.a)
        if other is not None:
            found.setdefault(other.id, CampaignTie(other, tie.sentence, tie.since))
    return list(found.values())
