"""Where a domain's mail goes on: its hosts in the order in which they are tried, and how safely.

``Way.of(…)``     checked, from plain values
``Way.hops``      ``host:port``, the first one that takes the connection gets the mail
``transport`` says the same to Postfix (transport(5)).  How safely is a transport of its own for
each kind of TLS (postfix_texts.py), so two domains with one host keep each its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from typing_extensions import override


class HopTls(StrEnum):
    """``MAY`` takes TLS where it is offered; ``MUST`` gives no mail to a host without it;
    ``VERIFY`` wants a certificate for the host's name from an authority that the gate trusts, too.
    """

    MAY = "may"
    MUST = "must"
    VERIFY = "verify"


_TRANSPORTS = {
    HopTls.MAY: "relay",
    HopTls.MUST: "relay-must",
    HopTls.VERIFY: "relay-verify",
}


@dataclass(frozen=True, slots=True)
class Way:
    hops: tuple[str, ...]
    tls: HopTls = HopTls.MAY

    @classmethod
    def of(cls, next_hop: str, backup_hop: str = "", tls: str = HopTls.MAY) -> Self:
        """Raises ``ValueError`` for a hop that is none, or an unknown kind of TLS."""
        hops = (next_hop, backup_hop) if backup_hop else (next_hop,)
        for hop in hops:
            split_hop(hop)
        return cls(hops, HopTls(tls))

    @override
    def __str__(self) -> str:
        return ", then ".join(self.hops)

    def transport(self) -> str:
        """As Postfix's transport table says it; it tries the hosts in this order."""
        return f"{_TRANSPORTS[self.tls]}:" + ", ".join(map(_destination, self.hops))


def _destination(hop: str) -> str:
    host, port = split_hop(hop)
    return f"[{host}]:{port}"


def split_hop(next_hop: str) -> tuple[str, int]:
    """``("mail.acme.example", 25)`` of ``mail.acme.example:25``; raises ``ValueError``."""
    host, colon, port = next_hop.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"next hop {next_hop!r} is not host:port")
    return host.strip("[]"), int(port)


def join_hop(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
