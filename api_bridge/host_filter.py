"""What Microsoft's own filter said of a mail while it came in, and from whose address it had it.

Anybody can write such headers, so they count only where Exchange alone can have written them.  Its
header firewall takes ``X-MS-Exchange-Organization-*`` off all mail from outside, and its own
fields are added below those that came with the mail.  So what stands below the last field of the
mail itself (``OF_THE_MAIL``) and below a first ``X-MS-Exchange-Organization-`` field is Exchange's
own.  Two different reports there are none.

Sources: learn.microsoft.com/defender-office-365/message-headers-eop-mdo (fields and values),
learn.microsoft.com/exchange/header-firewall-exchange-2013-help (what is taken off).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from api_bridge.connectors import Item
from api_bridge.inside import HANDED_ON
from incidents.mail.received import parse_received
from incidents.mail.trace import TRACE_HEADER
from incidents.words import Verdict

ORGANIZATION = "x-ms-exchange-organization-"
SCL, REPORT, BULK = f"{ORGANIZATION}scl", "x-forefront-antispam-report", "x-microsoft-antispam"
OF_THE_MAIL = frozenset(
    {
        *("from", "to", "cc", "subject", "date", "message-id", "reply-to", "sender", "in-reply-to"),
        *("references", "mime-version", "content-type", "content-transfer-encoding"),
        *("dkim-signature", "received", "list-id", "list-unsubscribe", TRACE_HEADER.lower()),
    }
)
CATEGORIES: Mapping[str, tuple[Verdict, str]] = {
    "MALW": (Verdict.MALWARE, "malware"),
    "AMP": (Verdict.MALWARE, "malware"),
    "SAP": (Verdict.MALWARE, "malware, by Safe Attachments"),
    "FTBP": (Verdict.SUSPICIOUS, "a kind of file that is blocked"),
    "PHSH": (Verdict.PHISH, "phishing"),
    "HPHSH": (Verdict.PHISH, "phishing with high confidence"),
    "HPHISH": (Verdict.PHISH, "phishing with high confidence"),
    "SPOOF": (Verdict.SUSPICIOUS, "a forged sender"),
    "DIMP": (Verdict.SUSPICIOUS, "a domain that is imitated"),
    "UIMP": (Verdict.SUSPICIOUS, "a person who is imitated"),
    "GIMP": (Verdict.SUSPICIOUS, "an imitated correspondent"),
    "INTOS": (Verdict.SUSPICIOUS, "phishing inside the organisation"),
    "SPM": (Verdict.SPAM, "spam"),
    "HSPM": (Verdict.SPAM, "spam with high confidence"),
    "OSPM": (Verdict.SPAM, "spam that was sent from inside"),
    "BULK": (Verdict.GRAYMAIL, "bulk mail"),
}
# From this spam confidence on it is spam (5, 6, and 9 with high confidence).
SPAM_FROM = 5
# Names under which each kind of host writes its Received lines.
HOST_NAMES: Mapping[str, tuple[str, ...]] = {
    "graph": (
        ".outlook.com",
        ".office365.com",
        ".exchangelabs.com",
        ".office365.us",
        ".partner.outlook.cn",
    ),
    "google": (".google.com", ".gmail.com"),
}
# Of these, where mail from outside comes in.
EDGES: Mapping[str, str] = {"graph": ".mail.protection.outlook.com", "google": "mx.google.com"}
MOST_HOPS = 10
_NUMBER = re.compile(r"-?[0-9]{1,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtered:
    """``category``: as in the header, "" where none is named; ``scl`` and ``bcl`` None: not said.
    ``verdict`` None: the filter has said nothing that is a word of ours.
    """

    verdict: Verdict | None
    words: str
    category: str = ""
    scl: int | None = None
    bcl: int | None = None
    ip: str = ""

    def as_json(self) -> dict[str, str | int]:
        told = {"category": self.category, "scl": self.scl, "bcl": self.bcl, "ip": self.ip}
        return {name: value for name, value in told.items() if value not in ("", None)}


def filtered(item: Item, kind: str) -> Filtered | None:
    """None where Exchange has written nothing, and for every other kind of host."""
    if kind != "graph":
        return None
    own = _own_fields(item.headers)
    report = _only({value for name, value in own if name == REPORT})
    said = _parts(report)
    scl = _number(_only({value for name, value in own if name == SCL}) or said.get("SCL", ""))
    bulk = _parts(_only({value for name, value in own if name == BULK}))
    category, bcl = said.get("CAT", "").upper(), _number(bulk.get("BCL", ""))
    if not category and scl is None and bcl is None:
        return None
    verdict, words = _verdict(category, scl)
    ip = _address(said.get("CIP", ""))
    return Filtered(verdict=verdict, words=words, category=category, scl=scl, bcl=bcl, ip=ip)


def _own_fields(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Exchange's own, below those of the mail, with their names in small letters."""
    fields = [(name.lower().strip(), value) for name, value in headers]
    last = max((at for at, (name, _) in enumerate(fields) if name in OF_THE_MAIL), default=-1)
    tail = fields[last + 1 :]
    first = next((at for at, (name, _) in enumerate(tail) if name.startswith(ORGANIZATION)), None)
    return tail[first:] if first is not None else []


