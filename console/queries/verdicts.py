"""Both layers' verdicts side by side, and what let the mail through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from console.queries.blindness import Blind
from console.queries.rows import layer_word
from incidents.allowed import allowing_entries
from incidents.models import Delivery, Incident, Observation
from incidents.models.mail import Layer
from incidents.sides import Allowed, spokesmen_of, what_allowed
from incidents.words import Direction
from seg_bridge.models import GatewayRule

MOST_REASONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One layer's word.  ``verdict`` as the tag ``layers`` takes it; ``said`` explains a
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


def sides_of(
    incident: Incident,
    blind: Blind,
    copies: Sequence[Delivery],
    history: Mapping[UUID, Sequence[Observation]],
) -> list[Side]:
    """Gateway and mailbox layer, always both."""
    best = spokesmen_of(copies, history)
    gateway, mailbox = best.get(Layer.GATEWAY), best.get(Layer.MAILBOX)
    return [
        _side(Layer.GATEWAY, incident.gateway_verdict, incident, blind.gateway_since, gateway),
        _side(Layer.MAILBOX, incident.mailbox_verdict, incident, blind.mailbox_since, mailbox),
    ]


def _side(
    layer: Layer,
    verdict: str,
    incident: Incident,
    blind_since: datetime | None,
    best: Observation | None,
) -> Side:
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


def _without_echo(reason: dict[str, Any]) -> dict[str, Any]:
    """A value that the sentence has already said is not said again."""
    first = str(reason.get("value", "")).partition(",")[0]
    return {**reason, "value": ""} if first in str(reason.get("text", "")) else reason


def what_allowed_it(
    incident: Incident,
    copies: Sequence[Delivery],
    history: Mapping[UUID, Sequence[Observation]],
) -> list[str]:
    """Why copies got in, with the entry and its author; each a sentence."""
    entries = allowing_entries(copies)
    found = {
        copy: what_allowed(copy, history.get(copy.id, ()), entry=entries.get(copy.id))
        for copy in copies
    }
    lines = []
    if any(allowed and allowed.kind == "bypass" for allowed in found.values()):
        lines.append("Nothing: it came around the gateway, straight to the mail host.")
    if "internal_only" in incident.cross_layer:
        lines.append("Nothing had to: it was sent from a mailbox inside.")
    passed = [
        (copy, allowed) for copy, allowed in found.items() if allowed and allowed.kind != "bypass"
    ]
    lines += _by_cause(passed)
    if passed and not any(allowed.kind == "entry" for _, allowed in passed):
        lines.append("No allow entry was involved.")
    released = [copy.recipient for copy in copies if copy.was_released]
    if released:
        lines.append(f"Held at first and then released: {', '.join(sorted(set(released))[:5])}.")
    if not lines and any(copy.was_exposed for copy in copies):
        lines.append("Nothing: it came straight to the mail host, and no gate has seen it.")
    if not lines:
        is_out = all(copy.direction == Direction.OUTBOUND for copy in copies)
        way = "went out" if is_out and copies else "was let in"
        lines.append(f"No copy {way}: the gateway kept all of them.")
    return lines


def _by_cause(passed: Sequence[tuple[Delivery, Allowed]]) -> list[str]:
    """A sentence for each entry, and for each rule in words where none is responsible."""
    causes: dict[UUID | str, tuple[Allowed, list[str]]] = {}
    for copy, allowed in passed:
        if allowed.text:
            _, recipients = causes.setdefault(allowed.rule_id or allowed.text, (allowed, []))
            if copy.recipient not in recipients:
                recipients.append(copy.recipient)
    entries = GatewayRule.objects.in_bulk([cause for cause in causes if isinstance(cause, UUID)])
    return [
        _sentence(allowed, entries.get(cause) if isinstance(cause, UUID) else None, recipients)
        for cause, (allowed, recipients) in causes.items()
    ]


def _sentence(allowed: Allowed, entry: GatewayRule | None, recipients: Sequence[str]) -> str:
    """The rule in words; an entry with who wrote it, when, why and until when."""
    whom = f" For {', '.join(recipients[:3])}{' and others' if len(recipients) > 3 else ''}."
    if entry is None:
        return f"{allowed.text}{whom}"
    end = f"until {entry.expires_at:%-d %B %Y}" if entry.expires_at else "without an end"
    return (
        f"{entry.get_kind_display()} entry for {entry.value}, set by {entry.owner_name} on"
        f" {entry.created_at:%-d %B %Y} {end}: “{entry.reason}”.{whom}"
    )
