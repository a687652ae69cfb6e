"""What a canonical pass would change at a client, and what was decided before."""

from __future__ import annotations

from dataclasses import dataclass

from incidents.campaigns.recomputing import waits_for_a_person
from incidents.models import Recomputation
from tenants.models import Tenant

SHOWN_BEFORE = 20
KINDS = {
    "split": ("incident parted", "incidents parted"),
    "merge": ("incident joined from several", "incidents joined from several"),
    "campaign": ("campaign changed", "campaigns changed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingPage:
    """``now`` None: nothing is asked.  ``waits``: no pass changes anything until it is decided."""

    client: Tenant
    now: Recomputation | None
    numbers: list[tuple[str, int]]
    total: int
    before: list[Recomputation]
    waits: bool

    @property
    def more(self) -> int:
        return self.total - len(self.now.lines) if self.now else 0


def grouping_page(client: Tenant) -> GroupingPage:
    rows = Recomputation.objects.filter(tenant=client).order_by("-asked_at")
    now = rows.filter(decided_at=None).first()
    counts = now.counts if now else {}
    return GroupingPage(
        client=client,
        now=now,
        numbers=[(words[n > 1], n) for kind, words in KINDS.items() if (n := counts.get(kind, 0))],
        total=sum(counts.values()),
        before=list(rows.exclude(decided_at=None)[:SHOWN_BEFORE]),
        waits=waits_for_a_person(client),
    )
