"""DNS from a table: as a lookup in this process, and as a server on a free local port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from seg_bridge.engines.embedded.resolver import ResolverFailed

Table = Mapping[tuple[str, str], tuple[str, ...]]


class TableLookup:
    """Answers from ``table``; names in ``broken`` fail.  ``asked`` counts what was asked."""

    def __init__(self, table: Table, broken: frozenset[str] = frozenset()) -> None:
        self.table, self.broken = table, broken
        self.asked: list[tuple[str, str]] = []

    def __call__(self, name: str, kind: str) -> tuple[str, ...]:
        name = name.rstrip(".").lower()
        self.asked.append((name, kind))
        if name in self.broken or "*" in self.broken:
            raise ResolverFailed(f"{kind} {name}: no answer")
        return self.table.get((name, kind), ())


@contextmanager
def dns_server(table: Table, *, asked: list[str]) -> Iterator[tuple[str, int]]:
    """A UDP server for as long as the block runs; unknown names are NXDOMAIN, ``fails.example`` and
    names with the record ``SERVFAIL`` fail.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        stop = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, table, asked, stop))
        thread.start()
        try:
            yield server.getsockname()
        finally:
            stop.set()
            thread.join()


def _serve(server: socket.socket, table: Table, asked: list[str], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            wire, peer = server.recvfrom(4096)
        except TimeoutError:
            continue
        query = dns.message.from_wire(wire)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), question.rdtype.name
        asked.append(f"{kind} {name}")
        records = table.get((name, kind), ())
        if name == "fails.example" or "SERVFAIL" in records:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif records:
            reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        elif not any(known == name for known, _ in table):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        server.sendto(reply.to_wire(), peer)
