"""Who but the layers holds otherwise of an incident: a person, or the mail host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from console.lib.words import verdict_word
from incidents.models import Disagreement, Incident
from incidents.models.mail import Layer
from incidents.story.reading import REPORT

# Marks of an incident whose contradiction is not one between the two layers.
OTHERS_AGAINST = frozenset({Disagreement.Kind.PERSON.value, Disagreement.Kind.VENDOR.value})
_OTHERS = {Layer.PERSON.value: "Somebody", Layer.VENDOR.value: "The mail host"}


def others_against(incidents: Iterable[Incident]) -> dict[UUID, str]:
    """Incident → ``Kim says phish``.  Asks only where one is marked so; at most one query."""
    marked = [each for each in incidents if OTHERS_AGAINST.intersection(each.cross_layer)]
    if not marked:
        return {}
    items = Disagreement.objects.filter(
        tenant_id__any_of={incident.tenant_id for incident in marked},
        incident_id__any_of=[incident.id for incident in marked],
        kind__in=sorted(OTHERS_AGAINST),
    ).order_by("created_at")
    found: dict[UUID, list[Disagreement]] = {incident.id: [] for incident in marked}
    for item in items.only("tenant", "incident", "kind", "state", "sides", "copies"):
        if item.incident_id:
            found[item.incident_id].append(item)
    return {incident_id: words_against(items) for incident_id, items in found.items()}


def words_against(items: Sequence[Disagreement]) -> str:
    """``Kim says phish, the mail host says malware``; each of them once, "" where nobody does."""
    said = dict.fromkeys(
        _word_of(item, side)
        for item in items
        if item.kind in OTHERS_AGAINST and item.state != Disagreement.State.SETTLED
        for side in item.sides
        if side["layer"] in _OTHERS
    )
    return ", ".join(said)


def _word_of(item: Disagreement, side: Mapping[str, Any]) -> str:
    """A reader's report is no judgement: what she chose stands with it."""
    if str(side.get("source") or "").startswith(REPORT):
        return f"{who_of(side) if item.copies == 1 else 'people'} reported it"
    return f"{who_of(side)} says {str(verdict_word(side['verdict']).text).lower()}"


def who_of(side: Mapping[str, Any]) -> str:
    """Items of before this was noted say no name."""
    return str(side.get("who") or _OTHERS.get(side["layer"], ""))
