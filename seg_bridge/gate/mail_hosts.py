"""Where mail for a stranger's domain goes, asked of DNS: RFC 5321, section 5.1; RFC 7505.

``MailHosts``        the addresses of a domain's mail hosts in the order in which they are tried
``ranked(records)``  the hosts of MX records, the preferred first

By preference, those of one preference in random order.  Where there is no MX record the domain's
own address counts, and only then.  DNS that does not answer is temporary; a domain that takes no
mail, or is not there, is for good.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass

from seg_bridge.engines.embedded.resolver import Lookup, ResolverFailed
from seg_bridge.gate.ways import join_hop

MX_PORT = 25
MOST_HOSTS = 5  # hosts asked for, and addresses tried: whoever writes DNS must not keep us busy


class NoMailHost(Exception):
    """For good.  Its text is an SMTP reply."""


@dataclass(frozen=True, slots=True)
class MailHost:
    """``hop`` is ``address:port`` to connect to; ``name`` the same for people."""

    name: str
    hop: str


class MailHosts:
    """``lookup`` is synchronous, as the engine's is.  ``to_loopback``: for development only."""

    def __init__(self, lookup: Lookup, *, port: int = MX_PORT, to_loopback: bool = False) -> None:
        self._lookup = lookup
        self._port = port
        self._to_loopback = to_loopback

    async def of(self, domain: str) -> list[MailHost]:
        """Never empty.  Raises ``NoMailHost``, or ``ResolverFailed``: try later."""
        return await asyncio.to_thread(self._of, domain)

    def _of(self, domain: str) -> list[MailHost]:
        name = _ascii(domain)
        records = self._lookup(name, "MX")
        names = ranked(records, shuffle=True) if records else [name]
        if not names:
            raise NoMailHost(f"556 5.1.10 {name} takes no mail (null MX)")
        found: list[MailHost] = []
        trouble: ResolverFailed | None = None
        is_ours = False
        for host in names[:MOST_HOSTS]:
            try:
                addresses = self._addresses(host)
            except ResolverFailed as error:
                trouble = error
                continue
            is_ours = is_ours or any(map(self._is_inward, addresses))
            usable = [each for each in addresses if not self._is_inward(each)]
            found += [MailHost(f"{host}:{self._port}", join_hop(e, self._port)) for e in usable]
        if found:
            return found[:MOST_HOSTS]
        if trouble is not None:
            raise trouble
        if is_ours:
            raise NoMailHost(f"550 5.4.6 the mail host of {name} is an address within this host")
        if records:
            raise NoMailHost(f"550 5.4.4 no mail host of {name} has an address")
        raise NoMailHost(f"550 5.1.2 {name} has neither a mail host nor an address")

    def _addresses(self, host: str) -> Sequence[str]:
        """Raises ``ResolverFailed`` where one kind failed and the other has none."""
        found: list[str] = []
        trouble: ResolverFailed | None = None
        for kind in ("A", "AAAA"):
            try:
                found += self._lookup(host, kind)
            except ResolverFailed as error:
                trouble = error
        if trouble is not None and not found:
            raise trouble
        return found

    def _is_inward(self, address: str) -> bool:
        """An MX record must not lead a client's mail to services of this very host."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return True
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if ip.is_loopback:
            return not self._to_loopback
        return ip.is_unspecified or ip.is_multicast or ip.is_link_local


def ranked(records: Sequence[str], *, shuffle: bool = False) -> list[str]:
    """The hosts of these ``"<preference> <host>"``; [] where nobody takes mail (RFC 7505)."""
    pairs = [(int(each.split()[0]), each.partition(" ")[2]) for each in records]
    if shuffle:
        random.shuffle(pairs)
        pairs.sort(key=lambda pair: pair[0])
    else:
        pairs.sort()
    return [host for _, host in pairs if host.strip(".@")]


def _ascii(domain: str) -> str:
    """Raises ``NoMailHost``."""
    with contextlib.suppress(UnicodeError):
        if name := domain.encode("idna").decode("ascii").lower().rstrip("."):
            return name
    raise NoMailHost("550 5.1.2 the domain of the recipient is no domain name")
