"""Where a client's outbound mail goes from the gate.

1. To the client's own next mail server (a smart host), where one is named: all of it.  Behind our
   own Postfix by its queue, which knows the server by the sender's domain; straight from the gate
   what Postfix would send elsewhere: mail for a mailbox of our clients, and the null sender's.
2. Else to our own Postfix, where the gate stands behind one: it has a queue and looks up the MX.
   Mail for a mailbox of one of our clients goes back in by a listener of its own, so that it is
   scanned and traced as any mail that comes in.
3. Else, in the embedded front, to the mail hosts of each recipient's domain, as DNS names them
   (mail_hosts.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seg_bridge.gate.outbound.terms import OutboundTerms
from seg_bridge.gate.policy import PolicySnapshot
from seg_bridge.gate.ways import Way, mx_hop

SENT_HEADER = "X-Bailey-Sent"


@dataclass(frozen=True, slots=True)
class OwnPostfix:
    """Where it takes mail from the gate, each ``host:port``: ``outgoing`` for anybody's mailbox,
    ``inside`` for our clients'.
    """

    outgoing: str
    inside: str


@dataclass(frozen=True, slots=True)
class WaysOut:
    """``asks_dns``: the gate looks up each recipient's mail hosts itself.  ``smart_hosts``: sending
    domain → the next hop that Postfix's own table has for it now (maps.py).
    """

    own_postfix: OwnPostfix | None = None
    asks_dns: bool = False
    smart_hosts: Callable[[], Mapping[str, str]] = dict

    def hop(
        self, terms: OutboundTerms, address: str, snapshot: PolicySnapshot, *, sender: str
    ) -> str:
        """``sender`` is the envelope's.  "" : there is no way for this recipient."""
        if terms.next_hop:
            own = self.own_postfix
            if own is None or snapshot.find(address) is not None:
                return terms.next_hop
            # What Postfix has not been told yet it would send to the MX.
            table = self.smart_hosts()
            is_known = table.get(sender.rpartition("@")[2].lower()) == terms.next_hop
            return own.outgoing if is_known else terms.next_hop
        if self.own_postfix is None:
            return mx_hop(address) if self.asks_dns else ""
        is_inside = snapshot.find(address) is not None
        return self.own_postfix.inside if is_inside else self.own_postfix.outgoing

    def way(
        self, terms: OutboundTerms | None, address: str, snapshot: PolicySnapshot, *, sender: str
    ) -> Way | None:
        hop = self.hop(terms, address, snapshot, sender=sender) if terms is not None else ""
        return Way.of(hop) if hop else None

    def has_any(self, terms: OutboundTerms) -> bool:
        return bool(terms.next_hop) or self.own_postfix is not None or self.asks_dns

    def is_outgoing(self, hop: str) -> bool:
        return self.own_postfix is not None and hop == self.own_postfix.outgoing

    def is_inside(self, hop: str) -> bool:
        return self.own_postfix is not None and hop == self.own_postfix.inside

    def is_own(self, hop: str) -> bool:
        """Whose 250 means *queued* and not *delivered*."""
        return self.is_outgoing(hop) or self.is_inside(hop)


def sent_field(tenant_id: int, ulid: str) -> tuple[str, str]:
    """Names the mail in Postfix's log; taken out again before anybody outside gets it.

    Our trace would do that, too, but it is not for strangers.
    """
    return SENT_HEADER, f"t={tenant_id}; u={ulid}"


def claim(client_ip: str) -> str:
    """What XCLIENT says of the host that submitted a mail, for the way back in.

    https://www.postfix.org/XCLIENT_README.html (read 2026-11-30).
    """
    address = f"IPV6:{client_ip}" if ":" in client_ip else client_ip
    return f"NAME=[UNAVAILABLE] ADDR={address}"
