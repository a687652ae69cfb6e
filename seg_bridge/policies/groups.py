"""Groups whose policy is stated: who joins or leaves one is treated otherwise from then on.

``effect_of_members``  what that would do, in sentences, rehearsed as any change of a policy
``change_group``       name and clients, once the effect has been seen
``take_group_away``    only a group that states nothing any more
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import transaction

from incidents.layers import Objections
from seg_bridge.models import PolicyLayer
from seg_bridge.policies.effective import Difference, Level, differences
from seg_bridge.policies.keys import KEYS
from seg_bridge.policies.layers import Layers
from seg_bridge.rehearsal import ChangePolicy, ClientForecast, rehearse
from tenants.errors import Conflict
from tenants.groups import members_of, remove_group, save_group
from tenants.models import ClientGroup, Person, Tenant
from tenants.people import must_lead

_SAID = 3


@dataclass(frozen=True, slots=True)
class Moved:
    """A client that joins or leaves; ``forecast`` None: no mail would be treated otherwise."""

    client: Tenant
    joins: bool
    differences: list[Difference]
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
    """The clients, by name, whose policy would be another if these were all of the group's."""
    now, then = set(members_of(group.id)), {client.id for client in clients}
    moving = now ^ then
    if not moving or not _states(group):
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
    touched = [tenant_id for tenant_id, found in changed.items() if found]
    forecast = rehearse(ChangePolicy(after), touched) if touched else None
    by_client = {one.tenant_id: one for one in forecast.clients} if forecast else {}
    return [
        Moved(client, client.id in then, changed[client.id], by_client.get(client.id))
        for client in Tenant.objects.filter(id__in=touched).order_by("name", "id")
    ]


def seen_mark(moved: Sequence[Moved]) -> str:
    """Names this very effect, so that a person confirms no other one than she saw; "" for none."""
    if not moved:
        return ""
    said = [
        (one.client.id, one.joins, [each.as_json() for each in one.differences]) for one in moved
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
    """Raises ``NotAllowed``, or ``Conflict`` where it states values for its clients."""
    must_lead(actor)
    number = _states(group)
    if number and members_of(group.id):
        raise Conflict(
            f"{group.name} states {number} values of its clients' policies. Let it inherit"
            " everything again first: so you see what changes for them."
        )
    remove_group(group=group, actor=actor)


def _states(group: ClientGroup) -> int:
    row = PolicyLayer.objects.filter(level=Level.GROUP, group=group).first()
    return len(row.stated) if row else 0
