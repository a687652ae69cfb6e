"""The two-lane story: what happened to the mail, in sentences an analyst can forward.

Built from observations, actions and audit each time it is read; every line names its source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incidents.models import (
    ContentAccess,
    Delivery,
    Incident,
    Intent,
    Job,
    Message,
    Observation,
    Sighting,
)
from incidents.models.mail import Layer, Match, Outcome, Place, Verdict
from tenants.models import AuditEntry
from tenants.scope import Role, current_scope

_VERDICT_WORD = {
    "clean": "harmless",
    "graymail": "a newsletter",
    "spam": "spam",
    "phish": "phishing",
    "bec": "fraud",
    "malware": "malware",
    "suspicious": "suspicious",
    "unscannable": "unreadable",
}
MOST_LINES = 300


@dataclass(frozen=True, slots=True)
class Line:
    """``lane``: ``sender gateway mailbox person action``.  ``lead`` is shown strong.

    ``source`` names the raw record: ``observation:<id>``, ``job:<id>``, ``audit:<id>``.
    """

    at: datetime
    lane: str
    lead: str
    text: str
    source: str
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    headline: str
    lines: list[Line]
    not_checked: list[str]


def tell_story(incident: Incident) -> Story:
    """Reads at most ``MOST_LINES`` lines' worth of records, newest mails last."""
    messages = list(
        Message.objects.filter(memberships__incident=incident).order_by("first_seen_at", "id")
    )
    copies = list(Delivery.objects.filter(message__in=messages).order_by("received_at", "id"))
    seen = _observations(copies)
    lines = [
        *_sender_lines(messages),
        *_layer_lines(copies, seen),
        *_job_lines(incident),
        *_people_lines(incident, messages),
    ]
    lines.sort(key=lambda line: line.at)
    return Story(headline(incident), lines[:MOST_LINES], _not_checked(incident, copies))


def headline(incident: Incident) -> str:
    """What it is and who is exposed: "… One copy was delivered; it is removed."."""
    counts = incident.counts
    delivered, removed = counts["delivered"], counts["removed"]
    parts = [f"{incident.title} at {incident.tenant.name}."]
    if not delivered:
        parts.append("No copy was delivered.")
    else:
        parts.append(f"{_copies(delivered)} delivered; {_now(counts)}.")
    if counts["held"]:
        parts.append(f"{_copies(counts['held'])} held at the gateway.")
    if counts["read"]:
        parts.append(f"{counts['read']} read.")
    elif removed and not counts["in_inbox"]:
        parts.append("Nobody read it.")
    return " ".join(parts)


def exposure(counts: dict[str, int]) -> str:
    """For a queue row: "2 in inbox · 1 read"; what is not known is said too."""
    parts = [
        f"{counts.get(key, 0)} {words}"
        for key, words in (
            ("in_inbox", "in inbox"),
            ("in_junk", "in junk"),
            ("unseen", "not yet seen"),
            ("removed", "removed"),
            ("held", "held"),
            ("read", "read"),
        )
        if counts.get(key)
    ]
    return " · ".join(parts) or "none in a mailbox"


def _copies(number: int) -> str:
    return "One copy was" if number == 1 else f"{number} copies were"


def _now(counts: dict[str, int]) -> str:
    if counts["in_inbox"]:
        return f"{counts['in_inbox']} still within reach"
    if counts["in_junk"]:
        return f"{counts['in_junk']} in junk"
    if counts["unseen"]:
        return f"{counts['unseen']} not yet seen in a mailbox"
    if counts["removed"] == counts["delivered"]:
        return "all are removed" if counts["removed"] > 1 else "it is removed"
    return f"{counts['removed']} removed, {counts['gone']} gone"


def _observations(copies: Sequence[Delivery]) -> dict[Any, list[Observation]]:
    """Delivery id → its observations, oldest first."""
    sightings = list(Sighting.objects.filter(delivery__in=copies).order_by("observed_at")[:2000])
    rows = Observation.objects.filter(
        id__in=[one.observation_id for one in sightings],
        observed_at__in={one.observed_at for one in sightings},
    ).in_bulk()
    by_copy = defaultdict(list)
    for one in sightings:
        if one.observation_id in rows:
            by_copy[one.delivery_id].append(rows[one.observation_id])
    return by_copy


