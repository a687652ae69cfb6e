"""What an incident amounts to: kind, severity with its parts, cross-layer facts, counts, title.

Pure: computed anew from the current deliveries each time, so that it never drifts from the facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from django.db.models import IntegerField, Q
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from incidents.codes import COUNTS
from incidents.models import Delivery, Incident, Message
from incidents.models.mail import Direction, Outcome, Place
from incidents.titles import Clues, title_of
from incidents.words import HARMLESS, LET_THROUGH, Verdict, is_threat

EXPOSED = (Place.INBOX, Place.OTHER, Place.ARCHIVE)  # what "in an inbox" means
# Where people can open a copy, or may: one that was delivered and that nobody has found yet.
REACH = (*EXPOSED, Place.JUNK, Place.UNKNOWN)
_COUNTS_IN_REACH = ("in_inbox", "in_junk", "unseen")
IN_MAILBOX = (*EXPOSED, Place.JUNK, Place.DELETED)

# From worst to mildest: the kind of an incident is the worst verdict of any layer.
WORST_FIRST = (
    Verdict.MALWARE,
    Verdict.BEC,
    Verdict.PHISH,
    Verdict.UNSCANNABLE,
    Verdict.SUSPICIOUS,
    Verdict.SPAM,
    Verdict.GRAYMAIL,
    Verdict.CLEAN,
)
_BASE = {
    Incident.Kind.MALWARE: 40,
    Incident.Kind.BEC: 45,
    Incident.Kind.PHISH: 30,
    Incident.Kind.ACCOUNT: 45,
    Incident.Kind.UNSCANNABLE: 15,
    Incident.Kind.SUSPICIOUS: 15,
    Incident.Kind.SPAM: 5,
    Incident.Kind.HEALTH: 25,
}
_LIMITS = (
    (75, Incident.Severity.CRITICAL),
    (50, Incident.Severity.HIGH),
    (28, Incident.Severity.MEDIUM),
    (0, Incident.Severity.LOW),
)
RANK = {
    Incident.Severity.CRITICAL: 4,
    Incident.Severity.HIGH: 3,
    Incident.Severity.MEDIUM: 2,
    Incident.Severity.LOW: 1,
}


@dataclass(frozen=True, slots=True)
class Assessment:
    kind: str
    severity: str
    severity_parts: list[dict[str, Any]]
    cross_layer: list[str]
    counts: dict[str, int]
    gateway_verdict: str
    mailbox_verdict: str
    title: str
    subject: str
    sender: str
    queue_rank: int
    vip_reached: tuple[str, ...] = field(default=())


def worst(verdicts: Iterable[str]) -> str:
    """The worst of these verdicts, "" where there is none."""
    known = set(verdicts) - {""}
    return next((verdict.value for verdict in WORST_FIRST if verdict in known), "")


def assess(
    messages: Sequence[Message],
    deliveries: Sequence[Delivery],
    *,
    vip_addresses: frozenset[str],
    kept_kind: str = "",
    clues: Clues | None = None,
) -> Assessment:
    """``deliveries`` are all copies of ``messages``; neither may be empty.

    ``kept_kind``: of an incident that is not about what its mails are, "" for all others.
    ``clues`` are those of the newest mail; None: only its sender is known.
    """
    gateway = worst(copy.gateway_verdict for copy in deliveries)
    mailbox = worst(copy.mailbox_verdict for copy in deliveries)
    others = worst(
        verdict for copy in deliveries for verdict in (copy.person_verdict, copy.vendor_verdict)
    )
    kind = Incident.Kind(kept_kind) if kept_kind else kind_of(worst((gateway, mailbox, others)))
    counts = count(messages, deliveries)
    codes = cross_layer(deliveries)
    parts = severity_parts(kind, counts, codes, _vips(deliveries, vip_addresses))
    newest = newest_of(messages)
    clues = clues or Clues(domain=newest.sender_domain)
    return Assessment(
        kind=kind,
        severity=severity_of(parts),
        severity_parts=parts,
        cross_layer=codes,
        counts=counts,
        gateway_verdict=gateway,
        mailbox_verdict=mailbox,
        title=title_of(kind, codes, counts, clues),
        subject=" ".join(newest.subject.split())[:300],
        sender=newest.sender_address,
        queue_rank=queue_rank(kind, counts, codes),
    )


def severity_of(parts: Iterable[Mapping[str, Any]]) -> Incident.Severity:
    points = sum(part["points"] for part in parts)
    return next(severity for limit, severity in _LIMITS if points >= limit)


def kind_part(kind: str) -> dict[str, Any]:
    label = Incident.Kind(kind).label
    return {"code": "kind", "points": _BASE[Incident.Kind(kind)], "text": f"Kind: {label}"}


def newest_of(messages: Sequence[Message]) -> Message:
    """The mail that speaks for the incident."""
    return max(messages, key=lambda message: message.last_seen_at)


def within_reach(counts: Mapping[str, Any]) -> int:
    """How many copies people can open, or may; ``counts`` as ``count`` gives them."""
    return sum(int(counts.get(key, 0)) for key in _COUNTS_IN_REACH)


def reach_of_incident() -> Any:
    """``within_reach`` of an incident's counts, in SQL."""
    numbers = [
        Coalesce(Cast(KeyTextTransform(key, "counts"), IntegerField()), 0)
        for key in _COUNTS_IN_REACH
    ]
    return reduce(add, numbers)


