"""Changes of policies that were asked for: what each would do, and what became of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from seg_bridge.held.shorter import would_be_deleted
from seg_bridge.models import PolicyChange, Rehearsal
from seg_bridge.policies.effective import Level
from seg_bridge.policies.keys import KEYS
from seg_bridge.policies.layers import Target
from seg_bridge.policies.services import target_of
from tenants.models import GroupMember


@dataclass(frozen=True, slots=True)
class Changed:
    """One line of a difference, in words."""

    label: str
    before: str
    before_from: str
    after: str
    after_from: str
    is_of_value: bool


@dataclass(frozen=True, slots=True)
class ChangePage:
    """``changing``: values that become others; ``moving``: that come from another level.
    ``deleted``: held mails that the retention would take, of a change that is not made yet.
    """

    change: PolicyChange
    target: Target
    changing: list[Changed]
    moving: list[Changed]
    rehearsals: list[Rehearsal]
    totals: dict[str, int]
    stops: list[str]
    deleted: int


def change_page(change: PolicyChange) -> ChangePage:
    rehearsals: list[Rehearsal] = []
    if change.batch:
        found = Rehearsal.objects.filter(batch=change.batch).select_related("tenant")
        rehearsals = list(found.order_by("tenant__name"))
    totals: Counter[str] = Counter()
    for each in rehearsals:
        totals.update(each.counts)
    lines = [_line(each) for each in change.differences]
    return ChangePage(
        change=change,
        target=target_of(change),
        changing=[line for line in lines if line.is_of_value],
        moving=[line for line in lines if not line.is_of_value],
        rehearsals=rehearsals,
        totals=dict(totals),
        stops=[stop for each in rehearsals for stop in each.stops],
        deleted=0 if change.state == PolicyChange.State.MADE else would_be_deleted(change),
    )


def _line(told: dict[str, Any]) -> Changed:
    key = KEYS.get(told["key"])
    before, after = told["before"], told["after"]
    return Changed(
        label=key.label if key else told["key"],
        before=key.words(before) if key else str(before),
        before_from=level_words(told["before_level"], told["before_name"]),
        after=key.words(after) if key else str(after),
        after_from=level_words(told["after_level"], told["after_name"]),
        is_of_value=before != after,
    )


def level_words(level: str, name: str) -> str:
    """Where a value comes from."""
    match level:
        case Level.DEFAULT:
            return "Bailey's default"
        case Level.PROVIDER:
            return f"all clients of {name}"
        case Level.GROUP:
            return f"the group {name}"
        case Level.DIRECTORY:
            return f"the group {name} of the directory"
    return name


def changes_in_sight() -> QuerySet[PolicyChange]:
    """Those of a group that has no client in sight are not there, as the group is not."""
    member = GroupMember.objects.filter(group=OuterRef("group"))
    return PolicyChange.objects.filter(Q(group=None) | Exists(member)).select_related(
        "provider", "group", "tenant", "domain", "mailbox__domain", "mailbox_group"
    )
