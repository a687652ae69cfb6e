"""One change of a policy for many clients: what it states, and how far each client is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from seg_bridge.models import PolicyPush, PolicyPushItem, Rehearsal
from seg_bridge.policies.keys import KEYS


@dataclass(frozen=True, slots=True)
class PushPage:
    """``counts``: state → clients; ``totals`` over the forecasts; ``makeable``: clients that an
    approval would reach, ``objecting``: further ones that it takes ``despite`` for.
    """

    push: PolicyPush
    values: list[tuple[str, str]]
    items: list[PolicyPushItem]
    rows: list[tuple[PolicyPushItem, dict[str, int]]]
    counts: list[tuple[str, str, int]]
    totals: dict[str, int]
    done: int
    makeable: int
    objecting: int
    failed: int
    is_moving: bool
    result: str


def push_page(push: PolicyPush) -> PushPage:
    items = list(
        PolicyPushItem.objects.filter(push=push)
        .select_related("tenant", "change")
        .order_by("tenant__name")
    )
    state = PolicyPushItem.State
    numbers = Counter(item.state for item in items)
    unapproved = [item for item in items if not item.is_approved]
    forecasts = _forecasts(items)
    on_the_way = [item for item in items if item.is_approved and item.state in _UNMADE]
    return PushPage(
        push=push,
        values=push_values(push),
        items=items,
        counts=[
            (value, str(text), numbers[value]) for value, text in state.choices if numbers[value]
        ],
        rows=[(item, forecasts.get(_batch(item), {})) for item in items],
        totals=dict(sum(map(Counter, forecasts.values()), Counter())),
        done=sum(numbers[each] for each in _SETTLED),
        makeable=sum(item.state in (state.WAITING, state.REHEARSED) for item in unapproved),
        objecting=sum(item.state == state.OBJECTED for item in unapproved),
        failed=numbers[state.FAILED] + numbers[state.STOPPED],
        is_moving=bool(numbers[state.WAITING] or on_the_way),
        result=_result(push, numbers, len(items)),
    )


_UNMADE = (
    *(PolicyPushItem.State.WAITING, PolicyPushItem.State.REHEARSED),
    PolicyPushItem.State.OBJECTED,
)
_SETTLED = (
    *(PolicyPushItem.State.MADE, PolicyPushItem.State.UNCHANGED, PolicyPushItem.State.FAILED),
    PolicyPushItem.State.STOPPED,
)


def push_values(push: PolicyPush) -> list[tuple[str, str]]:
    """What it states, and what it gives back, in words."""
    found = [(KEYS[key].label, KEYS[key].words(value)) for key, value in push.states.items()]
    return found + [(KEYS[key].label, "inherited again") for key in push.inherits]


def _batch(item: PolicyPushItem) -> UUID | None:
    return item.change.batch if item.change else None


def _forecasts(items: list[PolicyPushItem]) -> dict[UUID | None, dict[str, int]]:
    """Batch → its numbers; of one client each."""
    batches = [batch for item in items if (batch := _batch(item))]
    found = Rehearsal.objects.filter(batch__in=batches).values_list("batch", "counts")
    return dict(found)


def _result(push: PolicyPush, numbers: Counter[str], clients: int) -> str:
    """In a word: nothing yet, success, partial, or failed."""
    good = numbers[PolicyPushItem.State.MADE] + numbers[PolicyPushItem.State.UNCHANGED]
    if push.approved_at is None:
        return "Nothing is changed yet"
    if good == clients:
        return "Success"
    return "Partial" if good else "Nothing made yet"