def _sender_lines(messages: Sequence[Message]) -> Iterator[Line]:
    for message in messages:
        name = f"“{message.sender_name}” " if message.sender_name else ""
        address = message.sender_address or "an unreadable sender"
        yield Line(
            at=message.sent_at
            if message.sent_at and message.sent_at <= message.first_seen_at
            else message.first_seen_at,
            lane="sender",
            lead=f"{name}wrote from {address}.",
            text=f"Subject: {message.subject or '(none)'}",
            source=f"message:{message.id}",
        )


def _layer_lines(copies: Sequence[Delivery], seen: dict[Any, list[Observation]]) -> Iterator[Line]:
    """Equal words about several copies become one line with all recipients."""
    grouped: dict[tuple[Any, ...], list[tuple[Observation, Delivery]]] = {}
    for copy in copies:
        place, was_read = None, False
        for one in seen.get(copy.id, ()):
            for line in _lines_of(one, copy, place):
                grouped.setdefault(line, []).append((one, copy))
            if one.is_read and not was_read:
                grouped.setdefault((*_READ, copy.message_id), []).append((one, copy))
            was_read = was_read or bool(one.is_read)
            if one.layer == Layer.MAILBOX:  # the gateway says where it sent it, not where it is
                place = one.place or place
    for (lane, lead, text, _minute), pairs in grouped.items():
        first = min(pairs, key=lambda pair: pair[0].observed_at)[0]
        recipients = tuple(dict.fromkeys(copy.recipient for _, copy in pairs))
        yield Line(
            at=first.observed_at,
            lane=lane,
            lead=lead,
            text=text,
            source=f"observation:{first.id}",
            recipients=recipients,
        )


_READ = ("person", "Read it.", "Seen by the read mark; whether a link was opened is not known.")


def _lines_of(
    seen: Observation, copy: Delivery, place_before: str | None
) -> Iterator[tuple[str, str, str, Any]]:
    minute = seen.observed_at.replace(second=0, microsecond=0)
    if seen.layer == Layer.GATEWAY:
        yield ("gateway", *_gateway_words(seen), copy.message_id)
        return
    if seen.place and place_before is None:
        reason = " " + copy.match_reason if copy.match != Match.ONE_LAYER else ""
        yield ("mailbox", f"Arrived in {_place(seen.place)}.", reason.strip(), copy.message_id)
    elif seen.place and seen.place != place_before:
        is_check = seen.source == "check"
        lead = (
            f"Read back: in {_place(seen.place)}." if is_check else f"Now in {_place(seen.place)}."
        )
        yield ("mailbox", _gone(seen.place) or lead, "", minute)
    if copy.is_bypass and seen.verdict is not None:
        yield ("gateway", "Never saw it.", copy.match_reason, copy.message_id)
    if seen.verdict is not None:
        sure = f" ({seen.confidence:.2f})" if seen.confidence is not None else ""
        lead = f"Judged {_VERDICT_WORD[seen.verdict]}{sure}:"
        yield ("mailbox", lead, _reasons(seen), copy.message_id)


def _gateway_words(seen: Observation) -> tuple[str, str]:
    if seen.verdict is None:
        judged = "No engine gave an answer."
    elif seen.score is None:
        judged = f"Judged {_VERDICT_WORD[seen.verdict]}."
    else:
        limit = f"; acts from {seen.score_limit:g}" if seen.score_limit is not None else ""
        judged = f"Score {seen.score:.1f}{limit}. Judged {_VERDICT_WORD[seen.verdict]}."
    rule = f" {seen.rule[:1].upper()}{seen.rule[1:]}." if seen.rule else ""
    did = _GATEWAY_DID[Outcome(seen.action or Outcome.UNKNOWN)]
    return did, f"{judged}{rule} {_reasons(seen)}".strip()


_GATEWAY_DID = {
    Outcome.DELIVERED: "Let it through.",
    Outcome.HELD: "Held it.",
    Outcome.REJECTED: "Refused it.",
    Outcome.DEFERRED: "Put it off.",
    Outcome.UNKNOWN: "Began to pass it on; the answer is not on record.",
}


