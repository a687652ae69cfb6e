"""Policies by level: every value with its origin, who states something, and what was changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse

from console.queries.policy_changes import level_words
from seg_bridge.models import PolicyChange, PolicyLayer, PolicyPush
from seg_bridge.policies.effective import Effective, Level, effective
from seg_bridge.policies.keys import KEYS, ROW_WORDS, ROWS, Key
from seg_bridge.policies.layers import Layers, Target
from seg_bridge.policies.push import pushes_in_sight
from seg_bridge.policies.services import own_row, templates_for
from seg_bridge.policies.templates import Template
from tenants.groups import members_of
from tenants.ids import as_uuid
from tenants.models import (
    ClientGroup,
    Domain,
    GroupMember,
    Mailbox,
    MailboxGroup,
    Provider,
    Tenant,
)

SHOWN_CHANGES = 20
MOST_ROWS = 200


def href_of(target: Target) -> str:
    """The page of this level."""
    match target.level:
        case Level.GROUP:
            assert target.group
            return reverse("policy_group", args=[target.group.id])
        case Level.CLIENT:
            assert target.tenant
            return reverse("policy_client", args=[target.tenant.slug])
        case Level.DOMAIN:
            assert target.domain
            return reverse("policy_domain", args=[target.domain.id])
        case Level.DIRECTORY:
            assert target.directory
            return reverse("policy_directory", args=[target.directory.id])
        case Level.MAILBOX:
            assert target.mailbox
            return reverse("policy_mailbox", args=[target.mailbox.id])
    return reverse("policy_provider")


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as a page shows it.  ``own`` is what the level itself states, None: it inherits
    ``inherited``, in words with its origin.
    """

    key: Key
    value: Effective
    own: Effective | None
    inherited: Effective | None

    @property
    def words(self) -> str:
        return self.key.words(self.value.value)

    @property
    def inherited_words(self) -> str:
        return self.key.words(self.inherited.value) if self.inherited else ""

    @property
    def typed(self) -> str:
        """What stands in its field: a single hyphen for a stated nothing."""
        if self.own is None:
            return ""
        value = self.own.value
        return f"{value:g}" if isinstance(value, int | float) else value or "-"

    @property
    def set_at(self) -> datetime | None:
        return datetime.fromisoformat(self.value.at) if self.value.at else None

    @property
    def origin(self) -> str:
        return level_words(self.value.level, self.value.name)


@dataclass(frozen=True, slots=True)
class Row:
    """A verdict, or *not scanned*, with its cells; ``keep`` None: it has none."""

    code: str
    words: str
    action: Cell
    release: Cell
    keep: Cell | None


@dataclass(frozen=True, slots=True)
class Narrower:
    """A level below that states something, or may."""

    target: Target
    states: int
    template: str

    @property
    def href(self) -> str:
        return href_of(self.target)


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """``wider`` from the widest on; ``others`` the cells beside the matrix, by section.

    ``groups``: those with a client in sight, on the page of all clients.
    """

    target: Target
    version: int
    row: PolicyLayer | None
    wider: list[Narrower]
    rows: list[Row]
    others: dict[str, list[Cell]]
    own_count: int
    is_as_template: bool
    templates: list[Template]
    groups: list[Narrower]
    narrower: list[Narrower]
    changes: list[PolicyChange]
    pushes: list[PolicyPush]

    @property
    def href(self) -> str:
        return href_of(self.target)


def cells_of(target: Target) -> dict[str, Cell]:
    found = {}
    for key, value in effective(Layers(_ids(target)).chain_of(target)).items():
        own = value if value.level is target.level else None
        found[key] = Cell(KEYS[key], value, own, value.wider if own else value)
    return found


def _ids(target: Target) -> list[int]:
    return [target.tenant.id] if target.tenant else []


def policy_page(target: Target) -> PolicyPage:
    cells, row = cells_of(target), own_row(target)
    is_of_all = target.level is Level.PROVIDER
    own = {key: cell.own.value for key, cell in cells.items() if cell.own}
    templates = templates_for(target.provider.id)
    applied = next((one for one in templates if row and one.name == row.template), None)
    return PolicyPage(
        target=target,
        version=row.version if row else 0,
        row=row,
        wider=_wider(target),
        rows=[
            Row(
                code,
                ROW_WORDS[code],
                cells[f"action.{code}"],
                cells[f"release.{code}"],
                cells.get(f"keep.{code}"),
            )
            for code in ROWS
        ],
        others=_others(cells),
        own_count=len(own),
        is_as_template=applied is not None and dict(applied.values) == own,
        templates=templates,
        groups=group_levels(target.provider) if is_of_all else [],
        narrower=_narrower(target),
        changes=list(changes_of(target)[:SHOWN_CHANGES]),
        pushes=list(pushes_in_sight()[:SHOWN_CHANGES]) if is_of_all else [],
    )


def _others(cells: dict[str, Cell]) -> dict[str, list[Cell]]:
    names = {
        "file": "Kinds of files",
        "held": "Held mail",
        "digest": "Digest",
        "learn": "Learning",
        "records": "Records of accounts and reports",
    }
    found: dict[str, list[Cell]] = {"Thresholds": [], **{each: [] for each in names.values()}}
    for cell in cells.values():
        if cell.key.section not in ("action", "release", "keep"):
            found[names.get(cell.key.section, "Thresholds")].append(cell)
    return found


