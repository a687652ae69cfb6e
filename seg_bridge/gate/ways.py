"""Where a domain's mail goes on: its hosts in the order in which they are tried, and how safely.

``Way.of(…)``     checked, from plain values
``Way.hops``      ``host:port``, the first one that takes the connection gets the mail; one
                  ``mx:example.org`` is whatever DNS says of that domain
``transport`` says the same to Postfix (transport(5)).  How safely is a transport of its own for
each kind of TLS (postfix_texts.py), so two domains with one host keep each its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from typing_extensions import override

MX = "mx:"


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
            if not _is_mx(hop):
                split_hop(hop)
        return cls(hops, HopTls(tls))

    @property
    def mx_of(self) -> str:
        """The domain whose mail hosts are asked of DNS; "" where the hosts are named."""
        return self.hops[0].removeprefix(MX) if _is_mx(self.hops[0]) else ""

    @override
    def __str__(self) -> str:
        return f"MX of {self.mx_of}" if self.mx_of else ", then ".join(self.hops)

    def transport(self) -> str:
        """As Postfix's transport table says it; it tries the hosts in this order."""
        return f"{_TRANSPORTS[self.tls]}:" + ", ".join(map(destination, self.hops))


def _is_mx(hop: str) -> bool:
    return hop.startswith(MX) and len(hop) > len(MX)


def mx_hop(address: str) -> str:
    """The hop of whoever takes mail for this address."""
    return MX + address.rpartition("@")[2].lower()


def destination(hop: str) -> str:
    """As Postfix writes a host that is not to be asked of DNS for its MX."""
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