def _place(place: str) -> str:
    return {Place.INBOX: "the inbox", Place.JUNK: "the junk folder"}.get(
        Place(place), Place(place).label.lower()
    )


def _gone(place: str) -> str:
    return {
        Place.QUARANTINE: "Read back: gone from the inbox, in Bailey's quarantine.",
        Place.GONE: "Read back: no longer in the mailbox.",
    }.get(Place(place), "")


def _reasons(seen: Observation) -> str:
    weighty = sorted(seen.reasons, key=lambda reason: -abs(reason.get("weight", 0)))
    return " ".join(reason["text"] for reason in weighty[:3])


def _job_lines(incident: Incident) -> Iterator[Line]:
    for job in Job.objects.filter(incident=incident).order_by("created_at")[:100]:
        lead, reversible = _JOB_WORDS.get(Job.Kind(job.kind), ("", ""))
        if not lead:
            continue
        number = job.counts.get("copies", 0)
        why = f" Reason: {job.reason}." if job.reason else ""
        failed = job.counts.get(Intent.State.FAILED, 0)
        result = f" {failed} failed." if failed else ""
        yield Line(
            at=job.created_at,
            lane="action",
            lead=f"{job.requested_by} {lead.format(number=number)}",
            text=f"{reversible}{why}{result}".strip(),
            source=f"job:{job.id}",
        )


_JOB_WORDS = {
    Job.Kind.PULL: ("pulled {number} copies.", "Reversible."),
    Job.Kind.RESTORE: ("restored {number} copies.", ""),
    Job.Kind.RELEASE: ("released {number} held copies.", ""),
}
_AUDIT_WORDS = {
    "incidents.incident.opened": "opened this incident.",
    "incidents.incident.assigned": "changed the owner.",
    "incidents.incident.resolved": "resolved it.",
    "incidents.incident.reopened": "reopened it.",
    "incidents.incident.shared": "shared it with the client.",
    "incidents.incident.unshared": "withdrew it from the client.",
    "seg_bridge.rule.added": "added a gateway rule.",
}


def _audit_words(entry: AuditEntry) -> str:
    if entry.action == "incidents.incident.assigned":
        return "took it." if entry.detail.get("after") else "handed it back."
    return _AUDIT_WORDS[entry.action]


def _people_lines(incident: Incident, messages: Iterable[Message]) -> Iterator[Line]:
    # What the provider's people do among themselves is hidden from the client by the database.
    is_client = current_scope().role is Role.PORTAL
    entries = (
        AuditEntry.objects.none()
        if is_client
        else AuditEntry.objects.filter(
            tenant_id=incident.tenant_id, object_id=str(incident.id), action__in=list(_AUDIT_WORDS)
        )
    )
    for entry in entries.order_by("at")[:100]:
        yield Line(
            at=entry.at,
            lane="action",
            lead=f"{entry.actor_name} {_audit_words(entry)}",
            text=entry.reason,
            source=f"audit:{entry.id}",
        )
    for access in ContentAccess.objects.filter(message__in=list(messages)).order_by("at")[:100]:
        yield Line(
            at=access.at,
            lane="person",
            lead=f"{access.person_name} opened the {access.get_what_display()}.",
            text=f"Reason: {access.reason}",
            source=f"access:{access.id}",
        )


def _not_checked(incident: Incident, copies: Sequence[Delivery]) -> list[str]:
    """What nobody looked at: said, never left to be taken for "nothing found"."""
    gaps = []
    unseen = [
        copy.recipient
        for copy in copies
        if copy.outcome == Outcome.DELIVERED and copy.verified_at is None
    ]
    if unseen:
        gaps.append(f"Not seen in a mailbox: {', '.join(sorted(set(unseen))[:10])}.")
    if any(copy.gateway_at and not copy.gateway_verdict for copy in copies):
        gaps.append("An engine of the gateway gave no answer for some copies.")
    return gaps


def verdict_word(verdict: str) -> str:
    """The word for a verdict as people see it, "no verdict" where there is none."""
    return Verdict(verdict).label if verdict else "no verdict"
