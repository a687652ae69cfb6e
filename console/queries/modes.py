"""How far Bailey goes in a client's mailboxes: each scope, each mailbox, and what waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db.models import Count

from api_bridge.models import Connection
from console.queries.blindness import Blind, Blindness
from incidents.access import access_one
from incidents.layers import why_not_acting
from incidents.models import LateVerdicts, LayerMode, PullProposal
from incidents.modes import (
    EFFECTS,
    Effective,
    Mode,
    groups_with_modes,
    modes_of,
    wish_of,
)
from incidents.proposals import waiting_for_a_yes
from tenants.models import Mailbox, MailboxGroup, Person, Tenant

SHOWN = 500
HISTORY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRow:
    """``group`` None: the client.  ``mode`` None: the group has none.  ``later``: what is decided
    and not in force yet.
    """

    group: MailboxGroup | None
    members: int
    mode: Effective | None
    later: LayerMode | None

    @property
    def group_key(self) -> str:
        """As an address names it; "" is the client."""
        return str(self.group.id) if self.group else ""

    @property
    def is_unread(self) -> bool:
        """Nobody knows yet who is in it, so that its mode reaches no mailbox."""
        return self.group is not None and self.group.members_at is None and not self.members

    @property
    def effect(self) -> str:
        return EFFECTS[self.mode.mode] if self.mode else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxRow:
    mailbox: Mailbox
    mode: Effective


@dataclass(frozen=True, slots=True, kw_only=True)
class ModesPage:
    """``mailboxes``: the first ``SHOWN`` by address, ``counted`` of all.  ``acts_not``: why nothing
    can be moved at this client, "" where it can.
    """

    client: Tenant
    blind: Blind
    own: ScopeRow
    groups: list[ScopeRow]
    mailboxes: list[MailboxRow]
    counted: list[tuple[Mode, int]]
    more: int
    waiting: list[PullProposal]
    history: list[LayerMode]
    connections: list[Connection]
    wish: LateVerdicts
    acts_not: str
    may_set: bool


def modes_page(client: Tenant, reader: Person) -> ModesPage:
    modes = modes_of(client.id)
    boxes = Mailbox.objects.filter(tenant=client).exclude(state=Mailbox.State.GONE)
    rows = [
        MailboxRow(mailbox=box, mode=modes.of(box.address)) for box in boxes.order_by("address")
    ]
    counted = Counter(row.mode.mode for row in rows)
    groups = MailboxGroup.objects.filter(groups_with_modes(client.id), tenant=client)
    listed = groups.annotate(n=Count("members")).order_by("gone_at", "name", "id")
    decided = LayerMode.objects.filter(tenant=client).order_by("-set_at", "-id")
    return ModesPage(
        client=client,
        blind=Blindness([client.id]).of(client.id),
        own=ScopeRow(group=None, members=len(rows), mode=modes.client, later=modes.later(None)),
        groups=[
            ScopeRow(
                group=group,
                members=group.n,
                mode=modes.groups.get(group.id),
                later=modes.later(group.id),
            )
            for group in listed
        ],
        mailboxes=rows[:SHOWN],
        counted=[(mode, counted[mode]) for mode in Mode],
        more=max(0, len(rows) - SHOWN),
        waiting=waiting_proposals(client),
        history=list(decided.select_related("group")[:HISTORY]),
        connections=list(Connection.objects.filter(tenant=client).order_by("created_at")),
        wish=wish_of(client.id),
        acts_not=why_not_acting(client.id),
        may_set=reader.role == Person.Role.LEAD,
    )


def waiting_proposals(client: Tenant) -> list[PullProposal]:
    rows = PullProposal.objects.filter(waiting_for_a_yes(), tenant=client)
    return list(rows.select_related("incident").order_by("asked_at"))


def group_of(client: Tenant, asked: str) -> MailboxGroup | None:
    """None for "": the client itself.  Raises ``NotThere``."""
    if not asked:
        return None
    return access_one(MailboxGroup.objects.filter(tenant=client), asked)
