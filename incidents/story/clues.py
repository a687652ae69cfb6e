"""What an incident's title is made of, from the observations of its newest mail."""

from __future__ import annotations

from collections.abc import Iterable

from incidents.models import Delivery, Message
from incidents.observations import LOOKED_BACK
from incidents.sightings import history_of
from incidents.story.sender import role_of
from incidents.titles import BORROWED_PERSON, NAMED_BRAND, Clues

# Copies of one mail were judged alike: a few tell.
_COPIES, _SIGHTINGS = 5, 20


def clues_of(mail: Message, copies: Iterable[Delivery]) -> Clues:
    """``copies``: at least those of this mail.  Two statements, a third for a borrowed name."""
    own = sorted(
        (copy for copy in copies if copy.message_id == mail.id),
        key=lambda copy: (copy.mailbox_at is None, copy.received_at, copy.recipient),
    )
    seen = history_of(own[:_COPIES], _SIGHTINGS)
    reasons = [reason for each in seen.values() for one in each for reason in one.reasons]
    values = {str(reason.get("code", "")): str(reason.get("value", "")) for reason in reasons}
    brands = (values[code] for code in sorted(NAMED_BRAND) if values.get(code))
    is_borrowed = not BORROWED_PERSON.isdisjoint(values)
    return Clues(
        codes=frozenset(values),
        brand=next(brands, ""),
        person=role_of(mail.tenant_id, mail.sender_name) if is_borrowed else "",
        domain=mail.sender_domain,
        is_old=any(LOOKED_BACK in one.detail for each in seen.values() for one in each),
    )
