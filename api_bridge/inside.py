"""Whether a mail was written inside the client, by a mark that no sender from outside can set.

Microsoft and Google vouch for it (``Item.is_internal``).  An IMAP server has no such mark, so there
only its own Received lines count: the ones on top, written by names that the operator gave
(``internal_hosts``), and of these the one with which the mail entered.  It says whether somebody
had signed in to send it (``ESMTPA``, ``ESMTPSA``: RFC 3848).  What stands below it came with the
mail and may be anybody's.
"""

from __future__ import annotations

from collections.abc import Collection

from api_bridge.connectors import Item
from incidents.mail.received import parse_received

HANDED_ON = frozenset({"LMTP", "LMTPS", "LMTPA", "LMTPSA", "LOCAL"})
SIGNED_IN = frozenset({"ESMTPA", "ESMTPSA", "UTF8SMTPA", "UTF8SMTPSA"})
MOST_HOPS = 10


def is_from_inside(item: Item, kind: str, internal_hosts: Collection[str] = ()) -> bool:
    """``kind``: of the connection.  ``internal_hosts``: lower-cased names of an IMAP server."""
    if kind == "imap":
        return bool(internal_hosts) and _entered_signed_in(item, internal_hosts)
    return item.is_internal


def _entered_signed_in(item: Item, internal_hosts: Collection[str]) -> bool:
    received = [value for name, value in item.headers if name.lower() == "received"]
    for value in received[:MOST_HOPS]:
        hop = parse_received(value)
        if hop.by not in internal_hosts:
            return False
        if hop.protocol not in HANDED_ON:
            return hop.protocol in SIGNED_IN
    return False
