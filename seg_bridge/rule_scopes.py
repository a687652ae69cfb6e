"""For whom an allow or block entry holds: all clients, a group of them, or one client.

``rules_of(client)``, ``of_client(id)``, ``rules_in_sight()``  for ``GatewayRule.objects.filter``
``shared_rules_of(ids)``    client → the provider's entries that hold for her, as they are
``touched_by(wish, …)``     the clients that a wish is rehearsed for, whichever were named

A list names its owners by ``*`` (all clients), ``group:<id>``, or a client's short name.  Files
name a group ``group:<name>``; ``with_group_ids`` translates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from seg_bridge.models import GatewayRule
from tenants.errors import NotThere, WrongInput
from tenants.groups import PREFIX, clients_among, members_of
from tenants.ids import as_uuid
from tenants.models import ClientGroup, GroupMember, Tenant

EVERYWHERE = "*"

Wish = dict[str, Any]
# Group → its clients, as if these were in it.
Members = Mapping[UUID, Collection[int]]


@dataclass(frozen=True, slots=True)
class Owner:
    """Both None: all clients of the provider."""

    tenant_id: int | None = None
    group_id: UUID | None = None


# --- questions to the table


def of_client(tenant_id: int) -> Q:
    """The client's own entries, those of its groups, and those for all clients."""
    return _of([tenant_id])


def rules_of(client: str) -> Q:
    """The entries that hold for this client, or for clients of this group, those for all included.

    ``client`` as tenants/groups.py writes it: all in sight for "", none for a name nobody has.
    """
    if not client:
        return rules_in_sight()
    ids = clients_among(client)
    return _of(ids) if ids else Q(pk__in=[])


def rules_in_sight() -> Q:
    """All but those of groups without a client in sight."""
    return Q(group=None) | Q(Exists(GroupMember.objects.filter(group=OuterRef("group"))))


def _of(tenant_ids: Sequence[int]) -> Q:
    theirs = GroupMember.objects.filter(tenant_id__in=tenant_ids, group=OuterRef("group"))
    return Q(tenant_id__in=tenant_ids) | Q(tenant_id=None) & (Q(group=None) | Q(Exists(theirs)))


def shared_rules_of(
    tenant_ids: Collection[int], *, members: Members | None = None
) -> dict[int, list[GatewayRule]]:
    """Client → entries for all clients and for its groups that are not removed.

    ``members``: as if these were the clients of those groups.
    """
    rows = list(GatewayRule.objects.filter(tenant=None, removed_at=None).order_by("id"))
    groups = {row.group_id for row in rows if row.group_id is not None}
    is_in = _memberships(tenant_ids, groups) if groups else set()
    for group_id, ids in (members or {}).items():
        is_in = {pair for pair in is_in if pair[1] != group_id}
        is_in |= {(tenant_id, group_id) for tenant_id in ids}
    return {
        tenant_id: [
            row for row in rows if row.group_id is None or (tenant_id, row.group_id) in is_in
        ]
        for tenant_id in tenant_ids
    }


def _memberships(tenant_ids: Collection[int], groups: Iterable[UUID]) -> set[tuple[int, UUID]]:
    rows = GroupMember.objects.filter(tenant_id__in=tenant_ids, group_id__in=groups)
    return set(rows.values_list("tenant_id", "group_id"))


def clients_of_rule(rule: GatewayRule) -> list[Tenant]:
    """Those that it holds for, as far as they are in sight."""
    if rule.tenant is not None:
        return [rule.tenant]
    return clients_of(Owner(group_id=rule.group_id))


def clients_of(owner: Owner) -> list[Tenant]:
    """As far as they are in sight."""
    found = Tenant.objects.order_by("id")
    if owner.tenant_id is not None:
        found = found.filter(id=owner.tenant_id)
    elif owner.group_id is not None:
        found = found.filter(id__in=members_of(owner.group_id))
    return list(found)


# --- wishes (changes.py)


def owner_of(wish: Wish, tenant_id: int) -> Owner:
    """Whose entry a wish for one entry would make, for this client."""
    if wish.get("everywhere"):
        return Owner()
    group_id = as_uuid(str(wish.get("group") or ""))
    return Owner(group_id=group_id) if group_id else Owner(tenant_id)


