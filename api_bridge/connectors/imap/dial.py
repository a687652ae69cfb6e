"""Where an IMAP connection may go: to the host the operator allowed, and to no address inside.

A name that a client controls may be pointed at our own network later on.  So the address is looked
up once, judged, and that very address is called; the certificate is checked against the name.
An address that is not a public one is called only if the operator lists it too: ``10.0.0.5:993``.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

from api_bridge.errors import Rejected, Temporary

CONNECT_TIMEOUT_S = 10.0


def dial(host: str, port: int, allowed_hosts: Collection[str]) -> socket.socket:
    """A connected socket.  Raises ``Rejected`` or ``Temporary``."""
    allowed = {entry.lower() for entry in allowed_hosts}
    if f"{host}:{port}" not in allowed:
        raise Rejected(
            f"Outgoing calls to {host}:{port} are not allowed; the operator of this installation "
            "adds it to BAILEY_OUTGOING_HOSTS.",
            code="host_not_allowed",
        )
    last = "it has no address"
    for address in _addresses(host, port):
        if not _may_call(address, port, allowed):
            raise Rejected(
                f"{host} leads to {address}, which is not a public address; if it is meant to, "
                f"the operator adds {_written(address, port)} to BAILEY_OUTGOING_HOSTS.",
                code="private_address",
            )
        try:
            return socket.create_connection((address, port), timeout=CONNECT_TIMEOUT_S)
        except OSError as error:
            last = type(error).__name__
    raise Temporary(f"No connection to {host}:{port}: {last}.", code="no_connection")


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Temporary(f"The name {host} cannot be looked up.", code="no_name") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _may_call(address: str, port: int, allowed: Collection[str]) -> bool:
    at = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(at, ipaddress.IPv6Address) and at.ipv4_mapped:
        at = at.ipv4_mapped
    return (at.is_global and not at.is_multicast) or _written(str(at), port) in allowed


def _written(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
