"""One IMAP connection: Python's ``imaplib`` with limits on everything that a server may send.

``imaplib`` knows the commands and the states; reading is ours, because a server may lie: a line or
literal without end, a stream that drips, more answers than were asked for, bytes slipped in before
TLS.  Whatever is too much ends the connection.
"""

from __future__ import annotations

import imaplib
import socket
import ssl
import time
from collections.abc import Callable

from typing_extensions import override

GREETING_S = 10.0
ANSWER_TIMEOUT_S = 30.0
WHOLE_ANSWER_S = 120.0
LINE_LIMIT_BYTES = 8 * 1024 * 1024
LITERAL_LIMIT_BYTES = 2 * 1024 * 1024
ANSWER_LIMIT_BYTES = 32 * 1024 * 1024
RECEIVE_BYTES = 65_536


class Wire(imaplib.IMAP4):
    """Not for several threads at once.

    ``too_much`` is a sentence as soon as a limit was hit, "" before.  Raises ``OSError`` and
    ``imaplib.IMAP4.error`` like its parent.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connect: Callable[[], socket.socket],
        context: ssl.SSLContext,
        is_implicit: bool,
    ) -> None:
        self._connect_socket = connect
        self._context = context
        self._is_implicit = is_implicit
        self._buffer = bytearray()
        self.too_much = ""
        # A server that waits for TLS where we wait for its greeting says nothing at all.
        self.begin(GREETING_S)
        super().__init__(host, port)

    def begin(self, whole_answer_s: float = WHOLE_ANSWER_S) -> None:
        """A new command: its answer has all limits to itself."""
        self._until = time.monotonic() + whole_answer_s
        self._left = ANSWER_LIMIT_BYTES

    @override
    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        self.host, self.port = host, port
        plain = self._connect_socket()
        try:
            self.sock = self._wrapped(plain) if self._is_implicit else plain
        except OSError:
            plain.close()
            raise
        self.file = self.sock.makefile("rb")

    def _wrapped(self, plain: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(plain, server_hostname=self.host)

    def secure(self) -> None:
        """STARTTLS.  Bytes that came before the handshake were not protected: they end it all."""
        typ, _ = self._simple_command("STARTTLS")
        if typ != "OK":
            raise self.error("STARTTLS was refused")
        if self._buffer:
            raise self.abort("the server spoke on before TLS began")
        self.file.close()
        self.sock = self._wrapped(self.sock)
        self.file = self.sock.makefile("rb")
        self.untagged_responses.clear()
        self._get_capabilities()

    @override
    def read(self, size: int) -> bytes:
        if size > LITERAL_LIMIT_BYTES:
            raise self._stop(f"The server announced a piece of {size} bytes.")
        while len(self._buffer) < size:
            self._receive()
        return self._take(size)

    @override
    def readline(self) -> bytes:
        looked = 0
        while (end := self._buffer.find(b"\n", looked)) < 0:
            looked = len(self._buffer)
            if looked > LINE_LIMIT_BYTES:
                raise self._stop("The server sent a line without an end.")
            self._receive()
        return self._take(end + 1)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _receive(self) -> None:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise self._stop("The server's answer takes too long.")
        self.sock.settimeout(min(ANSWER_TIMEOUT_S, left_s))
        data = self.sock.recv(RECEIVE_BYTES)
        if not data:
            raise self.abort("socket error: EOF")
        self._left -= len(data)
        if self._left < 0:
            raise self._stop("The server's answer is too big.")
        self._buffer += data

    def _stop(self, why: str) -> imaplib.IMAP4.abort:
        self.too_much = why
        return self.abort(why)

    def wait(self, seconds: float) -> bytes:
        """The next line of an idling server; b"" if none came."""
        self.begin(seconds + ANSWER_TIMEOUT_S)
        if b"\n" not in self._buffer:
            self.sock.settimeout(max(0.01, seconds))
            try:
                data = self.sock.recv(RECEIVE_BYTES)
            except TimeoutError:
                return b""
            if not data:
                raise self.abort("socket error: EOF")
            self._buffer += data
        return self.readline()

    def command(self, name: str, *arguments: str | bytes) -> tuple[str, list[bytes]]:
        """Any command in the present state: its tagged word and text."""
        if name not in imaplib.Commands:
            imaplib.Commands[name] = ("AUTH", "SELECTED")
        self.begin()
        self.untagged_responses.clear()
        typ, data = self._simple_command(name, *arguments)
        return typ, data

    def choose(self, name: str, *arguments: str) -> tuple[str, list[bytes]]:
        """SELECT or EXAMINE; what the folder is stands in ``untagged_responses`` then."""
        self.is_readonly = name == "EXAMINE"
        typ, data = self.command(name, *arguments)
        self.state = "SELECTED" if typ == "OK" else "AUTH"
        return typ, data

    @override
    def shutdown(self) -> None:
        self.file.close()
        self.sock.close()
