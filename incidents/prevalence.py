"""How common a thing is at a client: in how many of its mails, benign ones too, and since when.

What decides that a shared value means something is how rare it is over all mail, not only over
threats.  Counted once for each message, whatever its copies and repeats; kinds and values are those
of incidents/campaigns/traits.py.  Every function must run in the client's scope.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from incidents.bulk import by_column, fetch, run, with_rows
from incidents.campaigns.traits import Trait, traits_of
from incidents.known import Mail
from incidents.models import TraitCount

# The client's number of messages stands among the counts, so that both are of one moment.
TOTAL = Trait("message", "", "")
# What was seen in so few mails and not again for so long says nothing more about new mail.
RARE_MESSAGES = 2
FORGOTTEN_AFTER = timedelta(days=90)
SWEEP_ROWS = 20_000

Key = tuple[str, str]


def count_messages(tenant_id: int, mails: Iterable[Mail]) -> None:
    """Adds those that have facts and were not counted yet."""
    seen_at: dict[Key, list[datetime]] = defaultdict(list)
    for mail in mails:
        if mail.is_counted or not mail.has_facts or mail.facts_from is None:
            continue
        mail.is_counted = True
        for kind, value, _ in (TOTAL, *traits_of(mail.facts_from.mail)):
            seen_at[kind, value].append(mail.first_seen_at)
    if seen_at:
        _add(tenant_id, seen_at)


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


def counts_of(traits: Collection[Trait]) -> dict[Key, int]:
    """In how many of the scope's messages each trait occurs; 0 for what was never counted."""
    counts = dict.fromkeys([(trait.kind, trait.value) for trait in traits], 0)
    if not counts:
        return counts
    kinds, values = zip(*counts, strict=True)
    # The wall compares with a list of clients; joining by the key keeps each a look-up.
    for kind, value, messages in fetch(
        "SELECT t.kind, t.value, sum(t.messages)"
        " FROM unnest(%b::text[], %b::text[]) AS w (kind, value)"
        " JOIN incidents_traitcount t ON t.kind = w.kind AND t.value = w.value"
        " GROUP BY t.kind, t.value",
        [list(kinds), list(values)],
    ):
        counts[kind, value] = int(messages)
    return counts


def total_messages() -> int:
    """How many messages of the scope's clients were counted."""
    rows = TraitCount.objects.filter(kind=TOTAL.kind, value=TOTAL.value)
    return sum(rows.values_list("messages", flat=True))


def sweep_rare(tenant_id: int) -> int:
    """Forgets what was rare and long ago, at most ``SWEEP_ROWS`` values; answers how many."""
    return run(
        "DELETE FROM incidents_traitcount WHERE tenant_id = %s AND (kind, value) IN ("
        " SELECT kind, value FROM incidents_traitcount WHERE tenant_id = %s"
        " AND messages <= %s AND last_seen_at < %s AND kind <> %s LIMIT %s)",
        [
            *(tenant_id, tenant_id, RARE_MESSAGES, timezone.now() - FORGOTTEN_AFTER),
            *(TOTAL.kind, SWEEP_ROWS),
        ],
    )
