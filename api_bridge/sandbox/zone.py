"""DNS for the senders of the demo: answers from the records it was given, NXDOMAIN for the rest.

UDP and TCP on the same address.  Source: RFC 1035, RFC 2308 (negative answers), RFC 6891 (EDNS).
"""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from typing_extensions import override

from api_bridge.sandbox.store import Store

TYPES = ("A", "AAAA", "MX", "TXT", "CNAME", "NS", "PTR")
TTL_S = 60
LONGEST_CHAIN = 8
LARGEST_UDP = 1232
TCP_IDLE_S = 10.0
NEGATIVE = dns.rdata.from_text(
    "IN", "SOA", f"ns.sandbox.example. hostmaster.sandbox.example. 1 3600 600 86400 {TTL_S}"
)


class BadRecord(ValueError):
    """What was given is no record.  The text says why."""


class Zone:
    """The records of the store, kept in memory as well."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[str, dict[str, list[str]]] = {}
        self._load()

    def put(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Set the values of every name and type that is named; others stay.  Raises BadRecord."""
        rows = [_checked(record) for record in records]
        with self._store.transaction():
            for name, kind in {(name, kind) for name, kind, _ in rows}:
                self._store.execute(
                    "DELETE FROM dns_record WHERE name = ? AND type = ?", name, kind
                )
            for row in rows:
                self._store.execute("INSERT OR IGNORE INTO dns_record VALUES (?, ?, ?)", *row)
        self._load()

    def clear(self) -> None:
        self._store.execute("DELETE FROM dns_record")
        self._load()

    def answer(self, wire: bytes, *, is_udp: bool) -> bytes | None:
        """None: what came is no question at all."""
        try:
            query = dns.message.from_wire(wire)
            response = dns.message.make_response(query)
        except dns.exception.DNSException:
            return None
        response.flags |= dns.flags.AA | dns.flags.RA
        if len(query.question) != 1 or query.opcode() != 0:
            response.set_rcode(dns.rcode.NOTIMP)
        else:
            asked = query.question[0]
            self._fill(response, asked.name, dns.rdatatype.to_text(asked.rdtype))
        if not is_udp:
            return response.to_wire()
        limit = min(max(query.payload, 512), LARGEST_UDP)
        try:
            return response.to_wire(max_size=limit)
        except dns.exception.TooBig:
            short = dns.message.make_response(query)
            short.flags |= dns.flags.TC | dns.flags.AA
            return short.to_wire()

    def _fill(self, response: dns.message.Message, name: dns.name.Name, kind: str) -> None:
        for _ in range(LONGEST_CHAIN):
            text = name.to_text(omit_final_dot=True).lower()
            here = self._records.get(text, {})
            values = here.get(kind)
            alias = here.get("CNAME") if values is None and kind != "CNAME" else None
            if values:
                response.answer.append(_rrset(name, kind, values))
                return
            if not alias:
                break
            response.answer.append(_rrset(name, "CNAME", alias[:1]))
            name = dns.name.from_text(alias[0])
        else:
            response.set_rcode(dns.rcode.SERVFAIL)
            return
        # A name with records below it exists, even if it has none of its own (RFC 8020).
        if not any(known == text or known.endswith(f".{text}") for known in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(dns.rrset.from_rdata(dns.name.root, TTL_S, NEGATIVE))

    def _load(self) -> None:
        self._records = {}
        for row in self._store.rows("SELECT * FROM dns_record ORDER BY name, type, value"):
            self._records.setdefault(row["name"], {}).setdefault(row["type"], []).append(
                row["value"]
            )


class UdpListener(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    @override
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # the loop gives a datagram protocol this kind
        self._transport = transport

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._zone.answer(data, is_udp=True)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


async def serve_tcp(zone: Zone, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One TCP connection: questions with their length before them, until the other side ends."""
    try:
        while True:
            head = await asyncio.wait_for(reader.readexactly(2), TCP_IDLE_S)
            wire = await asyncio.wait_for(
                reader.readexactly(struct.unpack("!H", head)[0]), TCP_IDLE_S
            )
            answer = zone.answer(wire, is_udp=False)
            if answer is None:
                break
            writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
        pass  # the other side is done
    finally:
        writer.close()


def _checked(record: Mapping[str, Any]) -> tuple[str, str, str]:
    kind, value = str(record.get("type", "")).upper(), record.get("value")
    if kind not in TYPES:
        raise BadRecord(f"type is one of {', '.join(TYPES)}, not {record.get('type')!r}")
    try:
        name = dns.name.from_text(str(record.get("name", ""))).to_text(omit_final_dot=True)
        if not isinstance(value, str) or not value:
            raise BadRecord(f"the {kind} record of {name!r} needs a value")
        _rrset(dns.name.from_text(name), kind, [value])
    except dns.exception.DNSException as error:
        raise BadRecord(f"no good {kind} record: {dict(record)!r}: {error}") from error
    return name.lower(), kind, value


def _rrset(name: dns.name.Name, kind: str, values: Sequence[str]) -> dns.rrset.RRset:
    texts = [_quoted(value) for value in values] if kind == "TXT" else values
    # Names in values are whole names, with or without the dot at the end.
    return dns.rrset.from_text_list(
        name, TTL_S, "IN", kind, texts, origin=dns.name.root, relativize=False
    )


def _quoted(value: str) -> str:
    """A text of any length as the strings of at most 255 bytes that TXT is made of."""
    content = value.encode()
    pieces = [content[at : at + 255] for at in range(0, len(content), 255)]
    return " ".join(
        '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03d}" for b in p)
        + '"'
        for p in pieces
    )  # fmt: skip
