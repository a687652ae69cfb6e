"""Notices that our own Postfix writes (delayed, not delivered), on their way to a client's mailbox.

They come by ``non_smtpd_milters``, and are treated as any mail that comes in: scanned, traced, on
record.  Else the mailbox layer would take them for mail around the gateway.  A notice to a sender
outside is none of ours and goes as it is.
"""

from __future__ import annotations

from typing_extensions import override

from seg_bridge.gate import milter_wire as wire
from seg_bridge.gate.milter import MilterParts, MilterSession
from seg_bridge.gate.milter_words import address_in


class NoticeMilter(MilterSession):
    is_sender_quiet = False

    def __init__(self, parts: MilterParts) -> None:
        super().__init__(parts)
        self._is_foreign = False

    @override
    def _begin(self, data: bytes) -> None:
        super()._begin(data)
        self._is_foreign = False

    @override
    def _take_recipient(self, data: bytes) -> None:
        assert self._open is not None
        route = self._open.snapshot.find(address_in(data))
        if route is None or not route.is_listed:
            self._is_foreign = True
            self._say(wire.CONTINUE)
        else:
            super()._take_recipient(data)

    @override
    def _end(self, data: bytes) -> None:
        if self._is_foreign:
            self._forget_mail()
            self._say(wire.CONTINUE)
        else:
            super()._end(data)