def touched_by(wish: Wish, tenants: Collection[Tenant]) -> Collection[Tenant]:
    """What is for several clients is rehearsed for each of them, whichever were named.

    Raises ``NotThere`` or ``WrongInput`` for a group that is not in sight or is empty.
    """
    if wish.get("do") == "remove_rule":
        rule_id = as_uuid(str(wish.get("rule_id")))
        shared = GatewayRule.objects.filter(rules_in_sight(), tenant=None)
        rule = shared.filter(id=rule_id).first() if rule_id else None
        return clients_of_rule(rule) if rule else tenants
    if wish.get("everywhere") and wish.get("group"):
        raise WrongInput("An entry is for all clients or for a group, not for both.")
    if wish.get("group"):
        group_id = as_uuid(str(wish["group"]))
        if group_id is None:
            raise NotThere
        return _clients_of_group(group_id)
    return clients_of(Owner()) if wish.get("everywhere") else tenants


def _clients_of_group(group_id: UUID) -> list[Tenant]:
    found = clients_of(Owner(group_id=group_id))
    if not found:
        # Also where there is no such group, or none that is in sight.
        raise NotThere
    return found


def share_of(wish: Wish, tenant: Tenant) -> Wish:
    """What of the wish is about this client: one's list is no other's business."""
    if wish["do"] != "add_rules":
        return wish
    keys = _keys_of(wish["rules"], tenant)
    return {**wish, "rules": {key: wish["rules"][key] for key in keys}}


def list_of(wish: Wish, tenant: Tenant) -> list[tuple[Owner, Wish]]:
    """What the list has for this client: her own entries, her groups', and those for all."""
    rules = wish.get("rules") or {}
    return [
        (_owner_by_key(key, tenant), each) for key in _keys_of(rules, tenant) for each in rules[key]
    ]


def _keys_of(rules: Mapping[str, Any], tenant: Tenant) -> list[str]:
    groups = GroupMember.objects.filter(tenant=tenant).values_list("group_id", flat=True)
    mine = {tenant.slug, EVERYWHERE, *(f"{PREFIX}{group_id}" for group_id in groups)}
    # Her own first.
    return sorted((key for key in rules if key in mine), key=lambda key: key != tenant.slug)


def _owner_by_key(key: str, tenant: Tenant) -> Owner:
    if key == EVERYWHERE:
        return Owner()
    if key.startswith(PREFIX):
        return Owner(group_id=as_uuid(key.removeprefix(PREFIX)))
    return Owner(tenant.id)


def clients_of_list(rules: Mapping[str, Any]) -> list[Tenant]:
    """The clients that a list names, all in sight for ``*``.  Raises ``WrongInput``."""
    if EVERYWHERE in rules:
        return clients_of(Owner())
    slugs = {key for key in rules if not key.startswith(PREFIX)}
    found = {each.id: each for each in Tenant.objects.filter(slug__in=slugs)}
    unknown = sorted(slugs - {tenant.slug for tenant in found.values()})
    if unknown:
        raise WrongInput(f"There is no client called {', '.join(unknown[:5])}.")
    for key in rules.keys() - slugs:
        group_id = as_uuid(key.removeprefix(PREFIX))
        members = clients_of(Owner(group_id=group_id)) if group_id else []
        found |= {each.id: each for each in members}
    return [found[each] for each in sorted(found)]


def with_group_ids(rules: Mapping[str, list[Wish]]) -> dict[str, list[Wish]]:
    """A list as a file names it, with groups by their id.

    Raises ``WrongInput`` for a group that is not in sight or has no client.
    """
    return {_with_id(key): entries for key, entries in rules.items()}


def _with_id(key: str) -> str:
    if not key.startswith(PREFIX):
        return key
    name = key.removeprefix(PREFIX).strip()
    row = ClientGroup.objects.filter(name__iexact=name).first()
    if row is None or not members_of(row.id):
        raise WrongInput(f"There is no group called {name} with a client in it.")
    return f"{PREFIX}{row.id}"
