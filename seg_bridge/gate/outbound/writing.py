"""An outbound mail as it goes on, and who its reader sees as its sender."""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime

from ulid import ULID

from incidents.mail.facts import MailFacts
from incidents.mail.headers import prepend_headers, scan_block
from incidents.mail.limits import Limits
from seg_bridge.gate.outbound.dkim import Signer
from seg_bridge.gate.outbound.terms import SigningKey
from seg_bridge.gate.outgoing import strip_own_words
from seg_bridge.gate.policy import PolicySnapshot, normalise_address


def complete(raw: bytes, *, at: datetime, hostname: str) -> bytes:
    """The mail with Date and Message-ID, each where it has none (RFC 6409, sections 8.2 and 8.3).

    Only of mail that is submitted: what comes in stays as it came.  A field that is there stays,
    whatever it says.  The Message-ID is new each time, for a device may send the same bytes twice
    and mean two mails.
    """
    # Every field, also those beyond the limits of reading.
    limits = Limits(headers=len(raw), header_bytes=len(raw), all_headers_bytes=len(raw))
    there = {field.key for field in scan_block(raw, limits=limits).fields}
    fields = {"Date": format_datetime(at), "Message-ID": f"<{ULID()}@{hostname}>"}
    missing = [(name, value) for name, value in fields.items() if name.lower() not in there]
    return prepend_headers(raw, missing) if missing else raw


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