def is_within_reach(copy: Delivery) -> bool:
    """The same of one copy: over all of an incident's it adds up to ``within_reach``."""
    return copy.place in REACH and (copy.place != Place.UNKNOWN or is_unseen(copy))


def reach_filter(prefix: str = "") -> Q:
    """The same in SQL; ``prefix`` leads to the deliveries: ``message__deliveries__``."""
    found = [place for place in REACH if place != Place.UNKNOWN]
    unseen = {f"{prefix}place": Place.UNKNOWN, f"{prefix}outcome__in": LET_THROUGH}
    ours = {f"{prefix}direction__in": (Direction.INBOUND, Direction.INTERNAL)}
    return Q(**{f"{prefix}place__in": found}) | Q(**unseen, **ours)


def is_unseen(copy: Delivery) -> bool:
    """It was delivered, and nobody has found it in a mailbox yet.  Mail that a client sent went
    to mailboxes that are nobody's to look into.
    """
    is_ours = copy.direction != Direction.OUTBOUND
    return is_ours and copy.place == Place.UNKNOWN and copy.outcome in LET_THROUGH


def copies_within_reach(copies: Iterable[Delivery]) -> list[Delivery]:
    return [copy for copy in copies if is_within_reach(copy)]


def queue_rank(kind: str, counts: dict[str, int], codes: Sequence[str]) -> int:
    """What comes first in the queue: 2 for money or an account at risk, 1 for copies in reach.

    At risk: a fraud, an account in other hands or an answered lure, as long as somebody has it in
    reach, has read it or has answered it.
    """
    worth = (Incident.Kind.BEC, Incident.Kind.ACCOUNT)
    is_about_it = kind in worth or "internal_only" in codes or counts["replied"]
    touched = counts["in_inbox"] + counts["unseen"] + counts["read"] + counts["replied"]
    touched += kind == Incident.Kind.ACCOUNT
    return 2 * bool(is_about_it and touched) + bool(within_reach(counts))


def kind_of(condemned: str) -> Incident.Kind:
    """The kind by the worst current verdict; where all took theirs back, it is still suspicious."""
    return Incident.Kind(condemned) if is_threat(condemned) else Incident.Kind.SUSPICIOUS