def _only(values: Collection[str]) -> str:
    """ "" where there is none, and where two say different things."""
    return next(iter(values)) if len(values) == 1 else ""


def _parts(text: str) -> dict[str, str]:
    """``CIP:192.0.2.1;SCL:9;CAT:HPHSH;`` by name; a value may hold colons (IPv6)."""
    pairs = (part.partition(":") for part in text[:4_000].split(";"))
    return {name.strip().upper(): value.strip() for name, colon, value in pairs if colon}


def _number(text: str) -> int | None:
    found = _NUMBER.fullmatch(text.strip())
    return int(found[0]) if found else None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return ""


def _verdict(category: str, scl: int | None) -> tuple[Verdict | None, str]:
    if category in CATEGORIES:
        return CATEGORIES[category]
    if scl is not None and scl >= SPAM_FROM:
        return Verdict.SPAM, f"spam (confidence level {scl})"
    if category in ("", "NONE") and scl is not None:
        return Verdict.CLEAN, "harmless"
    return None, category


def sender_ip(
    item: Item, kind: str, *, gate_line: str = "", internal_hosts: Collection[str] = ()
) -> str:
    """The address from which the trusted hop had the mail; "" where that is not known.

    ``gate_line``: the Received line that our own gate wrote, where its trace is genuine: the gate
    was there first.  Without it what Exchange's own report says; else the topmost Received lines,
    as long as the host itself wrote them (``internal_hosts`` name an IMAP server).  Whatever stands
    below came with the mail, and may be anybody's.
    """
    if gate_line:
        return _address(parse_received(gate_line).from_ip)
    if (found := filtered(item, kind)) and found.ip:
        return found.ip
    for value in [value for name, value in item.headers if name.lower() == "received"][:MOST_HOPS]:
        hop = parse_received(value)
        if not hop.from_ip and not hop.helo:
            continue  # handed on within the host
        if not _is_hosts(hop.by, kind, internal_hosts):
            return ""
        if kind == "imap" and hop.protocol in HANDED_ON:
            continue
        # At the edge a sender may call itself what it likes; further in only the host's own speak.
        is_edge = kind == "imap" or hop.by.endswith(EDGES.get(kind, ""))
        if is_edge or not _is_hosts(hop.from_name or hop.helo, kind, ()):
            return _public(hop.from_ip)
    return ""


def _is_hosts(name: str, kind: str, internal_hosts: Collection[str]) -> bool:
    if kind == "imap":
        return name in internal_hosts
    return any(f".{name}".endswith(each) for each in HOST_NAMES.get(kind, ()))


def _public(text: str) -> str:
    """A private address is one of the host's own machines, and says nothing of a sender."""
    address = _address(text)
    return address if address and ipaddress.ip_address(address).is_global else ""
