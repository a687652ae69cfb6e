"""Release and allow: an entry for the sender of a released mail, rehearsed before it is made."""

from __future__ import annotations

from incidents.models import Delivery
from seg_bridge.changes import rehearse_wish
from seg_bridge.models import Rehearsal
from tenants.errors import WrongInput
from tenants.models import Person

DAYS = 30


def rehearse_allow(*, copy: Delivery, scope: str, actor: Person) -> Rehearsal:
    """``scope``: ``mailbox`` or ``client``.  Answers the rehearsal, which somebody saves or leaves.

    Raises ``WrongInput`` for a mail without one readable sender.
    """
    sender = copy.message.sender_address
    if not sender:
        raise WrongInput("This mail has no one readable sender that could be let through.")
    wish = {
        "do": "add_rule",
        "kind": "allow",
        "match": "sender",
        "value": sender,
        "recipient": copy.recipient if scope == "mailbox" else "",
        "days": DAYS,
    }
    (kept,) = rehearse_wish(wish=wish, tenants=[copy.tenant], actor=actor)
    return kept
