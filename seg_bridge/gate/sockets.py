"""UNIX sockets on which Postfix asks the gate, and who takes their connections."""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from seg_bridge.gate.files import make_folder

log = logging.getLogger(__name__)

BACKLOG = 512
READ_BYTES = 64 * 1024
POSTFIX_GROUP = "postfix"


def open_socket(path: Path) -> socket.socket:
    """The socket that Postfix connects to; one that an earlier process left is replaced.

    Raises ``OSError``.
    """
    make_folder(path.parent)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        _let_postfix_in(path)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _let_postfix_in(path: Path) -> None:
    """Its group alone, where we may give the socket to it; else whoever may enter the folder."""
    try:
        os.chown(path, -1, grp.getgrnam(POSTFIX_GROUP).gr_gid)
        path.chmod(0o660)
    except (KeyError, PermissionError):
        path.chmod(0o666)


class Acceptor:
    """Takes one connection at a time: a process that took all that wait would leave none to the
    others which share the socket.
    """

    def __init__(self, listener: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        self._listener = listener
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        try:
            line, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # another process was faster
        except OSError as error:
            log.error("no connection from Postfix can be taken: %s", error)
            return
        line.setblocking(False)
        Line(line, self._make())


class Line(asyncio.Transport):
    """A connection that was taken, for a protocol: what the loop's own transports do, for a fifth
    of what it takes to set one up.  Postfix makes one for each of its clients.
    """

    def __init__(self, line: socket.socket, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._line, self._protocol = line, protocol
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._is_closing = self._is_reading = False
        protocol.connection_made(self)
        self.resume_reading()

    @override
    def is_closing(self) -> bool:
        return self._is_closing

    @override
    def is_reading(self) -> bool:
        return self._is_reading

    @override
    def pause_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._line)

    @override
    def resume_reading(self) -> None:
        if not self._is_reading and not self._is_closing:
            self._is_reading = True
            self._loop.add_reader(self._line, self._read)

    def _read(self) -> None:
        try:
            data = self._line.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._hang_up(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._hang_up(None)

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closing:
            return
        if self._unsent:
            self._unsent += data
            return
        sent = self._send(data)
        if sent < len(data) and not self._is_closing:
            self._unsent += data[sent:]
            self._loop.add_writer(self._line, self._write_more)

    def _write_more(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._line)
            if self._is_closing:
                self._end(None)

    def _send(self, data: bytes | bytearray | memoryview) -> int:
        """How much of it went; all, where there is nobody to send to."""
        try:
            return self._line.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._hang_up(error)
            return len(data)

    @override
    def close(self) -> None:
        """When all is sent."""
        if not self._is_closing:
            self.pause_reading()
            self._is_closing = True
            if not self._unsent:
                self._loop.call_soon(self._end, None)

    @override
    def abort(self) -> None:
        self._hang_up(None)

    def _hang_up(self, error: Exception | None) -> None:
        if self._unsent:
            self._unsent.clear()
            self._loop.remove_writer(self._line)
        elif self._is_closing:
            return  # its end is on its way
        self.pause_reading()
        self._is_closing = True
        self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        if self._line.fileno() >= 0:
            self._line.close()
            self._protocol.connection_lost(error)
