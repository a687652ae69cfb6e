"""What only some people may do, whatever page or address they come by."""

from __future__ import annotations

from tenants.audit import Actor
from tenants.errors import NotAllowed
from tenants.models import Person


def must_lead(
    actor: Person | Actor, sentence: str = "What holds for all clients is agreed by a lead."
) -> None:
    """What holds for all of a provider's clients is a lead's to say, or a process of Bailey's own.

    Raises ``NotAllowed`` with the sentence for anybody else.
    """
    if isinstance(actor, Person) and actor.role != Person.Role.LEAD:
        raise NotAllowed(sentence)
