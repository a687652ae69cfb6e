"""Who may release a held mail.  The policy says it (``GatewayLayer.release_rights``); every door
(console, API, portal, link of a digest) comes through the one service that checks it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from incidents.gateway_asked import ReleaseRight
from incidents.layers import gateway_layer
from incidents.models import Delivery
from tenants.audit import Actor
from tenants.errors import NotAllowed
from tenants.models import Person

CLIENT, ANALYST, LEAD = "client", "analyst", "lead"
_ROLES = {
    Person.Role.CLIENT_READER: CLIENT,
    Person.Role.ANALYST: ANALYST,
    Person.Role.LEAD: LEAD,
}


class ActsAs(Actor):
    """Who releases where no signed-in person is at hand: a client by her wish, Bailey by policy."""

    def __init__(self, name: str, role: str, id: UUID | None = None) -> None:
        super().__init__(name, id)
        self.role = role


def role_of(actor: Person | Actor) -> str:
    """ "" for a process that acts for nobody: it may release nothing."""
    if isinstance(actor, Person):
        return _ROLES.get(Person.Role(actor.role), "")
    return actor.role if isinstance(actor, ActsAs) else ""


def rights_of(copies: Sequence[Delivery]) -> dict[UUID, ReleaseRight]:
    return gateway_layer().release_rights(copies) if copies else {}


def releasable(copies: Sequence[Delivery], actor: Person | Actor) -> list[Delivery]:
    """Those among them that this actor may release, in their order."""
    role, rights = role_of(actor), rights_of(copies)
    return [copy for copy in copies if role in rights[copy.id].roles]


def check_may_release(copies: Sequence[Delivery], actor: Person | Actor) -> None:
    """Raises ``NotAllowed`` with the sentence of the first copy that is not hers to release."""
    role = role_of(actor)
    for right in rights_of(copies).values():
        if role not in right.roles:
            raise NotAllowed(f"You may not release this mail. {right.sentence}")
