"""What the levels state, from the database: chains of layers for clients, domains and mailboxes.

``Layers(tenant_ids)``  two queries, whatever is asked of it afterwards; needs a scope that names
the provider, for what holds for all clients or for a group of them is a row of the provider's.

Of two groups of one client the one that was made later is the narrower (docs/decisions/0014).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Self
from uuid import UUID

from django.db.models import Q

from seg_bridge.models import PolicyLayer
from seg_bridge.policies.effective import Layer, Level, Stated
from seg_bridge.policies.keys import KEYS, WrongValue
from tenants.models import (
    ClientGroup,
    Domain,
    GroupMember,
    Mailbox,
    MailboxGroup,
    MailboxGroupMember,
    Provider,
    Tenant,
)
from tenants.scope import NoTenantScope, current_scope

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One level of somebody's: whose policy is looked at or changed.

    ``tenant`` None: all clients of the provider, or of the ``group``.  ``mailbox`` comes with its
    ``domain``; ``directory`` is a group of the client's directory.
    """

    provider: Provider
    group: ClientGroup | None = None
    tenant: Tenant | None = None
    domain: Domain | None = None
    directory: MailboxGroup | None = None
    mailbox: Mailbox | None = None

    @property
    def level(self) -> Level:
        if self.mailbox is not None:
            return Level.MAILBOX
        if self.directory is not None:
            return Level.DIRECTORY
        if self.domain is not None:
            return Level.DOMAIN
        if self.tenant is not None:
            return Level.CLIENT
        return Level.GROUP if self.group is not None else Level.PROVIDER

    @property
    def name(self) -> str:
        own = self.mailbox or self.directory or self.domain or self.tenant
        return str(own or self.group or self.provider)

    @property
    def title(self) -> str:
        """Whose policy it is, in words."""
        match self.level:
            case Level.PROVIDER:
                return "all clients"
            case Level.GROUP:
                return f"the group {self.name}"
            case Level.DIRECTORY:
                return f"the group {self.name} of the directory of {self.tenant}"
        return self.name

    @property
    def row_key(self) -> dict[str, Any]:
        """The columns that find its layer."""
        return {
            "provider_id": self.provider.id,
            "group_id": self.group.id if self.group else None,
            "tenant_id": self.tenant.id if self.tenant else None,
            "level": str(self.level),
            "domain_id": self.domain.id if self.domain and not self.mailbox else None,
            "mailbox_group_id": self.directory.id if self.directory else None,
            "mailbox_id": self.mailbox.id if self.mailbox else None,
        }


def layer_of(row: PolicyLayer, name: str) -> Layer:
    """What can no longer be read is left to inheritance and said in the log: one odd value must not
    keep a gate from its policy.
    """
    values = {}
    for key, told in row.stated.items():
        try:
            value = KEYS[key].check(told["value"])
        except (KeyError, TypeError, WrongValue):
            log.error("policy layer %s: %s cannot be read and is inherited", row.id, key)
            continue
        values[key] = Stated(value, *(str(told.get(each, "")) for each in ("by", "at", "reason")))
    return Layer(Level(row.level), name, values)


_Place = tuple[UUID | None, UUID | None]