def count(messages: Sequence[Message], deliveries: Sequence[Delivery]) -> dict[str, int]:
    """One number for every key of ``codes.COUNTS``."""
    outcomes = Counter(copy.outcome for copy in deliveries)
    places = Counter(copy.place for copy in deliveries)
    numbers = {
        "messages": len(messages),
        "copies": len(deliveries),
        "recipients": len({copy.recipient for copy in deliveries}),
        "delivered": sum(outcomes[each] for each in LET_THROUGH),
        "held": sum(copy.place == Place.HOLD for copy in deliveries),
        "rejected": outcomes[Outcome.REJECTED],
        "deferred": outcomes[Outcome.DEFERRED],
        "in_inbox": sum(places[place] for place in EXPOSED),
        "in_junk": places[Place.JUNK],
        "removed": places[Place.QUARANTINE],
        "gone": places[Place.GONE] + places[Place.DELETED],
        "unseen": sum(map(is_unseen, deliveries)),
        "read": sum(bool(copy.is_read) for copy in deliveries),
        "clicked": sum(copy.clicked_at is not None for copy in deliveries),
        "replied": sum(copy.replied_at is not None for copy in deliveries),
        "forwarded": sum(copy.forwarded_at is not None for copy in deliveries),
        "was_exposed": sum(copy.was_exposed for copy in deliveries),
        "verified": sum(copy.verified_at is not None for copy in deliveries),
    }
    assert numbers.keys() == COUNTS.keys()
    return numbers


def cross_layer(deliveries: Sequence[Delivery]) -> list[str]:
    """Which of ``codes.CROSS_LAYER`` hold, in that order."""
    held = [copy for copy in deliveries if copy.outcome == Outcome.HELD]
    passed = [copy for copy in deliveries if copy.outcome in LET_THROUGH]
    condemned = [copy for copy in passed if is_threat(copy.mailbox_verdict)]
    codes = []
    if any(copy.gateway_at and not is_threat(copy.gateway_verdict) for copy in condemned):
        codes.append("gateway_passed_mailbox_condemned")
    if any(copy.is_bypass for copy in deliveries):
        codes.append("gateway_bypassed")
    if held and any(copy.gateway_at for copy in passed):
        codes.append("partly_held")
    if held and passed and all(copy.mailbox_verdict in HARMLESS for copy in passed):
        codes.append("gateway_held_mailbox_clean")
    if any(is_threat(copy.gateway_verdict) for copy in passed):
        codes.append("gateway_condemned_delivered")
    if any(copy.was_released for copy in condemned):
        codes.append("released_then_condemned")
    if all(copy.direction == Direction.INTERNAL for copy in deliveries):
        codes.append("internal_only")
    if any(copy.gateway_at and not copy.gateway_verdict for copy in passed):
        codes.append("delivered_unscanned")
    return codes


def _vips(deliveries: Sequence[Delivery], vip_addresses: frozenset[str]) -> list[str]:
    reached = {copy.recipient for copy in deliveries if copy.was_exposed}
    return sorted(reached & vip_addresses)


def severity_parts(
    kind: str, counts: dict[str, int], codes: Sequence[str], vips: Sequence[str]
) -> list[dict[str, Any]]:
    """What makes it as severe as it is, each part with its points and its words."""

    def part(code: str, points: int, text: str) -> dict[str, Any]:
        return {"code": code, "points": points, "text": text}

    parts = [kind_part(kind)]
    if kind in (Incident.Kind.SPAM, Incident.Kind.HEALTH):
        return parts
    if counts["in_inbox"]:
        parts.append(part("exposed", 15, f"{counts['in_inbox']} in an inbox now"))
    if counts["read"]:
        parts.append(part("read", 10, f"{counts['read']} read"))
    if counts["clicked"]:
        parts.append(part("clicked", 15, f"{counts['clicked']} with a link opened"))
    if counts["replied"]:
        parts.append(part("replied", 15, f"{counts['replied']} answered"))
    if counts["recipients"] >= 5:
        parts.append(part("reach", 10, f"{counts['recipients']} recipients"))
    if vips:
        parts.append(part("vip", 15, f"Reached {', '.join(vips[:3])}"))
    if "internal_only" in codes:
        parts.append(part("internal", 15, "Sent from one of the client's own mailboxes"))
    if "gateway_bypassed" in codes:
        parts.append(part("bypass", 5, "Came around the gateway"))
    return parts
