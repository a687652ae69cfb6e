"""What the mail host itself found of a mail's authentication, out of the headers that it added.

It says nothing of the sender to us: behind a gateway it may have judged the gateway.  It tells
whether its connector is set right (docs/layers.md).
"""

from __future__ import annotations

import re

from api_bridge.connectors import Item
from incidents.mail.authres import parse_auth_results
from incidents.mail.trace import TRACE_HEADER

_METHODS = ("spf", "dkim", "dmarc")
# How each kind of host names itself in its header, and the address in what it says of SPF.
_NAMES = {"graph": "", "google": "mx.google.com"}
_IP = {
    "graph": re.compile(r"sender IP is ([0-9A-Fa-f.:]{2,45})\Z"),
    "google": re.compile(r"\bdesignates? ([0-9A-Fa-f.:]{2,45}) as permitted sender\Z"),
}


def host_auth(item: Item, kind: str = "graph") -> dict[str, str]:
    """Method → result, and ``ip``, whose SPF it looked at; {} where it has written nothing, and
    for a kind of host that is not known to write any.

    Microsoft 365 writes its header without a name of its own
    (https://learn.microsoft.com/defender-office-365/message-headers-eop-mdo), Google as
    ``mx.google.com`` (https://support.google.com/mail/answer/180707), both above all that came with
    the mail.  Only the topmost counts, and only above the gate's trace: anything below is somebody
    else's.
    """
    if kind not in _NAMES:
        return {}
    for name, value in item.headers:
        key = name.lower()
        if key == TRACE_HEADER.lower():
            break
        if key != "authentication-results":
            continue
        results = parse_auth_results(value)
        if not results or results[0].authserv_id != _NAMES[kind]:
            break
        found = {each.method: each.result for each in results if each.method in _METHODS}
        ips = [each.detail for each in results if each.method == "spf"]
        ip = _IP[kind].search(ips[0].strip()) if ips else None
        return found | ({"ip": ip[1].lower()} if ip else {})
    return {}
