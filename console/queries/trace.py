"""The way of one copy: how it was handed to the gateway, what was decided, where it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.queries.blindness import Blind, Blindness
from incidents.models import Delivery, Observation
from incidents.sightings import history_of
from seg_bridge.learning.told import Told, lessons_about

SPEAKERS = {"sender": "Sender", "gate": "Gateway"}
# What is on record of how a mail came and went, in the order of the page.
_WAY = {
    "client_ip": "Sending host",
    "helo": "Called itself",
    "tls": "TLS on the way in",
    "mail_from": "Envelope sender",
    "queue_id": "Queue id",
    "smtp_reply": "Our answer",
    "next_hop": "Next hop",
    "next_hop_tls": "TLS to the next hop",
    "next_hop_reply": "Its answer",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the conversation: who said it, and the words as they were."""

    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one source saw at one time.  ``facts`` are pairs of a name and what is on record."""

    seen: Observation
    facts: list[tuple[str, str]]
    dialogue: list[Line]


@dataclass(frozen=True, slots=True)
class Trace:
    """``ids``: every name that the copy has, by what it is called; ``lessons``: what the gateway
    was to learn of the mail, newest first.
    """

    copy: Delivery
    blind: Blind
    ids: list[tuple[str, str]]
    steps: list[Step]
    lessons: list[Told]


def trace_of(copy: Delivery) -> Trace:
    """Oldest first.  Needs the client's scope."""
    seen = history_of([copy])[copy.id]
    steps = [Step(each, _facts(each.detail), _dialogue(each.detail)) for each in seen]
    blind = Blindness([copy.tenant_id]).of(copy.tenant_id)
    return Trace(copy, blind, _ids(copy, seen), steps, lessons_about([copy.message_id]))


def _ids(copy: Delivery, seen: Sequence[Observation]) -> list[tuple[str, str]]:
    mail = copy.message
    queues = dict.fromkeys(_text(each.detail.get("queue_id")) for each in seen)
    named = [
        ("Message-ID", mail.internet_message_id),
        ("Trace", mail.trace_ulid),
        *(("Queue id", queue) for queue in queues),
        ("Item in the mailbox", copy.mailbox_item_id),
        ("Copy", str(copy.id)),
        ("Mail", str(mail.id)),
    ]
    return [(name, value) for name, value in named if value]


def _facts(detail: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [(label, _text(detail.get(name))) for name, label in _WAY.items()]
    if isinstance(told := detail.get("host_auth"), dict):
        facts.append(("The mail host found", ", ".join(f"{k} {v}" for k, v in told.items())))
    missing = detail.get("missing_why") or detail.get("missing")
    if isinstance(missing, list) and missing:
        facts.append(("Engines that did not answer", "; ".join(map(str, missing))))
    engines = detail.get("engines")
    for said in engines if isinstance(engines, list) else ():
        name = f"Engine {said['engine']} {said['version']}".strip()
        facts.append((name, f"{said['verdict']}, {said['score']:.1f} points"))
    return [(label, value) for label, value in facts if value]


def _dialogue(detail: dict[str, Any]) -> list[Line]:
    """As the gate told it (seg_bridge/gate/dialogue.py), with its last reply."""
    told = detail.get("dialogue")
    if not isinstance(told, list) or not told:
        return []
    lines = [Line(SPEAKERS.get(str(by), "?"), str(text)) for by, text in told]
    reply = _text(detail.get("smtp_reply"))
    return [*lines, Line(SPEAKERS["gate"], reply)] if reply else lines


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
