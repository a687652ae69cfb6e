"""The bytes between DATA and the end of the mail.

Only CRLF.CRLF is the end (and .CRLF where the mail is empty).  Everything that looks like it to
a lax server stays inside the mail, where ``outgoing.normalise`` makes it harmless.
"""

from __future__ import annotations

_END = b"\r\n.\r\n"
_LINE_END = b"\r\n"


class MailBody:
    """Feed it what comes; memory stays within ``max_bytes`` and one chunk."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # As if the DATA line's own CRLF stood before it: a mail may begin with its end.
        self._data = bytearray(_LINE_END)
        self._searched = 0
        self.received_bytes = 0
        self.is_too_big = False

    def feed(self, chunk: bytes) -> bytes | None:
        """None: the mail goes on.  Else what the client sent behind its end."""
        self._data += chunk
        self.received_bytes += len(chunk)
        end = self._data.find(_END, max(0, self._searched - len(_END)))
        if end < 0:
            self._searched = len(self._data)
            # A part of the end mark may be here already; it does not count.
            if self._searched > self._max_bytes + len(_END):
                self._forget()
            return None
        rest = bytes(self._data[end + len(_END) :])
        del self._data[end + len(_LINE_END) :]
        if len(self._data) > self._max_bytes + len(_LINE_END):
            self._forget()
        return rest

    def mail(self) -> bytes:
        """The mail without dot stuffing; b"" if it was too big."""
        if self.is_too_big:
            return b""
        return bytes(self._data).replace(b"\r\n.", _LINE_END)[len(_LINE_END) :]

    def _forget(self) -> None:
        """Too big: only its tail is still of interest, to find the end."""
        self.is_too_big = True
        del self._data[: -len(_END)]
        self._searched = 0
