"""Local ports: which are free, and a clear word when one is not."""

from __future__ import annotations

import errno
import secrets
import socket
from pathlib import Path

_LENT_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST, _TRIES = 15_000, 50
_given: set[int] = set()
_part = (0, 1)


def is_port_free(host: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Whether a server could listen there now; `kind` SOCK_DGRAM asks for UDP."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            # As servers do: connections of an earlier run that linger do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def take_part(number: int, of: int) -> None:
    """Of ``of`` processes that look for free ports at the same time, this one looks in a part of
    its own, 0 the first: between finding a port and listening on it another would find it, too.
    """
    global _part  # noqa: PLW0603 - one process, one part
    _part = (number, of)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on at this moment, and that this process was not given before:
    of several that are asked for together, none is the same.

    Below the ports that the kernel lends to outgoing connections, where it can be: such a one is
    often taken again before the server that was to have it has started.
    """
    lowest_lent = int(_LENT_PORTS.read_text().split()[0]) if _LENT_PORTS.exists() else 0
    for _ in range(_TRIES if lowest_lent > _LOWEST + _TRIES else 0):
        number, of = _part
        n = (lowest_lent - _LOWEST) // of
        port = secrets.randbelow(n) + _LOWEST + n * number
        is_new = port not in _given
        if is_new and is_port_free(host, port) and is_port_free(host, port, socket.SOCK_DGRAM):
            _given.add(port)
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
