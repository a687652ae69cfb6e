"""One incident: what its page says beside the story."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone

from console.lib.sla import Sla, sla_left
from console.queries.blindness import Blind, Blindness
from console.queries.campaigns import same_at_other_clients
from console.queries.queue import (
    Part,
    copies_words,
    exposed_now,
    exposure_parts,
    has_disagreement,
    layer_word,
)
from incidents.codes import CROSS_LAYER
from incidents.models import (
    Delivery,
    Incident,
    IncidentMessage,
    Job,
    Message,
    Observation,
    Report,
    Sighting,
)
from incidents.models.mail import Layer
from incidents.words import Verdict

SHOWN_COPIES = 500


@dataclass(frozen=True, slots=True)
class Advice:
    """The one recommended action with its effect."""

    text: str
    effect: str
    href: str
    icon: str


@dataclass(frozen=True, slots=True)
class Why:
    """What a layer decided about the worst copy, and what made it so."""

    layer: str
    verdict: str
    observation: Observation
    reasons: list[dict[str, Any]]
    more: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Member:
    message: Message
    reason: str
    copies: int


@dataclass(frozen=True, slots=True)
class CopyRow:
    recipient: str
    place: str
    outcome: str
    is_read: bool | None
    verified_at: datetime | None
    is_threat: bool
    match: str
    message_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPage:
    incident: Incident
    sla: Sla
    blind: Blind
    exposure: list[Part]
    gateway: str
    mailbox: str
    differ: bool
    facts: list[str]
    advice: Advice
    can_restore: int
    why: list[Why]
    members: list[Member]
    copies: list[CopyRow]
    elsewhere: list[Incident]
    jobs: list[Job]
    reports: list[Report]


def incident_page(incident: Incident) -> IncidentPage:
    blind = Blindness([incident.tenant_id]).of(incident.tenant_id)
    members = members_of(incident)
    copies = copies_of(incident)
    return IncidentPage(
        incident=incident,
        sla=sla_left(incident.severity, incident.opened_at, incident.state, timezone.now()),
        blind=blind,
        exposure=exposure_parts(incident.counts),
        gateway=layer_word(incident.gateway_verdict, incident, "gateway", blind.gateway_since),
        mailbox=layer_word(incident.mailbox_verdict, incident, "mailbox", blind.mailbox_since),
        differ=has_disagreement(incident),
        facts=[CROSS_LAYER[code] for code in incident.cross_layer if code in CROSS_LAYER],
        advice=advice_for(incident),
        can_restore=int(incident.counts.get("removed", 0)),
        why=why_of(incident, copies),
        members=members,
        copies=[copy_row(copy) for copy in copies],
        elsewhere=same_elsewhere(incident),
        jobs=list(
            Job.objects.filter(tenant=incident.tenant_id, incident=incident).order_by(
                "-created_at"
            )[:20]
        ),
        reports=list(
            Report.objects.filter(tenant=incident.tenant_id, incident=incident)
            .defer("document")
            .order_by("-created_at")[:10]
        ),
    )


def members_of(incident: Incident) -> list[Member]:
    """The mails of the incident, newest first, each with why it belongs here."""
    rows = (
        IncidentMessage.objects.filter(tenant=incident.tenant_id, incident=incident)
        .select_related("message")
        .order_by("-message__last_seen_at")[:100]
    )
    counts: dict[UUID, int] = {}
    for message_id in Delivery.objects.filter(
        tenant=incident.tenant_id, message__in=[row.message_id for row in rows]
    ).values_list("message_id", flat=True):
        counts[message_id] = counts.get(message_id, 0) + 1
    return [Member(row.message, row.reason, counts.get(row.message_id, 0)) for row in rows]


def copies_of(incident: Incident) -> list[Delivery]:
    """Every copy; what people can reach first."""
    copies = Delivery.objects.filter(
        tenant=incident.tenant_id, message__memberships__incident=incident
    ).order_by("recipient", "-received_at")[:SHOWN_COPIES]
    return sorted(copies, key=lambda copy: copy.place not in ("inbox", "other", "archive", "junk"))


def copy_row(copy: Delivery) -> CopyRow:
    return CopyRow(
        recipient=copy.recipient,
        place=copy.place,
        outcome=copy.outcome,
        is_read=copy.is_read,
        verified_at=copy.verified_at,
        is_threat=_is_threat(copy.gateway_verdict) or _is_threat(copy.mailbox_verdict),
        match=copy.match_reason or copy.get_match_display(),
        message_id=copy.message_id,
    )


def _is_threat(verdict: str) -> bool:
    return bool(verdict) and Verdict(verdict).is_threat


def advice_for(incident: Incident) -> Advice:
    """Never a purge; what can be undone comes first."""
    if exposed := exposed_now(incident):
        return Advice(
            f"Pull {copies_words(exposed)}",
            "They go to a hidden folder, and each is read back. Reversible, no approval needed.",
            reverse("incident_pull", args=[incident.id]),
            "undo-2",
        )
    held = int(incident.counts.get("held", 0))
    return Advice(
        f"Keep {copies_words(held)} held and resolve" if held else "Resolve",
        "Nothing is within anybody's reach."
        + (" Held mail can be released later." if held else ""),
        reverse("incident_resolve", args=[incident.id]),
        "check",
    )


def observations_of(copies: Iterable[Delivery]) -> list[Observation]:
    """All of these copies in the database's order; the time bound prunes partitions."""
    copies = list(copies)
    if not copies:
        return []
    tenant_id = copies[0].tenant_id
    sightings = list(
        Sighting.objects.filter(
            tenant=tenant_id, delivery__in=[copy.id for copy in copies]
        ).values_list("observation_id", "observed_at")
    )
    if not sightings:
        return []
    times = [at for _, at in sightings]
    return list(
        Observation.objects.filter(
            tenant=tenant_id,
            id__in=[observation_id for observation_id, _ in sightings],
            observed_at__range=(min(times), max(times)),
        ).order_by("recorded_at", "id")
    )


def why_of(incident: Incident, copies: Iterable[Delivery]) -> list[Why]:
    """For each layer the observation that stands for its verdict, the heaviest reasons first."""
    observations = observations_of(copies)
    found = []
    for layer, verdict in (
        (Layer.GATEWAY, incident.gateway_verdict),
        (Layer.MAILBOX, incident.mailbox_verdict),
    ):
        said = [o for o in observations if o.layer == layer and o.verdict]
        fitting = [o for o in said if o.verdict == verdict] or said
        if fitting:
            best = max(fitting, key=lambda o: (o.score or 0.0, o.recorded_at))
            reasons = sorted(best.reasons, key=lambda r: -abs(r.get("weight") or 0))
            reasons = [_without_echo(reason) for reason in reasons]
            found.append(Why(layer.label, best.verdict or "", best, reasons[:6], reasons[6:]))
    return found


def _without_echo(reason: dict[str, Any]) -> dict[str, Any]:
    """A value that the sentence has already said is not said again."""
    first = str(reason.get("value", "")).partition(",")[0]
    return {**reason, "value": ""} if first in str(reason.get("text", "")) else reason


def same_elsewhere(incident: Incident) -> list[Incident]:
    """Incidents of other clients in sight with the same mail."""
    others = same_at_other_clients([incident]).get(incident.id, {})
    found = Incident.objects.filter(id__in=others).select_related("tenant")
    return list(found.order_by("tenant__name", "number"))
