"""An outbound mail as it goes on, and who its reader sees as its sender."""

from __future__ import annotations

from incidents.mail.facts import MailFacts
from incidents.mail.headers import prepend_headers
from seg_bridge.gate.outbound.dkim import Signer
from seg_bridge.gate.outbound.terms import SigningKey
from seg_bridge.gate.outgoing import strip_own_words
from seg_bridge.gate.policy import PolicySnapshot, normalise_address


async def write_outbound(
    raw: bytes,
    received: str,
    snapshot: PolicySnapshot,
    *,
    key: SigningKey | None,
    signer: Signer,
) -> bytes:
    """The mail as the next hop gets it: our own words and traces of its way here taken out,
    Received on top, signed where the client has a key.  ``received`` is that field's value.
    """
    data = prepend_headers(strip_own_words(raw, snapshot.authserv_id), [("Received", received)])
    return data if key is None else await signer.sign(data, key)


def visible_sender(facts: MailFacts) -> str:
    """The one visible sender's address, "" where there is none or several."""
    if facts.sender is None or len({each.address for each in facts.from_all}) > 1:
        return ""
    return normalise_address(facts.sender.address)
