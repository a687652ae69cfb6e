"""Allow and block entries, kept rehearsals, and standing orders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from console.lib.cursor import newest_first
from incidents.models import Delivery, Incident, StandingOrder
from incidents.orders import orders_in_force
from seg_bridge.changes import LISTS
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.rehearsal import AddRule, ClientForecast, rehearse
from seg_bridge.rule_files import state_of
from seg_bridge.rule_scopes import of_client, rules_of
from seg_bridge.services import draft_rule, rules_in_force
from seg_bridge.snapshot import wire_rules
from tenants.audit import BAILEY
from tenants.errors import DomainError, NotThere
from tenants.groups import of_clients
from tenants.models import ClientGroup

_OF_COPIES = ("newly_held", "newly_delivered")


@dataclass(frozen=True, slots=True)
class Filters:
    """ "" means any; ``state`` is ``in_force``, ``expired``, ``removed`` or ``all``."""

    client: str = ""
    kind: str = ""
    q: str = ""
    state: str = "in_force"


@dataclass(frozen=True, slots=True)
class Page:
    rules: list[tuple[GatewayRule, str]]
    older: str
    kinds: list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class RehearsalPage:
    """All clients of one question; ``totals`` over them.  ``rule`` is the one to be removed;
    ``group`` the name of the group that the entry is for, or "".
    """

    rehearsals: list[Rehearsal]
    totals: dict[str, int]
    stops: list[str]
    is_saved: bool
    rule: GatewayRule | None
    group: str


def matching_rules(filters: Filters) -> QuerySet[GatewayRule]:
    """Newest first; entries for all clients and for its groups are among those of each."""
    found = GatewayRule.objects.filter(rules_of(filters.client))
    if filters.state == "in_force":
        found = found.filter(rules_in_force())
    elif filters.state == "expired":
        found = found.filter(expires_at__lte=Coalesce(F("removed_at"), timezone.now()))
    elif filters.state == "removed":
        is_expired = Q(expires_at__lte=F("removed_at"))
        found = found.exclude(removed_at=None).exclude(is_expired)
    if filters.q:
        found = found.filter(Q(value__icontains=filters.q) | Q(owner_name__icontains=filters.q))
    if filters.kind in GatewayRule.Kind.values:
        found = found.filter(kind=filters.kind)
    return found.select_related("tenant", "group", "incident", "mailbox_group").order_by("-id")


def rules_page(filters: Filters, cursor: str) -> Page:
    of_all_kinds = matching_rules(replace(filters, kind=""))
    numbers = dict(of_all_kinds.order_by().values_list("kind").annotate(n=Count("id")))
    kinds = [(value, str(text), numbers.get(value, 0)) for value, text in GatewayRule.Kind.choices]
    rules, older = newest_first(matching_rules(filters), cursor)
    now = timezone.now()
    return Page([(rule, state_of(rule, now)) for rule in rules], older, kinds)


def rehearsal_page(rehearsal: Rehearsal) -> RehearsalPage:
    found = list(
        Rehearsal.objects.filter(batch=rehearsal.batch)
        .select_related("tenant", "rule")
        .order_by("tenant__name")
    )
    names = rehearsal.counts.keys()
    rule_id = rehearsal.change.get("rule_id")
    return RehearsalPage(
        rehearsals=found,
        totals={name: sum(each.counts.get(name, 0) for each in found) for name in names},
        stops=[stop for each in found for stop in each.stops],
        is_saved=all(each.saved_at for each in found),
        rule=GatewayRule.objects.filter(of_client(rehearsal.tenant_id), id=rule_id).first()
        if rule_id
        else None,
        group=_group_name(rehearsal),
    )


def _group_name(rehearsal: Rehearsal) -> str:
    group_id = rehearsal.change.get("group")
    found = ClientGroup.objects.filter(id=group_id).first() if group_id else None
    return found.name if found else ""


def block_forecast(incident: Incident) -> ClientForecast | None:
    """What a block of the incident's sender would have done; None where there can be none."""
    if not incident.sender:
        return None
    tenant_id = incident.tenant_id
    try:
        row = draft_rule(
            tenant_id=tenant_id,
            kind="block",
            match="sender",
            value=incident.sender,
            reason="Rehearsed",
            actor=BAILEY,
        )
    except DomainError:  # blocked already, or an address that no rule can name
        return None
    return rehearse(AddRule(wire_rules([row])[0]), [tenant_id]).clients[0]


def is_of_copies(name: str) -> bool:
    """Whether copies are behind the number, or incidents.  Raises ``NotThere`` for no number."""
    if name not in LISTS:
        raise NotThere
    return name in _OF_COPIES


def copies_behind(rehearsal: Rehearsal, name: str) -> QuerySet[Delivery]:
    """Newest first; none where incidents are behind the number."""
    rows = Delivery.objects.filter(tenant=rehearsal.tenant_id, id__in=rehearsal.lists.get(name, ()))
    found = rows if is_of_copies(name) else rows.none()
    return found.select_related("message", "tenant").order_by("-received_at", "-id")


def incidents_behind(rehearsal: Rehearsal, name: str) -> QuerySet[Incident]:
    """The last seen first; none where copies are behind the number."""
    rows = Incident.objects.filter(tenant=rehearsal.tenant_id, id__in=rehearsal.lists.get(name, ()))
    found = rows.none() if is_of_copies(name) else rows
    return found.select_related("tenant").order_by("-last_seen_at", "-id")


def orders_list(client: str) -> QuerySet[StandingOrder]:
    """Those in force first to end, then the latest that ended."""
    found = of_clients(StandingOrder.objects.select_related("tenant", "incident"), client)
    week_ago = timezone.now() - timedelta(days=7)
    return found.filter(orders_in_force() | Q(created_at__gte=week_ago)).order_by("-id")[:200]
