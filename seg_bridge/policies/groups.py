"""Groups with a policy or with entries: who joins or leaves one is treated otherwise from then on.

``effect_of_members``  what that would do, in sentences, rehearsed as any change of a policy
``change_group``       name and clients, once the effect has been seen
``take_group_away``    only a group that states nothing any more, and has no entries in force
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import transaction

from incidents.layers import Objections
from seg_bridge.models import GatewayRule, PolicyLayer
from seg_bridge.policies.effective import Difference, Level, differences
from seg_bridge.policies.keys import KEYS
from seg_bridge.policies.layers import Layers
from seg_bridge.rehearsal import ChangePolicy, ClientForecast, rehearse
from seg_bridge.services import remove_rule, rules_in_force
from tenants.errors import Conflict
from tenants.groups import members_of, remove_group, save_group
from tenants.models import ClientGroup, Person, Tenant
from tenants.people import must_lead

_SAID = 3


@dataclass(frozen=True, slots=True)
class Moved:
    """A client that joins or leaves; ``forecast`` None: no mail would be treated otherwise.

    ``entries``: the group's allow and block entries in force.
    """

    client: Tenant
    joins: bool
    differences: list[Difference]
    entries: list[GatewayRule]
    forecast: ClientForecast | None

    @property
    def sentence(self) -> str:
        """What changes for it."""
        found = [
            f"{KEYS[one.key].label} becomes {KEYS[one.key].words(one.after.value)}"
            for one in self.differences[:_SAID]
        ]
        more = len(self.differences) - _SAID
        found += [f"{more} more"] if more > 0 else []
        if self.entries:
            holds = "hold for it" if self.joins else "hold for it no more"
            found.append(f"the group's {len(self.entries)} allow and block entries {holds}")
        verb = "joins" if self.joins else "leaves"
        text = f"{self.client.name} {verb}: {'; '.join(found)}."
        if self.forecast is None:
            return text
        held = self.forecast.counts["newly_held"]
        delivered = self.forecast.counts["newly_delivered"]
        return f"{text} Of its stored mail {held} would be held, {delivered} delivered."

    @property
    def stops(self) -> list[str]:
        return list(self.forecast.stops) if self.forecast else []


def effect_of_members(group: ClientGroup, clients: Collection[Tenant]) -> list[Moved]:
    """The clients, by name, who would be treated otherwise if these were all of the group's."""
    now, then = set(members_of(group.id)), {client.id for client in clients}
    moving = now ^ then
    entries = _entries(group)
    if not moving or not (entries or _states(group)):
        return []
    layers = Layers(moving)
    after = layers.regrouped(group.id, then)
    changed = {
        tenant_id: [
            one
            for one in differences(layers.chain(tenant_id), after.chain(tenant_id))
            if one.is_of_value
        ]
        for tenant_id in moving
    }
    touched = [tenant_id for tenant_id, found in changed.items() if found or entries]
    change = ChangePolicy(after, {group.id: then})
    forecast = rehearse(change, touched) if touched else None
    by_client = {one.tenant_id: one for one in forecast.clients} if forecast else {}
    return [
        Moved(client, client.id in then, changed[client.id], entries, by_client.get(client.id))
        for client in Tenant.objects.filter(id__in=touched).order_by("name", "id")
    ]


def seen_mark(moved: Sequence[Moved]) -> str:
    """Names this very effect, so that a person confirms no other one than she saw; "" for none."""
    if not moved:
        return ""
    said = [
        (
            one.client.id,
            one.joins,
            [each.as_json() for each in one.differences],
            [str(entry.id) for entry in one.entries],
        )
        for one in moved
    ]
    return hashlib.sha256(repr(said).encode()).hexdigest()


@transaction.atomic
def change_group(
    *,
    group: ClientGroup,
    name: str,
    clients: Collection[Tenant],
    actor: Person,
    despite: bool = False,
) -> ClientGroup:
    """As ``save_group``; gates follow the clients' new policy within seconds.

    Raises as that does, and ``Objections`` that tell the effect on policies, unless ``despite``.
    """
    must_lead(actor)
    ClientGroup.objects.select_for_update().get(id=group.id)
    if not despite:
        moved = effect_of_members(group, clients)
        if moved:
            raise Objections([text for one in moved for text in (one.sentence, *one.stops)])
    return save_group(name=name, clients=clients, actor=actor, group=group)


@transaction.atomic
def take_group_away(*, group: ClientGroup, actor: Person) -> None:
    """Entries of a group without clients go with it.

    Raises ``NotAllowed``, or ``Conflict`` where it states values or has entries for its clients.
    """
    must_lead(actor)
    number, entries = _states(group), _entries(group)
    has_clients = bool(members_of(group.id))
    if number and has_clients:
        raise Conflict(
            f"{group.name} states {number} values of its clients' policies. Let it inherit"
            " everything again first: so you see what changes for them."
        )
    if entries and has_clients:
        raise Conflict(
            f"{group.name} has {len(entries)} allow and block entries in force. Remove them first:"
            " so you see what changes for its clients."
        )
    for entry in entries:
        remove_rule(rule=entry, actor=actor, reason="The group was removed.")
    remove_group(group=group, actor=actor)


def _entries(group: ClientGroup) -> list[GatewayRule]:
    return list(GatewayRule.objects.filter(rules_in_force(), group=group).order_by("id"))


def _states(group: ClientGroup) -> int:
    row = PolicyLayer.objects.filter(level=Level.GROUP, group=group).first()
    return len(row.stated) if row else 0
