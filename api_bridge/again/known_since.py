"""What became known of a mail since it was judged, from stored facts: no mail is read for it.

A thing counts (a sender, a link, a file, a sender's domain, the very content) where other mail that
has it was condemned as grave since then, by a layer, by a person or by the mail host, and where
most of the mail that has it was: what much harmless mail shares proves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from api_bridge.again.due import shared_traits
from incidents.bulk import fetch
from incidents.campaigns.traits import Trait
from incidents.observations import Reason
from incidents.prevalence import trait_key
from incidents.words import GRAVE
from tenants.models import Domain

LOOKED_AT = timedelta(days=30)
MOST_OF_A_KEY = 200
# Kind of the thing → the reason's code, and what is said of it.
CODES = {
    "sender": ("since_sender_condemned", "other mail of this sender"),
    "sender_domain": ("since_sender_domain_condemned", "other mail from this domain"),
    "url": ("since_link_condemned", "other mail with this link"),
    "url_host": ("since_link_host_condemned", "other mail with links to this host"),
    "file": ("since_file_condemned", "other mail with this file"),
}
SAME_CODE, SAME_WORDS = "since_same_content_condemned", "other mail with the same content"


@dataclass(frozen=True, slots=True)
class Judged:
    """A mail as it stands: ``at`` is when the mailbox layer judged it last."""

    message_id: UUID
    facts: Mapping[str, Any]
    fingerprint: str
    at: datetime


def known_since(tenant_id: int, mails: Sequence[Judged]) -> dict[UUID, list[Reason]]:
    """Message → what became known, each thing once.  Needs the client's scope."""
    own = set(Domain.objects.filter(tenant=tenant_id).values_list("name", flat=True))
    by_key: dict[int, Trait] = {}
    keys_of: dict[UUID, list[int]] = {}
    for mail in mails:
        traits = [each for each in shared_traits(dict(mail.facts)) if not _is_own(each, own)]
        keys_of[mail.message_id] = [trait_key(each) for each in traits]
        by_key |= {trait_key(each): each for each in traits}
    told = _condemned(tenant_id, list(by_key))
    same = _same_content(tenant_id, {mail.fingerprint for mail in mails if mail.fingerprint})
    found: dict[UUID, list[Reason]] = defaultdict(list)
    for mail in mails:
        for key in keys_of[mail.message_id]:
            at = _since(told.get(key, []), mail)
            if at is not None and by_key[key].kind in CODES:
                found[mail.message_id].append(_reason(by_key[key], at))
        if (at := _since(same.get(mail.fingerprint, []), mail)) is not None:
            found[mail.message_id].append(_said(SAME_CODE, SAME_WORDS, mail.fingerprint, at))
    return dict(found)


def _is_own(trait: Trait, own: set[str]) -> bool:
    """The client's own domains and people say nothing of a mail that comes from inside."""
    name = trait.label.partition("/")[0].rpartition("@")[2]
    return any(name == domain or name.endswith(f".{domain}") for domain in own)


# Message, and when it was condemned as grave last, None: it is not.
Told = tuple[UUID, datetime | None]


def _condemned(tenant_id: int, keys: Sequence[int]) -> dict[int, list[Told]]:
    found: dict[int, list[Told]] = defaultdict(list)
    grave = [str(verdict) for verdict in GRAVE]
    since = timezone.now() - LOOKED_AT
    values = [list(keys), tenant_id, since, MOST_OF_A_KEY, *[grave] * 4, tenant_id]
    for key, message_id, at in fetch(_CONDEMNED.format(words=_WORDS), values) if keys else ():
        found[key].append((message_id, at))
    return found


def _same_content(tenant_id: int, fingerprints: Collection[str]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = defaultdict(list)
    grave = [str(verdict) for verdict in GRAVE]
    since = timezone.now() - LOOKED_AT
    values = [sorted(fingerprints), tenant_id, since, MOST_OF_A_KEY, *[grave] * 4, tenant_id]
    for fingerprint, message_id, at in (
        fetch(_SAME.format(words=_WORDS), values) if fingerprints else ()
    ):
        found[fingerprint].append((message_id, at))
    return found


_WORDS = """
CROSS JOIN LATERAL (
    SELECT max(greatest(
        CASE WHEN d.gateway_verdict = ANY(%s) THEN d.gateway_at END,
        CASE WHEN d.mailbox_verdict = ANY(%s) THEN d.mailbox_at END,
        CASE WHEN d.person_verdict = ANY(%s) THEN d.person_at END,
        CASE WHEN d.vendor_verdict = ANY(%s) THEN d.vendor_at END
    )) AS at
    FROM incidents_delivery d
    WHERE d.tenant_id = %s AND d.message_id = latest.message_id
) AS words
"""
_CONDEMNED = """
SELECT w.key, latest.message_id, words.at
FROM unnest(%s::bigint[]) AS w (key)
CROSS JOIN LATERAL (
    SELECT DISTINCT t.message_id, t.seen_at FROM incidents_mailtrait t
    WHERE t.tenant_id = %s AND t.key = w.key AND t.seen_at >= %s
    ORDER BY t.seen_at DESC LIMIT %s
) AS latest
{words}"""
_SAME = """
SELECT w.fingerprint, latest.message_id, words.at
FROM unnest(%s::text[]) AS w (fingerprint)
CROSS JOIN LATERAL (
    SELECT m.id AS message_id FROM incidents_message m
    WHERE m.tenant_id = %s AND m.fingerprint = w.fingerprint AND m.first_seen_at >= %s
    ORDER BY m.first_seen_at DESC LIMIT %s
) AS latest
{words}"""


def _since(told: Sequence[Told], mail: Judged) -> datetime | None:
    """When other mail with this thing was condemned, after this one was judged; None: none was, or
    more of it is held harmless.
    """
    others = [(message_id, at) for message_id, at in told if message_id != mail.message_id]
    grave = [at for _, at in others if at is not None]
    later = [at for at in grave if at > mail.at]
    return max(later) if later and 2 * len(grave) > len(others) else None


def _reason(trait: Trait, at: datetime) -> Reason:
    code, what = CODES[trait.kind]
    return _said(code, what, trait.label, at)


def _said(code: str, what: str, value: str, at: datetime) -> Reason:
    words = f"Since it was judged, {what} was condemned ({at:%-d %B, %H:%M} UTC)."
    return Reason(code, words, value)
