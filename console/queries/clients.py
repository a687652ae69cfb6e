"""Clients: how each layer stands, and what a client's page says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, QuerySet
from django.utils import timezone

from api_bridge.models import Connection, MailboxSync
from console.queries.blindness import Blind, Blindness
from console.queries.mail import outcome_counts
from console.queries.sla import statements
from incidents.models import Delivery, Incident, Report
from seg_bridge.models import GateClient, GatewayRule, LegalHold
from seg_bridge.policies.effective import Effective, effective
from seg_bridge.policies.keys import KEYS, ROWS
from seg_bridge.policies.layers import Layers
from seg_bridge.rule_scopes import of_client
from seg_bridge.services import rules_in_force
from tenants.groups import group_choices
from tenants.models import Domain, Mailbox, Tenant


@dataclass(frozen=True, slots=True)
class ClientRow:
    client: Tenant
    blind: Blind
    open_incidents: int
    worst: str
    mailboxes: int
    held: int


@dataclass(frozen=True, slots=True)
class ClientPage:
    client: Tenant
    blind: Blind
    domains: list[Domain]
    mailboxes: list[Mailbox]
    connections: list[Connection]
    gates: list[GateClient]
    matrix: list[tuple[str, str, Effective]]
    acts_from: str
    rules: list[GatewayRule]
    last_sync: MailboxSync | None
    week: dict[str, int]
    statements: list[Report]
    holds: list[LegalHold]


def client_choices() -> dict[str, Any]:
    """What ``_components/client_choice.html`` offers: the clients in sight, and their groups.

    Both as pairs of address and name: rows of hundreds of clients would cost more than the page.
    """
    return {"clients": Tenant.objects.values_list("slug", "name"), "groups": group_choices()}


def client_rows() -> list[ClientRow]:
    """All clients in sight; five queries however many they are."""
    clients = list(Tenant.objects.all())
    blindness = Blindness(client.id for client in clients)
    ranks = {severity: rank for rank, severity in enumerate(reversed(Incident.Severity.values))}
    open_now: dict[int, dict[str, int]] = {}
    for tenant_id, severity, n in (
        Incident.objects.exclude(state=Incident.State.RESOLVED)
        .order_by()
        .values_list("tenant_id", "severity")
        .annotate(n=Count("id"))
    ):
        open_now.setdefault(tenant_id, {})[severity] = n
    mailboxes = _by_client(Mailbox.objects.filter(state=Mailbox.State.ACTIVE))
    held = _by_client(Delivery.objects.filter(place="hold"))
    return [
        ClientRow(
            client=client,
            blind=blindness.of(client.id),
            open_incidents=sum(open_now.get(client.id, {}).values()),
            worst=max(open_now.get(client.id, {}), key=ranks.__getitem__, default=""),
            mailboxes=mailboxes.get(client.id, 0),
            held=held.get(client.id, 0),
        )
        for client in clients
    ]


def _by_client(rows: QuerySet[Any]) -> dict[int, int]:
    return dict(rows.order_by().values_list("tenant_id").annotate(n=Count("*")))


def client_page(client: Tenant) -> ClientPage:
    policy = effective(Layers([client.id]).chain(client.id))
    week_ago = timezone.now() - timedelta(days=7)
    return ClientPage(
        client=client,
        blind=Blindness([client.id]).of(client.id),
        domains=list(Domain.objects.filter(tenant=client).order_by("name")),
        mailboxes=list(Mailbox.objects.filter(tenant=client).order_by("address")[:500]),
        connections=list(Connection.objects.filter(tenant=client).order_by("created_at")),
        gates=list(GateClient.objects.filter(tenant=client).select_related("gate")),
        matrix=[
            (row, KEYS[f"action.{row}"].words(one.value), one)
            for row in ROWS
            for one in [policy[f"action.{row}"]]
        ],
        acts_from=KEYS["act_from"].words(policy["act_from"].value),
        rules=list(
            GatewayRule.objects.filter(rules_in_force(), of_client(client.id))
            .select_related("tenant", "group")
            .order_by("-created_at")[:200]
        ),
        last_sync=MailboxSync.objects.filter(tenant=client, synced_at__isnull=False)
        .order_by("-synced_at")
        .first(),
        statements=statements(client.slug),
        holds=list(LegalHold.objects.filter(tenant=client, message=None, ended_at=None)),
        week=outcome_counts(Delivery.objects.filter(tenant=client, received_at__gte=week_ago)),
    )
