"""Which incident a message joins: the strict, automatic step.

Same content fingerprint, near-duplicate text (MinHash, Jaccard ≥ 0.8), or the same rare attachment,
within one client and three idle days.  Every membership says in words why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

from incidents.mail.fingerprint import similarity
from incidents.models import GroupKey, Incident, Message

IDLE_LIMIT = timedelta(days=3)
NEAR_DUPLICATE = 0.8
SMALL_ATTACHMENT_BYTES = 2_000
# 64 MinHash values as 16 bands of 4 rows: two texts at 0.8 meet in a band with p > 0.9997.
BAND_ROWS = 4


@dataclass(frozen=True, slots=True)
class Joined:
    incident: Incident
    reason: str


def keys_of(message: Message) -> Iterator[tuple[str, str]]:
    """The (kind, value) pairs under which later mail finds this message's incident."""
    if message.fingerprint:
        yield "content", message.fingerprint
    for attachment in message.facts.get("attachments", ()):
        if not attachment.get("is_inline") and attachment["size_bytes"] > SMALL_ATTACHMENT_BYTES:
            yield "file", attachment["sha256"]
    shingles = message.facts.get("shingles") or []
    for start in range(0, len(shingles) - BAND_ROWS + 1, BAND_ROWS):
        band = f"{start}:" + ",".join(map(str, shingles[start : start + BAND_ROWS]))
        yield "text", blake2b(band.encode(), digest_size=16).hexdigest()


def find_incident_for(message: Message) -> Joined | None:
    """An incident of the client that this message belongs to; the strictest reason wins."""
    wanted = set(keys_of(message))
    rows = (
        GroupKey.objects.select_related("incident", "message")
        .filter(
            value__in=[value for _, value in wanted],
            last_seen_at__gte=message.last_seen_at - IDLE_LIMIT,
        )
        .exclude(incident__kind=Incident.Kind.HEALTH)
        .order_by("-last_seen_at")[:200]
    )
    found = [row for row in rows if (row.kind, row.value) in wanted]
    for kind in ("content", "file"):
        for row in found:
            if row.kind == kind:
                return Joined(row.incident, _REASONS[kind])
    for row in found:
        share = similarity(
            tuple(message.facts["shingles"]), tuple(row.message.facts.get("shingles") or ())
        )
        if share >= NEAR_DUPLICATE:
            return Joined(row.incident, f"{share:.0%} of its text stands in another of its mails.")
    return None


_REASONS = {
    "content": "Its content is the same as that of a mail of the incident.",
    "file": "It carries the same file as a mail of the incident.",
}


def remember_keys(incident: Incident, message: Message) -> None:
    """Let later mail find this incident by this message; repeating it renews the idle time."""
    GroupKey.objects.filter(incident=incident, message=message).update(
        last_seen_at=message.last_seen_at
    )
    GroupKey.objects.bulk_create(
        [
            GroupKey(
                tenant_id=message.tenant_id,
                incident=incident,
                message=message,
                kind=kind,
                value=value,
                last_seen_at=message.last_seen_at,
            )
            for kind, value in sorted(set(keys_of(message)))
        ],
        ignore_conflicts=True,
    )
