"""When a mail is judged again: 1, 6, 24 and 72 hours after delivery, and at once when something
that it shares was condemned.

One column of the table of seen items, ``again_at``, says it; an index holds only rows that have it,
so that mail that is older costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from incidents.bulk import run
from incidents.campaigns.hubs import is_hub
from incidents.campaigns.traits import Trait, traits_of
from incidents.models import Message
from incidents.prevalence import LISTED, trait_key
from incidents.words import Verdict
from tenants.work import want_work

QUEUE = "again"
STEPS = tuple(timedelta(hours=hours) for hours in (1, 6, 24, 72))
LASTS = STEPS[-1]
# A verdict that more knowledge may turn: what is grave already is acted on, and spam is spam.
UNSURE = frozenset({Verdict.CLEAN, Verdict.GRAYMAIL, Verdict.SUSPICIOUS})
# Their facts are read so many at a time.
WOKEN_BY_AT_ONCE = 200


def first_look(verdict: Verdict | None, received_at: datetime, now: datetime) -> datetime | None:
    """When a mail that was judged ``verdict`` is looked at first, None: never."""
    return next_look(received_at, now) if verdict in UNSURE else None


def next_look(received_at: datetime, now: datetime) -> datetime | None:
    """The first step that is still ahead; None where all of them have passed."""
    return next((received_at + step for step in STEPS if received_at + step > now), None)


def shared_traits(facts: dict[str, object]) -> list[Trait]:
    """What leads from a mail to others, without what everybody's mail shares."""
    return [each for each in traits_of(facts) if each.kind in LISTED and not is_hub(each)]


def wake_for(tenant_id: int, condemned: Collection[UUID]) -> None:
    """These messages were condemned just now: mail of the last 72 hours that shares something with
    one of them is due at once.  Needs the client's scope.
    """
    ids = sorted(condemned)
    slices = (ids[at : at + WOKEN_BY_AT_ONCE] for at in range(0, len(ids), WOKEN_BY_AT_ONCE))
    woken = sum(_wake(tenant_id, some) for some in slices)
    if woken:
        want_work(tenant_id, QUEUE)


def _wake(tenant_id: int, condemned: Sequence[UUID]) -> int:
    """How many mails are due now because of these."""
    mails = Message.objects.filter(tenant=tenant_id, id__in=condemned)
    keys: set[int] = set()
    contents: set[str] = set()
    for facts, fingerprint in mails.values_list("facts", "fingerprint"):
        keys |= {trait_key(trait) for trait in shared_traits(facts)}
        contents |= {fingerprint} - {""}
    now = timezone.now()
    of, until = [now - LASTS, tenant_id], [tenant_id, now]
    woken = 0
    for statement, shared in (
        (_WAKE_BY_TRAIT, sorted(keys)),
        (_WAKE_BY_CONTENT, sorted(contents)),
    ):
        if shared:
            wake = statement.format(of_these=_OF_THESE)
            woken += run(wake, [now, tenant_id, tenant_id, shared, *of, *until])
    return woken


# A row that the sync holds just now is looked at at its next step: nobody waits for it here.
_OF_THESE = """
JOIN incidents_delivery d ON d.tenant_id = shared.tenant_id AND d.message_id = shared.message_id
JOIN api_bridge_seenitem i ON i.tenant_id = d.tenant_id AND i.mailbox_id = d.mailbox_id
    AND i.item_id = d.mailbox_item_id
WHERE d.tenant_id = %s AND d.mailbox_item_id <> '' AND i.tenant_id = %s AND i.again_at > %s
FOR UPDATE OF i SKIP LOCKED
)
"""
_WAKE_BY_TRAIT = """
UPDATE api_bridge_seenitem SET again_at = %s WHERE tenant_id = %s AND id IN (
SELECT i.id FROM (
    SELECT tenant_id, message_id FROM incidents_mailtrait
    WHERE tenant_id = %s AND key = ANY(%s) AND seen_at >= %s
) AS shared {of_these}"""
_WAKE_BY_CONTENT = """
UPDATE api_bridge_seenitem SET again_at = %s WHERE tenant_id = %s AND id IN (
SELECT i.id FROM (
    SELECT tenant_id, id AS message_id FROM incidents_message
    WHERE tenant_id = %s AND fingerprint = ANY(%s) AND first_seen_at >= %s
) AS shared {of_these}"""
