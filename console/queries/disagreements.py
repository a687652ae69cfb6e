"""The queue of disagreements, and what the page of one says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from console.lib.cursor import newest_first
from console.queries.against import who_of
from console.queries.blindness import Blind, Blindness
from incidents.models import Disagreement, Incident, StandingOrder
from incidents.orders import orders_in_force
from incidents.words import differ
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.rule_scopes import of_client
from tenants.groups import of_clients
from tenants.ids import as_uuid

SHOWN = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Filters:
    """ "" means any."""

    client: str = ""
    kind: str = ""
    state: str = Disagreement.State.OPEN


@dataclass(frozen=True, slots=True)
class Row:
    item: Disagreement
    gateway: str
    mailbox: str
    other: dict[str, Any]
    blind: Blind

    @property
    def differ(self) -> bool:
        """The layers' own words; a person or the mail host may contradict two that agree."""
        return differ(self.gateway, self.mailbox)

    @property
    def who(self) -> str:
        """Who said ``other``; "" where nobody beside the layers did."""
        return who_of(self.other) if self.other else ""

    @property
    def is_proposal(self) -> bool:
        """Open, with something to accept."""
        return self.item.is_open and bool(self.item.proposal)


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Row]
    older: str
    kinds: list[tuple[str, str, int]]
    states: list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Item:
    """``rehearsal`` None: not rehearsed yet; ``written`` the rule that an accepted one made."""

    row: Row
    rule: GatewayRule | None
    rehearsal: Rehearsal | None
    written: GatewayRule | None
    left: str


def disagreements_page(filters: Filters, cursor: str) -> Page:
    """Open ones, and others of the last 90 days, newest first; the counts are of what the other
    filters leave.
    """
    # Row-level security and counts over all years do not go together.
    recent = Q(state=Disagreement.State.OPEN) | Q(seen_at__gte=timezone.now() - SHOWN)
    found = of_clients(Disagreement.objects.filter(recent), filters.client)
    states = _counts(found, "state", Disagreement.State.choices)
    if filters.state in Disagreement.State.values:
        found = found.filter(state=filters.state)
    kinds = _counts(found, "kind", Disagreement.Kind.choices)
    if filters.kind in Disagreement.Kind.values:
        found = found.filter(kind=filters.kind)
    found = found.select_related("tenant", "incident", "message")
    items, older = newest_first(found, cursor, at="seen_at")
    return Page(rows_of(items), older, kinds, states)


def _counts(
    found: QuerySet[Disagreement], name: str, choices: Sequence[tuple[str, str]]
) -> list[tuple[str, str, int]]:
    numbers = dict(found.order_by().values_list(name).annotate(n=Count("id")))
    return [(value, str(label), numbers.get(value, 0)) for value, label in choices]


def rows_of(items: Sequence[Disagreement]) -> list[Row]:
    blindness = Blindness(item.tenant_id for item in items)
    return [_row(item, blindness) for item in items]


def _row(item: Disagreement, blindness: Blindness) -> Row:
    verdicts = {side["layer"]: side["verdict"] for side in item.sides}
    others = (side for side in item.sides if side["layer"] in ("person", "vendor"))
    other: dict[str, Any] = next(others, {})
    return Row(
        item=item,
        gateway=verdicts.get("gateway", ""),
        mailbox=verdicts.get("mailbox", "not_seen"),
        other=other,
        blind=blindness.of(item.tenant_id),
    )


def item_page(item: Disagreement) -> Item:
    result = item.result
    (row,) = rows_of([item])
    return Item(
        row=row,
        rule=_rule(item.tenant_id, item.rule_id),
        rehearsal=_rehearsal(item.tenant_id, as_uuid(result.get("rehearsal"))),
        written=_rule(item.tenant_id, as_uuid(result.get("rule"))),
        left=str(result.get("left", "")) or _harmless(item),
    )


def _harmless(item: Disagreement) -> str:
    is_so = item.is_open and item.incident is not None and item.incident.is_called_harmless
    return "A person has closed the incident as harmless." if is_so else ""


def _rule(tenant_id: int, rule_id: UUID | None) -> GatewayRule | None:
    rows = GatewayRule.objects.filter(of_client(tenant_id)).select_related("tenant", "group")
    return rows.filter(id=rule_id).first() if rule_id else None


def _rehearsal(tenant_id: int, rehearsal_id: UUID | None) -> Rehearsal | None:
    if rehearsal_id is None:
        return None
    return Rehearsal.objects.filter(tenant=tenant_id, id=rehearsal_id).first()


def of_incident(incident_id: UUID, tenant_id: int) -> list[Row]:
    """The incident's contradictions, open ones first."""
    found = Disagreement.objects.filter(tenant=tenant_id, incident=incident_id)
    items = list(found.select_related("tenant", "incident", "message").order_by("created_at"))
    return rows_of(sorted(items, key=lambda item: not item.is_open))


def orders_of(incident: Incident) -> list[StandingOrder]:
    """The standing orders of the incident that are in force."""
    found = StandingOrder.objects.filter(orders_in_force(), tenant=incident.tenant_id)
    return list(found.filter(incident=incident))
