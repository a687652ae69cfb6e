"""How common a thing is at a client: in how many of its mails, benign ones too, and since when.

What decides that a shared value means something is how rare it is over all mail, not only over
threats.  Counted once for each message, whatever its copies and repeats; kinds and values are those
of incidents/campaigns/traits.py.  Every function must run in the client's scope.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from incidents.bulk import by_column, fetch, run, with_rows
from incidents.campaigns.traits import Trait, traits_of
from incidents.known import Mail
from incidents.models import TraitCount

# The client's number of messages stands among the counts, so that both are of one moment.
TOTAL = Trait("message", "", "")
# What was seen in so few mails and not again for so long says nothing more about new mail.
# Kinds from which a page leads to every mail (console/queries/entities.py), and for how long.
LISTED = frozenset({"sender", "sender_domain", "ip", "url_host", "url", "file"})
LISTED_FOR = timedelta(days=90)
RARE_MESSAGES = 2
FORGOTTEN_AFTER = timedelta(days=90)
SWEEP_ROWS = 20_000
FORGOTTEN = "past "
"""Before a kind of trait: in how many threats it was that grouping has forgotten."""

Key = tuple[str, str]


def count_messages(tenant_id: int, mails: Iterable[Mail]) -> None:
    """Adds those that have facts and were not counted yet."""
    seen_at: dict[Key, list[datetime]] = defaultdict(list)
    listed: list[tuple[int, datetime, UUID]] = []
    for mail in mails:
        if mail.is_counted or not mail.has_facts or mail.facts_from is None:
            continue
        mail.is_counted = True
        at = mail.first_seen_at
        for trait in (TOTAL, *traits_of(mail.facts_from.mail)):
            seen_at[trait.kind, trait.value].append(at)
            if trait.kind in LISTED:
                listed.append((trait_key(trait), at, mail.id))
    if seen_at:
        _add(tenant_id, seen_at)
    if listed:
        # In the order of the index, so that equal values of a batch meet the same page of it.
        run(_LIST, [tenant_id, *by_column(sorted(listed))])


def trait_key(trait: Trait) -> int:
    """64 bits of the trait's value, as ``MailTrait.key`` has them."""
    return int.from_bytes(bytes.fromhex(trait.value[:16]), signed=True)


_LIST = with_rows(
    "INSERT INTO incidents_mailtrait (tenant_id, key, seen_at, message_id)"
    " SELECT %s, key, seen_at, message_id FROM {rows}",
    "key bigint, seen_at timestamptz, message_id uuid",
)


def _add(tenant_id: int, seen_at: dict[Key, list[datetime]]) -> None:
    # Sorted, so that two who count at once wait for each other instead of locking each other out.
    rows = ((*key, len(at), min(at), max(at)) for key, at in sorted(seen_at.items()))
    run(_ADD, [tenant_id, *by_column(rows)])


_ADD = with_rows(
    """
INSERT INTO incidents_traitcount AS t
    (tenant_id, kind, value, messages, first_seen_at, last_seen_at)
SELECT %s, kind, value, messages, first, last FROM {rows}
ON CONFLICT (tenant_id, kind, value) DO UPDATE SET
    messages = t.messages + excluded.messages,
    first_seen_at = least(t.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(t.last_seen_at, excluded.last_seen_at)
""",
    "kind text, value text, messages bigint, first timestamptz, last timestamptz",
)


def counts_of(tenant_id: int, traits: Collection[Trait]) -> dict[Key, int]:
    """In how many of the client's messages each trait occurs; 0 for what was never counted."""
    counts = dict.fromkeys([(trait.kind, trait.value) for trait in traits], 0)
    if not counts:
        return counts
    kinds, values = zip(*counts, strict=True)
    # The wall compares with a list of clients; joining by the key keeps each a look-up.
    for kind, value, messages in fetch(
        "SELECT t.kind, t.value, t.messages"
        " FROM unnest(%b::text[], %b::text[]) AS w (kind, value)"
        " JOIN incidents_traitcount t ON t.kind = w.kind AND t.value = w.value"
        " WHERE t.tenant_id = %s",
        [list(kinds), list(values), tenant_id],
    ):
        counts[kind, value] = int(messages)
    return counts


def mails_with(
    trait: Trait,
    tenant_ids: Sequence[int],
    *,
    since: datetime,
    until: datetime,
    before: tuple[datetime, UUID] | None = None,
    most: int,
) -> list[tuple[int, datetime, UUID]]:
    """(client, first seen, message) of counted mails with it, newest first, at most ``most``.

    ``before`` is where an earlier answer ended.  Kept for ``LISTED_FOR``.
    """
    at, last = before or (until, UUID(int=2**128 - 1))
    key = trait_key(trait)
    arguments = [list(tenant_ids), key, since, until, at, last, most, most]
    return [(row[0], row[1], row[2]) for row in fetch(_WITH, arguments)]


# Client by client, each a short piece of the primary key: asked for all at once, every row of the
# period was sorted.
_WITH = """
SELECT t.tenant_id, t.seen_at, t.message_id FROM unnest(%s::bigint[]) AS c (id)
CROSS JOIN LATERAL (
    SELECT tenant_id, seen_at, message_id FROM incidents_mailtrait
    WHERE tenant_id = c.id AND key = %s AND seen_at >= %s AND seen_at < %s
      AND (seen_at, message_id) < (%s, %s)
    ORDER BY seen_at DESC, message_id DESC LIMIT %s
) t
ORDER BY t.seen_at DESC, t.message_id DESC LIMIT %s
"""


def total_messages() -> int:
    """How many messages of the scope's clients were counted."""
    rows = TraitCount.objects.filter(kind=TOTAL.kind, value=TOTAL.value)
    return sum(rows.values_list("messages", flat=True))


def sweep_rare(tenant_id: int) -> int:
    """Forgets what was rare and long ago, and which mails of long ago had it, at most
    ``SWEEP_ROWS`` of each; answers how many.
    """
    return run(
        "DELETE FROM incidents_mailtrait WHERE tenant_id = %s AND ctid = ANY(ARRAY("
        " SELECT ctid FROM incidents_mailtrait WHERE tenant_id = %s AND seen_at < %s LIMIT %s))",
        [tenant_id, tenant_id, timezone.now() - LISTED_FOR, SWEEP_ROWS],
    ) + run(
        "DELETE FROM incidents_traitcount WHERE tenant_id = %s AND (kind, value) IN ("
        " SELECT kind, value FROM incidents_traitcount t WHERE tenant_id = %s"
        " AND messages <= %s AND last_seen_at < %s AND kind <> %s"
        # How many of them were threats is known as long as how many there were.
        " AND NOT EXISTS (SELECT FROM incidents_traitcount b WHERE b.tenant_id = t.tenant_id"
        "  AND b.kind = substr(t.kind, %s) AND b.value = t.value AND starts_with(t.kind, %s))"
        " LIMIT %s)",
        [
            *(tenant_id, tenant_id, RARE_MESSAGES, timezone.now() - FORGOTTEN_AFTER),
            *(TOTAL.kind, len(FORGOTTEN) + 1, FORGOTTEN, SWEEP_ROWS),
        ],
    )
