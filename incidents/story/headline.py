"""The sentence above the story: what it is, who got it, where it is now, who answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from incidents.layers import blind_layers
from incidents.models import Delivery, Incident, Message, Observation
from incidents.story.lines import copies_were, number
from incidents.story.sender import Client
from incidents.titles import BORROWED_FIRM, BORROWED_PERSON, BORROWED_VENDOR, KIND_WORDS, whose

_UNREAD = "Nobody has read it."


def headline(
    incident: Incident,
    messages: Sequence[Message],
    copies: Sequence[Delivery],
    seen: Mapping[Any, Sequence[Observation]],
    client: Client,
) -> str:
    """``Fraud in the CFO's name at Acme. Two copies were delivered; both are removed. …``"""
    if incident.is_without_mail:
        return f"{incident.title} at {client.name}."
    codes = {
        str(reason.get("code", ""))
        for each in seen.values()
        for one in each
        for reason in one.reasons
    }
    return " ".join(
        [
            f"{what_it_is(incident, messages, codes, client)}.",
            *_where(incident),
            *_who_touched_it(incident, copies),
        ]
    )


def what_it_is(
    incident: Incident, messages: Sequence[Message], codes: set[str], client: Client
) -> str:
    """In the fewest words that a client understands; what no rule knows keeps its subject."""
    kind = KIND_WORDS[incident.kind]
    newest = max(messages, key=lambda message: message.last_seen_at, default=None)
    sender = newest.sender_name if newest else ""
    if "internal_only" in incident.cross_layer:
        return f"{kind} sent from a mailbox inside {client.name}"
    if incident.kind == Incident.Kind.HEALTH:
        first, last = incident.first_seen_at.date(), incident.last_seen_at.date()
        since = f" since {first:%-d %B %Y}" if first < last else ""
        return f"{kind} at {client.name}{since}"
    if codes & BORROWED_PERSON and (role := client.role_of(sender)):
        return f"{kind} in {whose(role)} name at {client.name}"
    if codes & BORROWED_FIRM:
        return f"{kind} in {client.name}'s own name"
    if codes & BORROWED_VENDOR:
        return f"{kind} in the name of a firm that {client.name} deals with"
    if "brand_in_name" in codes and sender:
        return f"{kind} in the name of {sender} at {client.name}"
    subject = " ".join(newest.subject.split())[:120] if newest else ""
    return f"{kind} at {client.name}: “{subject}”" if subject else f"{kind} at {client.name}"


def _where(incident: Incident) -> list[str]:
    counts = incident.counts
    delivered, held = counts.get("delivered", 0), counts.get("held", 0)
    parts = []
    if not delivered:
        parts.append("No copy was delivered.")
    else:
        parts.append(f"{copies_were(delivered)} delivered; {_now(incident)}.")
    if held:
        parts.append(f"{copies_were(held)} held at the gateway.")
    return parts


def _now(incident: Incident) -> str:
    counts = incident.counts
    delivered = counts["delivered"]
    where = f"where {'it is' if delivered == 1 else 'they are'} now is not known"
    if _is_blind(incident):
        return f"{where}, the mailbox layer is blind"
    parts = []
    for key, words in (
        ("in_inbox", "still within reach"),
        ("in_junk", "in junk"),
        ("unseen", "not yet seen in a mailbox"),
        ("removed", "removed"),
        ("gone", "no longer there"),
    ):
        if n := counts.get(key, 0):
            parts.append(f"{_of(n, delivered)} {'is' if n == 1 else 'are'} {words}")
    return ", ".join(parts) or where


def _is_blind(incident: Incident) -> bool:
    return any(blind.layer == "mailbox" for blind in blind_layers(incident.tenant_id))


def _of(n: int, delivered: int) -> str:
    """``it``, ``both``, ``all three``; ``two`` of more."""
    if n >= delivered:
        return {1: "it", 2: "both"}.get(n, f"all {number(n).lower()}")
    return number(n).lower()


def _who_touched_it(incident: Incident, copies: Sequence[Delivery]) -> Iterable[str]:
    """In people, each once, however many copies she had."""
    for did, concerned in (
        ("read it", [copy for copy in copies if copy.is_read]),
        ("replied", [copy for copy in copies if copy.replied_at]),
        ("passed it on", [copy for copy in copies if copy.forwarded_at]),
    ):
        if n := len({copy.recipient for copy in concerned}):
            yield f"{number(n)} {'person' if n == 1 else 'people'} {did}."
    arrived = [copy for copy in copies if copy.was_exposed]
    if arrived and all(copy.is_read is False for copy in arrived):
        yield "Whether it was read since is not known." if _is_blind(incident) else _UNREAD


def exposure(counts: Mapping[str, int], *, is_blind: bool = False) -> str:
    """For a queue row: "2 in inbox · 1 read"; what is not known is said too.

    ``is_blind``: no layer can look into the mailboxes now, so that nothing is never "none".
    """
    parts = [
        f"{counts.get(key, 0)} {words}"
        for key, words in (
            ("in_inbox", "in inbox"),
            ("in_junk", "in junk"),
            ("unseen", "not yet seen"),
            ("removed", "removed"),
            ("held", "held"),
            ("read", "read"),
            ("replied", "replied"),
            ("forwarded", "passed on"),
        )
        if counts.get(key)
    ]
    return " · ".join(parts) or ("not known now" if is_blind else "none in a mailbox")
