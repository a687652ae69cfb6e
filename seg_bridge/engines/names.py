"""What an engine asks of DNS for itself: the sending host's name; whether the resolver lives."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver

from seg_bridge.engines.embedded.resolver import Lookup, Resolver, ResolverFailed

PROBE_TIMEOUT_S: Final = 2.0
PROBE_KEPT_S: Final = 1.0
NAMES_LOOKED_AT: Final = 4
NAMES_KEPT: Final = 20_000
NAMES_KEPT_S: Final = 60.0
UNKNOWN: Final = "unknown"
_NOT_LIVING: Final = frozenset({dns.rcode.SERVFAIL, dns.rcode.REFUSED})


class Names:
    """``server`` None: the host's own resolver.  Bound to one event loop."""

    def __init__(
        self,
        server: tuple[str, int] | None,
        *,
        lookup: Lookup | None = None,
        threads: int = 4,
        probe_timeout_s: float = PROBE_TIMEOUT_S,
    ) -> None:
        self._server = server
        self._probe_timeout_s = probe_timeout_s
        self._lookup: Lookup = lookup or Resolver(server)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="names")
        # The resolver keeps its answers too, but to ask it takes a thread.
        self._kept: dict[str, tuple[str, float]] = {}
        self._probed_at_s = float("-inf")
        self._lives = False
        self._probing = asyncio.Lock()

    async def of_client(self, address: str) -> str:
        """The host's name, proven by a look back; ``unknown`` where it has none, "" where the
        resolver does not say.
        """
        now_s = time.monotonic()
        kept = self._kept.get(address)
        if kept is not None and kept[1] > now_s:
            return kept[0]
        loop = asyncio.get_running_loop()
        try:
            name = await loop.run_in_executor(self._pool, self._look_up, address)
        except ResolverFailed:
            return ""
        if len(self._kept) >= NAMES_KEPT:
            self._kept.clear()
        self._kept[address] = (name, now_s + NAMES_KEPT_S)
        return name

    def _look_up(self, address: str) -> str:
        host = ipaddress.ip_address(address)
        kind = "A" if host.version == 4 else "AAAA"
        for name in self._lookup(host.reverse_pointer, "PTR")[:NAMES_LOOKED_AT]:
            if any(_is_same(found, address) for found in self._lookup(name, kind)):
                return name.rstrip(".").lower()
        return UNKNOWN

    async def lives(self) -> bool:
        """Whether the resolver answers at all, as of the last second."""
        async with self._probing:
            if time.monotonic() - self._probed_at_s > PROBE_KEPT_S:
                self._lives = await self._probe()
                self._probed_at_s = time.monotonic()
        return self._lives

    async def _probe(self) -> bool:
        # The root has servers: whoever answers something else than trouble can look up names.
        query = dns.message.make_query(".", dns.rdatatype.NS)
        for host, port in self._servers():
            try:
                reply = await dns.asyncquery.udp(
                    query, host, timeout=self._probe_timeout_s, port=port
                )
            except (dns.exception.DNSException, OSError):
                continue
            if reply.rcode() not in _NOT_LIVING:
                return True
        return False

    def _servers(self) -> list[tuple[str, int]]:
        if self._server is not None:
            return [self._server]
        try:
            known = dns.resolver.Resolver().nameservers
        except dns.exception.DNSException:
            return []
        return [(str(each), 53) for each in known if isinstance(each, str)]

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _is_same(found: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(found) == ipaddress.ip_address(address)
    except ValueError:
        return False