def _wider(target: Target) -> list[Narrower]:
    targets = [Target(provider=target.provider)]
    if target.tenant:
        of_client = ClientGroup.objects.filter(members__tenant=target.tenant).order_by("id")
        targets += [Target(provider=target.provider, group=group) for group in of_client]
        targets.append(Target(provider=target.provider, tenant=target.tenant))
    if target.domain:
        targets.append(Target(provider=target.provider, tenant=target.tenant, domain=target.domain))
    if target.mailbox and target.tenant:
        targets += [
            Target(provider=target.provider, tenant=target.tenant, directory=group)
            for group in MailboxGroup.objects.filter(
                tenant=target.tenant, gone_at=None, members__mailbox=target.mailbox
            ).order_by("id")
        ]
    found = []
    for each in targets:
        if each.level is not target.level:
            row = own_row(each)
            found.append(Narrower(each, len(row.stated) if row else 0, row.template if row else ""))
    return found


def _narrower(target: Target) -> list[Narrower]:
    """All clients for the provider or a group, all domains for a client; mailboxes that state
    something.
    """
    if target.level in (Level.MAILBOX, Level.DIRECTORY):
        return []
    if target.group is not None:
        return client_levels(target.provider, members_of(target.group.id))
    if target.tenant is None:
        return client_levels(target.provider)
    rows = PolicyLayer.objects.filter(tenant=target.tenant)
    stated = {row.domain_id or row.mailbox_id or row.mailbox_group_id: row for row in rows}
    found = []
    if target.domain is None:
        for domain in Domain.objects.filter(tenant=target.tenant).order_by("name")[:MOST_ROWS]:
            one = Target(provider=target.provider, tenant=target.tenant, domain=domain)
            found.append(_counted(one, stated.get(domain.id)))
        found += _directory_levels(target, stated)
    boxes = Mailbox.objects.filter(
        tenant=target.tenant, id__in=[row.mailbox_id for row in rows if row.mailbox_id]
    ).select_related("domain")
    if target.domain is not None:
        boxes = boxes.filter(domain=target.domain)
    for box in boxes.order_by("address")[:MOST_ROWS]:
        one = Target(provider=target.provider, tenant=target.tenant, domain=box.domain, mailbox=box)
        found.append(_counted(one, stated.get(box.id)))
    return found


def _directory_levels(target: Target, stated: Mapping[UUID | None, PolicyLayer]) -> list[Narrower]:
    """Groups of the client's directory: those that state something first, then by name."""
    groups = MailboxGroup.objects.filter(Q(gone_at=None) | Q(id__in=list(stated)))
    listed = sorted(
        groups.filter(tenant=target.tenant).order_by("name", "id"),
        key=lambda group: group.id not in stated,
    )
    return [
        _counted(
            Target(provider=target.provider, tenant=target.tenant, directory=group),
            stated.get(group.id),
        )
        for group in listed[:MOST_ROWS]
    ]


def group_levels(provider: Provider) -> list[Narrower]:
    """Every group with a client in sight, in the order in which they inherit."""
    rows = {row.group_id: row for row in PolicyLayer.objects.filter(level=Level.GROUP)}
    return [
        _counted(Target(provider=provider, group=group), rows.get(group.id))
        for group in ClientGroup.objects.filter(Exists(_IN_SIGHT)).order_by("id")
    ]


_IN_SIGHT = GroupMember.objects.filter(group=OuterRef("pk"))


def client_levels(provider: Provider, among: Collection[int] | None = None) -> list[Narrower]:
    """Every client in sight, by name, and how much it states itself; None: all of them."""
    rows = {
        row.tenant_id: row for row in PolicyLayer.objects.filter(level=PolicyLayer.Level.CLIENT)
    }
    return [
        _counted(Target(provider=provider, tenant=tenant), rows.get(tenant.id))
        for tenant in Tenant.objects.all()
        if among is None or tenant.id in among
    ]


def _counted(target: Target, row: PolicyLayer | None) -> Narrower:
    return Narrower(target, len(row.stated) if row else 0, row.template if row else "")


def find_mailbox(tenant: Tenant, address: str) -> Mailbox | None:
    found = Mailbox.objects.filter(tenant=tenant, address=address.strip().lower())
    return found.select_related("domain").first()


def find_domain(tenant: Tenant, name: str) -> Domain | None:
    return Domain.objects.filter(tenant=tenant, name=name.strip().lower()).first()


def find_directory_group(tenant: Tenant, wanted: str) -> MailboxGroup | None:
    """By its id, or by its name where only one has it."""
    rows = MailboxGroup.objects.filter(tenant=tenant)
    if key := as_uuid(wanted):
        return rows.filter(id=key).first()
    named = list(rows.filter(gone_at=None, name__iexact=wanted.strip())[:2])
    return named[0] if len(named) == 1 else None


def changes_of(target: Target) -> QuerySet[PolicyChange]:
    """Made at this very level, the newest first."""
    key = target.row_key
    return PolicyChange.objects.filter(state=PolicyChange.State.MADE, **key).order_by("-made_at")
