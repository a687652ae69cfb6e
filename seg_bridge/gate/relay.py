"""Handing mail to the next hops, over connections that are kept for a moment.

A kept connection may have gone stale; the hop then says nothing or 421 to the first command, and
the mail is tried once more over a fresh one.  Nothing is repeated once the hop has been given the
mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace

from seg_bridge.gate.hop import (
    HopAnswer,
    HopConnection,
    HopError,
    HopTimeouts,
    OutgoingMail,
    TlsRefused,
)
from seg_bridge.gate.policy import split_hop

KEEP_IDLE_S = 4.0
KEEP_CONNECTIONS = 8


class Relay:
    """``helo`` is our own host name."""

    def __init__(self, *, helo: str, timeouts: HopTimeouts | None = None) -> None:
        self._helo = helo
        self._timeouts = timeouts or HopTimeouts()
        self._idle: dict[str, list[HopConnection]] = {}
        self._without_tls: set[str] = set()

    async def send(self, next_hop: str, mail: OutgoingMail) -> dict[str, HopAnswer]:
        """One answer for each recipient; never raises for the network's sake."""
        try:
            kept = self._take(next_hop)
            if kept is not None:
                try:
                    return await self._send_over(kept, next_hop, mail)
                except HopError as error:
                    if not error.is_stale:
                        raise
            return await self._send_over(await self._connect(next_hop), next_hop, mail)
        except HopError as error:
            answer = HopAnswer("deferred", f"{next_hop}: {error}")
            return dict.fromkeys(mail.recipients, answer)

    async def close(self) -> None:
        kept = [connection for pool in self._idle.values() for connection in pool]
        self._idle.clear()
        await asyncio.gather(*(connection.quit() for connection in kept))

    async def _send_over(
        self, connection: HopConnection, next_hop: str, mail: OutgoingMail
    ) -> dict[str, HopAnswer]:
        try:
            answers = await connection.send(mail)
        except BaseException:
            connection.abort()
            raise
        answers = {name: replace(answer, tls=connection.tls) for name, answer in answers.items()}
        if any(answer.state == "unknown" for answer in answers.values()):
            return answers
        pool = self._idle.setdefault(next_hop, [])
        if len(pool) < KEEP_CONNECTIONS:
            pool.append(connection)
        else:
            await connection.quit()
        return answers

    def _take(self, next_hop: str) -> HopConnection | None:
        """The connection used last, if it is fresh enough to be alive."""
        pool = self._idle.get(next_hop, [])
        limit = time.monotonic() - KEEP_IDLE_S
        while pool:
            connection = pool.pop()
            if connection.used_at >= limit and not connection.reader.at_eof():
                return connection
            connection.abort()
        return None

    async def _connect(self, next_hop: str) -> HopConnection:
        host, port = split_hop(next_hop)
        if next_hop not in self._without_tls:
            with contextlib.suppress(TlsRefused):
                return await HopConnection.open(
                    host, port, helo=self._helo, timeouts=self._timeouts
                )
            self._without_tls.add(next_hop)
        return await HopConnection.open(
            host, port, helo=self._helo, timeouts=self._timeouts, with_tls=False
        )


def queue_id_in(reply: str) -> str:
    """Of Postfix's ``250 2.0.0 Ok: queued as 4F1C2``; "" where the reply names none."""
    _, found, name = reply.partition("queued as ")
    return name.split()[0] if found and name.strip() else ""
