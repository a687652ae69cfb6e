"""What the policy says of held mail, for the mailbox that each copy is for.

``policies_for(copies)`` answers copy → key → effective value, of the mailbox, else its domain, else
the client.  Needs a scope that names the provider.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from incidents.models import Delivery
from seg_bridge.gate.policy import normalise_address
from seg_bridge.policies.effective import Effective, effective
from seg_bridge.policies.keys import Value
from seg_bridge.policies.layers import Layers
from tenants.models import Domain, Mailbox

Policy = Mapping[str, Effective]
_Place = tuple[UUID | None, UUID | None]


@dataclass(slots=True)
class HeldPolicies:
    """The policies of these clients' recipients; each level is worked out once."""

    layers: Layers
    places: dict[tuple[int, str], _Place]
    known: dict[tuple[int, _Place], Policy]

    @classmethod
    def of(cls, tenant_ids: Sequence[int]) -> HeldPolicies:
        """Three queries, and two only where no domain or mailbox states anything."""
        return cls.by(Layers(tenant_ids), tenant_ids)

    @classmethod
    def by(cls, layers: Layers, tenant_ids: Sequence[int]) -> HeldPolicies:
        """As these layers would have it."""
        narrow = [each for each in tenant_ids if layers.narrower(each)]
        return cls(layers, _places(narrow), {})

    def policy(self, tenant_id: int, recipient: str) -> Policy:
        """A mailbox has one policy, whatever address of it the mail was written to."""
        address = normalise_address(recipient)
        domain = f"@{address.rpartition('@')[2]}"
        place = self.places.get((tenant_id, address)) or self.places.get((tenant_id, domain))
        return self.at(tenant_id, *(place or (None, None)))

    def any_states(self, tenant_id: int, key: str, *, besides: Value) -> bool:
        """Does this client, or a domain or mailbox of it, have another value than this one?"""
        own = self.at(tenant_id, None, None)[key].value
        narrower = self.layers.narrower(tenant_id).values()
        stated = (layer.values[key].value for layer in narrower if key in layer.values)
        return any(value != besides for value in (own, *stated))

    def at(self, tenant_id: int, domain_id: UUID | None, mailbox_id: UUID | None) -> Policy:
        key = (tenant_id, (domain_id, mailbox_id))
        if key not in self.known:
            self.known[key] = effective(self.layers.chain(tenant_id, domain_id, mailbox_id))
        return self.known[key]


def _places(tenant_ids: Sequence[int]) -> dict[tuple[int, str], _Place]:
    """(client, address or "@domain") → its domain and mailbox."""
    found: dict[tuple[int, str], _Place] = {}
    if not tenant_ids:
        return found
    domains = Domain.objects.filter(tenant_id__in=tenant_ids)
    for tenant_id, domain_id, name in domains.values_list("tenant_id", "id", "name"):
        found[tenant_id, normalise_address(f"@{name}")] = (domain_id, None)
    boxes = Mailbox.objects.filter(tenant_id__in=tenant_ids)
    for tenant_id, box_id, domain_id, address, aliases in boxes.values_list(
        "tenant_id", "id", "domain_id", "address", "aliases"
    ):
        for each in (address, *aliases):
            found[tenant_id, normalise_address(each)] = (domain_id, box_id)
    return found


def policies_for(copies: Sequence[Delivery]) -> dict[UUID, Policy]:
    policies = HeldPolicies.of(sorted({copy.tenant_id for copy in copies}))
    return {copy.id: policies.policy(copy.tenant_id, copy.recipient) for copy in copies}
