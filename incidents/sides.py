"""What each source said of copies, and what allowed them: in words, with whose entry it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from incidents.assessment import worst
from incidents.bulk import fetch
from incidents.models import AllowedCopy, Delivery, Observation
from incidents.models.mail import Layer, Outcome
from incidents.words import LET_THROUGH, THREATS, is_threat
from tenants.ids import as_uuid

REASONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One source's word.  ``rule_id``, ``owner`` and ``entry_reason`` are "" where no list entry
    decided; ``at`` is ISO 8601; ``observation`` the id of the row of history.  ``who``: the person
    or the mail host that said it, "" for the layers.
    """

    layer: str
    who: str
    source: str
    verdict: str
    score: float | None
    limit: float | None
    confidence: float | None
    reasons: list[str]
    rule: str
    by: str
    rule_id: str
    owner: str
    entry_reason: str
    observation: str
    at: str
    engine: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What let a copy in.

    ``kind``: ``entry`` (an allow entry), ``override`` (a person's release), ``bypass`` (around the
    gateway), ``policy`` (the client's limits), ``not_scanned`` (no engine answered).
    ``rule_id`` None where no entry is responsible; ``owner`` "" where no person is.
    """

    kind: str
    text: str
    owner: str
    rule_id: UUID | None
    at: datetime


def spokesmen_of(
    copies: Sequence[Delivery], history: Mapping[UUID, Sequence[Observation]]
) -> dict[str, Observation]:
    """Layer → the observation that stands for what it says of these copies.

    What says the layer's word of now (the worst of the copies') comes first, then a
    threat before a harmless mail, a copy that was stopped before one that went through, the latest
    of equals.  The gateway's may be without a verdict, where it gave none at all.
    """
    now = {
        Layer.GATEWAY.value: worst(copy.gateway_verdict for copy in copies),
        Layer.MAILBOX.value: worst(copy.mailbox_verdict for copy in copies),
    }
    best: dict[str, tuple[tuple[bool, bool, bool, bool, datetime], Observation]] = {}
    for copy in copies:
        for seen in history.get(copy.id, ()):
            if seen.verdict is None and seen.layer != Layer.GATEWAY:
                continue
            weight = (
                seen.verdict is not None,
                seen.verdict == now.get(seen.layer),
                is_threat(seen.verdict),
                seen.action in _STOPPED,
                seen.observed_at,
            )
            if seen.layer not in best or weight >= best[seen.layer][0]:
                best[seen.layer] = (weight, seen)
    return {layer: seen for layer, (_, seen) in best.items()}


_STOPPED = (Outcome.HELD, Outcome.REJECTED)


def sides_of(
    copies: Sequence[Delivery], history: Mapping[UUID, Sequence[Observation]]
) -> list[Side]:
    """The word of each source that gave a verdict, gateway first."""
    best = spokesmen_of(copies, history)
    return [
        _side(best[layer])
        for layer in Layer.values
        if layer in best and best[layer].verdict is not None
    ]


def _side(seen: Observation) -> Side:
    decided = decision_of(seen)
    weighty = sorted(seen.reasons, key=lambda reason: -abs(reason.get("weight") or 0))
    return Side(
        layer=seen.layer,
        who=_who(seen),
        source=seen.source,
        verdict=seen.verdict or "",
        score=seen.score,
        limit=seen.score_limit,
        confidence=seen.confidence,
        reasons=[str(reason.get("text", "")) for reason in weighty[:REASONS]],
        rule=seen.rule,
        by=decided.get("by", ""),
        rule_id=decided.get("rule_id", ""),
        owner=decided.get("owner", ""),
        entry_reason=decided.get("reason", ""),
        observation=str(seen.id),
        at=seen.observed_at.isoformat(),
        engine=" ".join(filter(None, (seen.engine, seen.engine_version))),
    )


def _who(seen: Observation) -> str:
    """``Ana Keller``, ``kim@acme.example``, ``The mail host``."""
    if seen.layer == Layer.VENDOR:
        return "The mail host"
    if seen.layer != Layer.PERSON:
        return ""
    reporter = seen.source.removeprefix("report:") if seen.source.startswith("report:") else ""
    return str(seen.detail.get("person") or reporter or "Somebody")


def decision_of(seen: Observation) -> dict[str, str]:
    """What decided at the gateway (``Decision.as_json``), {} where it is not on record."""
    told = seen.detail.get("decided")
    if not isinstance(told, dict):
        return {}
    return {name: value for name, value in told.items() if isinstance(value, str)}


def what_allowed(
    copy: Delivery, seen: Iterable[Observation], *, entry: AllowedCopy | None = None
) -> Allowed | None:
    """What let this copy into a mailbox; None where it is not in one, or nobody knows.

    ``seen`` are its observations, oldest first; ``entry`` is what lets it be in both layers, None
    where nothing does.
    """
    if entry is not None and copy.outcome in LET_THROUGH:
        text = f"An exception for both layers, {entry.words}."
        return Allowed("entry", text, entry.owner, entry.rule_id, entry.created_at)
    if copy.is_bypass:
        return Allowed("bypass", copy.match_reason, "", None, copy.received_at)
    told = [each for each in seen if each.layer == Layer.GATEWAY and each.action in _LET_IN]
    if not any(each.action in LET_THROUGH for each in told):
        return None
    # What the spool or the next hop said later decided nothing.
    last = next((each for each in reversed(told) if decision_of(each)), told[-1])
    decided = decision_of(last)
    text = f"{last.rule[:1].upper()}{last.rule[1:]}." if last.rule else ""
    owner, rule_id = decided.get("owner", ""), as_uuid(decided.get("rule_id", ""))
    if decided.get("by") == "release":
        return Allowed("override", text, owner, None, last.observed_at)
    if decided.get("by") == "allow":
        return Allowed("entry", text, owner, rule_id, last.observed_at)
    kind = "not_scanned" if last.verdict is None else "policy"
    return Allowed(kind, text, "", None, last.observed_at)


_LET_IN = (*LET_THROUGH, Outcome.DEFERRED, Outcome.UNKNOWN)


def condemned_late(tenant_id: int, copies: Iterable[Delivery]) -> set[UUID]:
    """The ids of those whose gateway verdict was harmless or missing at first and is a threat now,
    with the points from which the client's policy acts.

    Asked of the whole history: one that is cut would forget the first verdict.
    """
    ids = [copy.id for copy in copies]
    if not ids:
        return set()
    return {row[0] for row in fetch(_CONDEMNED_LATE, [tenant_id, ids, *[list(THREATS)] * 2])}


_CONDEMNED_LATE = """
WITH said AS (
    SELECT s.delivery_id, o.observed_at, o.id, o.verdict,
        o.verdict = 'malware' OR coalesce(o.score >= o.score_limit, true) AS acts
    FROM incidents_sighting s
    JOIN incidents_observation o ON o.tenant_id = s.tenant_id AND o.id = s.observation_id
        AND o.observed_at = s.observed_at
    WHERE s.tenant_id = %s AND s.delivery_id = ANY(%s) AND o.layer = 'gateway'
      AND (o.verdict IS NOT NULL OR o.mail <> '{}')
)
SELECT delivery_id FROM said GROUP BY delivery_id
HAVING coalesce((array_agg(verdict ORDER BY observed_at, id))[1] <> ALL(%s), true)
   AND (array_agg(verdict ORDER BY observed_at DESC, id DESC))[1] = ANY(%s)
   AND (array_agg(acts ORDER BY observed_at DESC, id DESC))[1]
"""
