"""Whether a client lets its decisions teach: policy value ``learn``, of each mail's mailboxes.

A mail for several mailboxes is learned as the most careful of them wants it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

from incidents.models import Delivery
from seg_bridge.gate.policy import normalise_address
from seg_bridge.policies.effective import values_of
from seg_bridge.policies.layers import Layers
from tenants.models import Domain

KEY: Final = "learn"
NO, OWN, SHARED = "no", "own", "shared"
_CAREFUL = (NO, OWN, SHARED)  # the most careful first


def may_learn(tenant_id: int) -> bool:
    """Does any level of this client's policy let anything be learned?"""
    layers = Layers([tenant_id])
    chains = [layers.chain(tenant_id)]
    chains += [layers.chain(tenant_id, *place) for place in layers.narrower(tenant_id)]
    return any(values_of(chain)[KEY] != NO for chain in chains)


def consents_of(tenant_id: int, message_ids: Collection[UUID]) -> dict[UUID, str]:
    """Message → ``no``, ``own`` or ``shared``; ``no`` for one without any copy."""
    layers = Layers([tenant_id])
    domains = {
        normalise_address(f"@{name}"): domain_id
        for name, domain_id in Domain.objects.filter(tenant_id=tenant_id).values_list("name", "id")
    }
    known: dict[tuple[UUID | None, UUID | None], str] = {}
    found: dict[UUID, str] = {}
    copies = Delivery.objects.filter(tenant_id=tenant_id, message__in=message_ids)
    for message_id, mailbox_id, recipient in copies.values_list(
        "message_id", "mailbox_id", "recipient"
    ):
        domain = normalise_address(f"@{recipient.rpartition('@')[2]}")
        place = (domains.get(domain), mailbox_id)
        if place not in known:
            known[place] = str(values_of(layers.chain(tenant_id, *place))[KEY])
        said = known[place]
        found[message_id] = min(found.get(message_id, said), said, key=_CAREFUL.index)
    return {message_id: found.get(message_id, NO) for message_id in message_ids}