class Layers:
    """The layers of these clients.  ``replaced`` answers what they would be with another one."""

    def __init__(self, tenant_ids: Collection[int]) -> None:
        # Client (None: the provider) → (domain, mailbox) → what is stated there.
        self._of: dict[int | None, dict[_Place, Layer]] = {}
        self._of_group: dict[UUID, Layer] = {}
        # Client → group of its directory → what is stated there.
        self._of_directory: dict[int, dict[UUID, Layer]] = {}
        self._tenant_ids = list(tenant_ids)
        provider_id = current_scope().provider_id
        if provider_id is None:
            raise NoTenantScope("A policy is read in a scope that names the provider.")
        rows = PolicyLayer.objects.filter(
            Q(tenant_id__in=tenant_ids) | Q(tenant_id=None, provider_id=provider_id)
        ).select_related("provider", "group", "tenant", "domain", "mailbox", "mailbox_group")
        for row in rows:
            layer = layer_of(row, name_of(row))
            if row.group_id is not None:
                self._of_group[row.group_id] = layer
            elif row.mailbox_group_id is not None and row.tenant_id is not None:
                self._of_directory.setdefault(row.tenant_id, {})[row.mailbox_group_id] = layer
            else:
                place = (row.domain_id, row.mailbox_id)
                self._of.setdefault(row.tenant_id, {})[place] = layer
        self._groups_of = self._memberships(self._of_group)
        self._directory_of = self._in_directory()

    def _in_directory(self) -> dict[int, dict[UUID, list[UUID]]]:
        """Client → mailbox → those of its groups that state something, the narrowest last; nothing
        is asked where none does.  A group that is gone from the directory has nobody.
        """
        found: dict[int, dict[UUID, list[UUID]]] = {}
        wanted = [each for groups in self._of_directory.values() for each in groups]
        if wanted:
            rows = MailboxGroupMember.objects.filter(
                tenant_id__in=self._tenant_ids, group_id__in=wanted, group__gone_at=None
            ).order_by("group_id")
            for tenant_id, mailbox_id, group_id in rows.values_list(
                "tenant_id", "mailbox_id", "group_id"
            ):
                found.setdefault(tenant_id, {}).setdefault(mailbox_id, []).append(group_id)
        return found

    def _memberships(self, groups: Iterable[UUID]) -> dict[int, frozenset[UUID]]:
        """Client → those of these groups that it is in; nothing is asked where there are none."""
        found: dict[int, frozenset[UUID]] = {}
        wanted = list(groups)
        if wanted:
            rows = GroupMember.objects.filter(tenant_id__in=self._tenant_ids, group_id__in=wanted)
            for tenant_id, group_id in rows.values_list("tenant_id", "group_id"):
                found[tenant_id] = found.get(tenant_id, frozenset()) | {group_id}
        return found

    def replaced(self, target: Target, layer: Layer) -> Self:
        """As it would be with this layer at that level; nothing is written."""
        changed = copy(self)
        if target.level is Level.GROUP:
            assert target.group
            changed._of_group = {**self._of_group, target.group.id: layer}
            changed._groups_of = changed._memberships(changed._of_group)
            return changed
        if target.level is Level.DIRECTORY:
            assert target.tenant
            assert target.directory
            own = {**self._of_directory.get(target.tenant.id, {}), target.directory.id: layer}
            changed._of_directory = {**self._of_directory, target.tenant.id: own}
            changed._directory_of = changed._in_directory()
            return changed
        key = target.row_key
        owner, place = key["tenant_id"], (key["domain_id"], key["mailbox_id"])
        changed._of = {**self._of, owner: {**self._of.get(owner, {}), place: layer}}
        return changed

    def regrouped(self, group_id: UUID, tenant_ids: Collection[int]) -> Self:
        """As it would be if exactly these of the clients were in the group; nothing is written."""
        changed = copy(self)
        changed._groups_of = {
            each: (self._groups_of.get(each, frozenset()) - {group_id})
            | ({group_id} if each in tenant_ids else set())
            for each in self._tenant_ids
        }
        return changed

    def chain(
        self,
        tenant_id: int | None = None,
        domain_id: UUID | None = None,
        mailbox_id: UUID | None = None,
    ) -> list[Layer]:
        """From the widest to the narrowest; a level without a layer is left out."""
        own = self._of.get(tenant_id, {}) if tenant_id is not None else {}
        # A group's id grows with the time when it was made.
        groups = sorted(self._groups_of.get(tenant_id, ())) if tenant_id is not None else []
        found = [
            self._of.get(None, {}).get((None, None)),
            *(self._of_group.get(group_id) for group_id in groups),
            own.get((None, None)),
            own.get((domain_id, None)) if domain_id else None,
            *self._directory_layers(tenant_id, mailbox_id),
            own.get((None, mailbox_id)) if mailbox_id else None,
        ]
        return [layer for layer in found if layer is not None]

    def _directory_layers(self, tenant_id: int | None, mailbox_id: UUID | None) -> list[Layer]:
        """Of two groups the one that was seen first is the wider, as with groups of clients."""
        if tenant_id is None or mailbox_id is None:
            return []
        layers = self._of_directory.get(tenant_id, {})
        return [layers[each] for each in self._directory_of.get(tenant_id, {}).get(mailbox_id, ())]

    def chain_of(self, target: Target) -> list[Layer]:
        if target.level is Level.DIRECTORY:
            assert target.tenant
            assert target.directory
            layer = self._of_directory.get(target.tenant.id, {}).get(target.directory.id)
            return [*self.chain(target.tenant.id), *([layer] if layer else [])]
        if target.level is Level.GROUP:
            assert target.group
            layer = self._of_group.get(target.group.id)
            return [*self.chain(), *([layer] if layer else [])]
        return self.chain(
            target.tenant.id if target.tenant else None,
            target.domain.id if target.domain else None,
            target.mailbox.id if target.mailbox else None,
        )

    def passed_over(self, target: Target) -> list[Layer]:
        """Of a group of the directory: the layers of domains, and of groups that were seen before
        it, which it is narrower than for those of its mailboxes that they hold for.
        """
        if target.tenant is None or target.directory is None:
            return []
        own = self._of.get(target.tenant.id, {})
        found = [layer for (domain_id, _), layer in own.items() if domain_id is not None]
        groups = self._of_directory.get(target.tenant.id, {})
        return found + [groups[each] for each in groups if each < target.directory.id]

    def narrower(self, tenant_id: int) -> dict[_Place, Layer]:
        """(domain, None) or (None, mailbox) → what it states, of this client; a mailbox with what
        the groups of its directory state for it.
        """
        own = self._of.get(tenant_id, {})
        found = {place: layer for place, layer in own.items() if place != (None, None)}
        for mailbox_id in self._directory_of.get(tenant_id, {}):
            place = (None, mailbox_id)
            layers = [*self._directory_layers(tenant_id, mailbox_id)]
            layers += [found[place]] if place in found else []
            values = {key: one for layer in layers for key, one in layer.values.items()}
            found[place] = replace(layers[-1], values=values)
        return found


def name_of(row: PolicyLayer) -> str:
    """Whose layer it is, as its target is called."""
    own = row.mailbox or row.mailbox_group or row.domain or row.tenant
    return str(own or row.group or row.provider)
