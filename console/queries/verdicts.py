"""Both layers' verdicts side by side, and what let the mail through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from console.queries.blindness import Blind
from console.queries.rows import layer_word
from incidents.models import Delivery, Incident, Observation, Sighting
from incidents.models.mail import Layer, Outcome
from seg_bridge.models import GatewayRule
from tenants.ids import as_uuid

MOST_REASONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One layer's word.  ``verdict`` as ``_components/layers.html`` takes it; ``said`` explains a
    verdict that is missing; ``score`` None: this layer gives none.
    """

    name: str
    tone: str
    verdict: str
    said: str = ""
    at: datetime | None = None
    score: float | None = None
    limit: float | None = None
    confidence: float | None = None
    rule: str = ""
    engine: str = ""
    policy: str = ""
    reasons: list[dict[str, Any]] = field(default_factory=list)
    more: list[dict[str, Any]] = field(default_factory=list)
    blind_since: datetime | None = None


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


def sides_of(incident: Incident, blind: Blind, seen: Sequence[Observation]) -> list[Side]:
    """Gateway and mailbox layer, always both."""
    return [
        _side(Layer.GATEWAY, incident.gateway_verdict, incident, blind.gateway_since, seen),
        _side(Layer.MAILBOX, incident.mailbox_verdict, incident, blind.mailbox_since, seen),
    ]


def _side(
    layer: Layer,
    verdict: str,
    incident: Incident,
    blind_since: datetime | None,
    seen: Sequence[Observation],
) -> Side:
    best = _spokesman(layer, verdict, seen)
    word = layer_word(verdict, incident, layer.value, blind_since)
    shown: dict[str, Any] = {
        "name": layer.label,
        "tone": "gate" if layer == Layer.GATEWAY else "box",
        "verdict": word,
        "blind_since": blind_since,
    }
    if best is None:
        return Side(**shown, said=_MISSING.get((layer.value, word), ""))
    reasons = sorted(best.reasons, key=lambda reason: -abs(reason.get("weight") or 0))
    reasons = [_without_echo(reason) for reason in reasons]
    return Side(
        **shown,
        at=best.observed_at,
        score=best.score,
        limit=best.score_limit,
        confidence=best.confidence,
        rule=best.rule or ("" if layer == Layer.GATEWAY else "Its own weights; no rule was asked."),
        engine=f"{best.engine} {best.engine_version}".strip(),
        policy=best.policy_version,
        reasons=reasons[:MOST_REASONS],
        more=reasons[MOST_REASONS:],
    )


_MISSING = {
    ("gateway", "not_seen"): "The mail never passed it.",
    ("gateway", ""): "An engine gave no answer.",
    ("mailbox", "not_seen"): "No copy has reached a mailbox.",
    ("mailbox", ""): "It has not judged it yet.",
    ("mailbox", "blind"): "It cannot read the mailboxes now.",
    ("gateway", "blind"): "No gate reports now.",
}


def _spokesman(layer: Layer, verdict: str, seen: Sequence[Observation]) -> Observation | None:
    """The observation that stands for the layer's verdict: the highest score, then the latest."""
    said = [one for one in seen if one.layer == layer and (one.verdict or layer == Layer.GATEWAY)]
    fitting = [one for one in said if one.verdict == verdict] or said
    return max(fitting, key=lambda one: (one.score or 0.0, one.recorded_at), default=None)


def _without_echo(reason: dict[str, Any]) -> dict[str, Any]:
    """A value that the sentence has already said is not said again."""
    first = str(reason.get("value", "")).partition(",")[0]
    return {**reason, "value": ""} if first in str(reason.get("text", "")) else reason


def what_allowed_it(
    incident: Incident, copies: Sequence[Delivery], seen: Sequence[Observation]
) -> list[str]:
    """Why copies got in, with the entry and its author; each a sentence."""
    lines = []
    if any(copy.is_bypass for copy in copies):
        lines.append("Nothing: it came around the gateway, straight to the mail host.")
    if "internal_only" in incident.cross_layer:
        lines.append("Nothing had to: it was sent from a mailbox inside.")
    passed = [one for one in seen if one.layer == Layer.GATEWAY and one.action == Outcome.DELIVERED]
    rules = _rules_of(passed)
    for text, recipients in _by_rule(passed).items():
        lines.append(_sentence(text, recipients, rules, passed))
    if passed and not any(one.rule.startswith("allow") for one in passed):
        lines.append("No allow entry was involved.")
    released = [copy.recipient for copy in copies if copy.was_released]
    if released:
        lines.append(f"Held at first and then released: {', '.join(sorted(set(released))[:5])}.")
    if not lines:
        lines.append("No copy was let in: the gateway kept all of them.")
    return lines


def _by_rule(passed: Iterable[Observation]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in passed:
        if one.rule:
            recipients = found.setdefault(one.rule, [])
            if one.recipient not in recipients:
                recipients.append(one.recipient)
    return found


def _rules_of(passed: Iterable[Observation]) -> dict[str, GatewayRule]:
    """Rule id → the entry that the gate says decided."""
    ids = {rule_id for one in passed if (rule_id := as_uuid(_entry(one).get("rule_id")))}
    return {str(rule.id): rule for rule in GatewayRule.objects.filter(id__in=ids)} if ids else {}


def _entry(one: Observation) -> dict[str, Any]:
    """What the gate says decided: ``seg_bridge.gate.decide.Decision.as_json``."""
    decided = one.detail.get("decided")
    return decided if isinstance(decided, dict) else {}


def _sentence(
    text: str,
    recipients: Sequence[str],
    rules: dict[str, GatewayRule],
    passed: Iterable[Observation],
) -> str:
    """The rule in words; an entry with who wrote it, when, why and until when."""
    whom = f" For {', '.join(recipients[:3])}{' and others' if len(recipients) > 3 else ''}."
    deciding = {str(_entry(one).get("rule_id", "")) for one in passed if one.rule == text}
    for rule_id in deciding & rules.keys():
        rule = rules[rule_id]
        end = f"until {rule.expires_at:%-d %B %Y}" if rule.expires_at else "without an end"
        return (
            f"{rule.get_kind_display()} entry for {rule.value}, set by {rule.owner_name} on"
            f" {rule.created_at:%-d %B %Y} {end}: “{rule.reason}”.{whom}"
        )
    return f"{text[:1].upper()}{text[1:]}.{whom}"
