"""Groups of a provider's clients, and the one way in which lists are narrowed to some of them.

In addresses and kept views a client is its short name, a group ``group:<id>``; "" is all in sight.
Of a group only the clients in the reader's sight count, and a group without one is not there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db import IntegrityError, models, transaction

from tenants.audit import write_audit
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.ids import as_uuid
from tenants.models import ClientGroup, GroupMember, Person, Tenant
from tenants.people import must_lead
from tenants.scope import current_scope

GROUP_CREATED = "tenants.group.created"
GROUP_CHANGED = "tenants.group.changed"
GROUP_REMOVED = "tenants.group.removed"
MOST_GROUPS = 200
PREFIX = "group:"

_M = TypeVar("_M", bound=models.Model)


@dataclass(frozen=True, slots=True)
class Group:
    """``clients``: those in sight, by name."""

    row: ClientGroup
    clients: list[Tenant]

    @property
    def address(self) -> str:
        """As ``of_clients`` takes it."""
        return f"{PREFIX}{self.row.id}"


def of_clients(
    rows: models.QuerySet[_M], client: str, *, path: str = "tenant"
) -> models.QuerySet[_M]:
    """The rows of this client or group; none for a name that nobody in sight has.

    ``path`` leads from a row to its client; "" where the rows are clients.
    """
    if not client:
        return rows
    if client.startswith(PREFIX):
        # The ids first: as a part of the question they keep the lists' indexes from being used.
        return rows.filter(**{f"{path or 'pk'}__in": members_of(client.removeprefix(PREFIX))})
    return rows.filter(**{f"{path}__slug" if path else "slug": client})


def clients_among(client: str) -> list[int]:
    """The ids of this client or of the group's clients, for questions that begin with them; of all
    in sight for "".
    """
    in_sight = current_scope().tenant_ids
    if not client:
        return list(in_sight)
    clients = Tenant.objects.filter(id__in=in_sight)
    return list(of_clients(clients, client, path="").values_list("id", flat=True))


def members_of(group: UUID | str) -> list[int]:
    """The ids of the group's clients in sight; none for what is no group's id."""
    group_id = as_uuid(str(group))
    if group_id is None:
        return []
    rows = GroupMember.objects.filter(group=group_id).order_by("tenant_id")
    return list(rows.values_list("tenant_id", flat=True))


def groups_in_sight(person: Person) -> list[Group]:
    """By name.  A lead sees empty groups too: she makes and fills them."""
    clients: dict[UUID, list[Tenant]] = {}
    for member in GroupMember.objects.select_related("tenant").order_by("tenant__name"):
        clients.setdefault(member.group_id, []).append(member.tenant)
    rows = ClientGroup.objects.order_by("name", "id")
    is_lead = person.role == Person.Role.LEAD
    return [Group(row, clients.get(row.id, [])) for row in rows if is_lead or row.id in clients]


def group_choices() -> list[tuple[str, str]]:
    """Address and name of each group with a client in sight, for a list of choices."""
    is_in_sight = models.Exists(GroupMember.objects.filter(group=models.OuterRef("pk")))
    rows = ClientGroup.objects.filter(is_in_sight).order_by("name", "id")
    return [(f"{PREFIX}{group_id}", name) for group_id, name in rows.values_list("id", "name")]


def access_group(person: Person, group_id: UUID | str) -> Group:
    """Raises ``NotThere``."""
    for group in groups_in_sight(person):
        if str(group.row.id) == str(group_id).lower():
            return group
    raise NotThere


@transaction.atomic
def save_group(
    *, name: str, clients: Collection[Tenant], actor: Person, group: ClientGroup | None = None
) -> ClientGroup:
    """Make a group, or give one this name and these clients.

    Raises ``NotAllowed`` (a lead's), ``WrongInput``, or ``Conflict`` for a name that is taken.
    """
    must_lead(actor)
    name = " ".join(name.split())
    if not name or len(name) > 80 or not name.isprintable():
        raise WrongInput("A group has a name of at most 80 characters.")
    if group is None and ClientGroup.objects.count() >= MOST_GROUPS:
        raise WrongInput(f"There are {MOST_GROUPS} groups already: remove one first.")
    before = group.name if group else ""
    row = group or ClientGroup(provider_id=actor.provider_id, created_by=actor.name)
    row.name = name
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Conflict(f"There is a group named {name} already.") from error
    added, removed = _set_members(row, clients)
    write_audit(
        GROUP_CHANGED if group else GROUP_CREATED,
        actor=actor,
        provider_id=actor.provider_id,
        object_kind="client_group",
        object_id=row.id,
        before=before,
        after=name,
        added=added,
        removed=removed,
    )
    return row


def _set_members(group: ClientGroup, clients: Collection[Tenant]) -> tuple[list[str], list[str]]:
    """The short names of those that came in and went out."""
    wanted = {client.id: client.slug for client in clients}
    rows = GroupMember.objects.filter(group=group).values_list("tenant_id", "tenant__slug")
    known = dict(rows)
    GroupMember.objects.filter(group=group, tenant__in=known.keys() - wanted.keys()).delete()
    GroupMember.objects.bulk_create(
        GroupMember(tenant_id=client_id, group=group)
        for client_id in sorted(wanted.keys() - known.keys())
    )
    return _names(wanted, known), _names(known, wanted)


def _names(these: dict[int, str], without: dict[int, str]) -> list[str]:
    return sorted(slug for key, slug in these.items() if key not in without)


@transaction.atomic
def remove_group(*, group: ClientGroup, actor: Person) -> None:
    """The clients stay; views that named the group find nothing.  Raises ``NotAllowed``."""
    must_lead(actor)
    write_audit(
        GROUP_REMOVED,
        actor=actor,
        provider_id=actor.provider_id,
        object_kind="client_group",
        object_id=group.id,
        before=group.name,
    )
    group.delete()
