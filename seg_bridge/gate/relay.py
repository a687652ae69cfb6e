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

from seg_bridge.engines.embedded.resolver import ResolverFailed
from seg_bridge.gate.hop import (
    HopAnswer,
    HopConnection,
    HopError,
    HopTimeouts,
    OutgoingMail,
    TlsRefused,
)
from seg_bridge.gate.mail_hosts import MailHost, MailHosts, NoMailHost
from seg_bridge.gate.ways import HopTls, Way, split_hop

KEEP_IDLE_S = 4.0
KEEP_CONNECTIONS = 8


class Relay:
    """``helo`` is our own host name; without ``mail_hosts`` it sends to named hosts only."""

    def __init__(
        self,
        *,
        helo: str,
        timeouts: HopTimeouts | None = None,
        mail_hosts: MailHosts | None = None,
    ) -> None:
        self._helo = helo
        self._mail_hosts = mail_hosts
        self._timeouts = timeouts or HopTimeouts()
        self._idle: dict[tuple[str, HopTls], list[HopConnection]] = {}
        self._without_tls: set[str] = set()

    async def send(self, way: Way, mail: OutgoingMail) -> dict[str, HopAnswer]:
        """One answer for each recipient; never raises for the network's sake.

        The backup host is tried where the first one has not been given the mail's end, and only
        then: what a host has answered for is its own.
        """
        troubles = []
        try:
            hosts = await self._hosts(way)
        except NoMailHost as error:
            return dict.fromkeys(mail.recipients, HopAnswer("refused", str(error)))
        except ResolverFailed as error:
            text = f"451 4.4.3 DNS did not say where mail for {way.mx_of} goes: {error}"
            return dict.fromkeys(mail.recipients, HopAnswer("deferred", text))
        for host in hosts:
            try:
                answers = await self._send_to(host.hop, way.tls, mail)
            except HopError as error:
                troubles.append(f"{host.name}: {error}")
            else:
                return {name: replace(answer, hop=host.name) for name, answer in answers.items()}
        return dict.fromkeys(mail.recipients, HopAnswer("deferred", "; ".join(troubles)))

    async def _hosts(self, way: Way) -> list[MailHost]:
        """Raises ``NoMailHost`` or ``ResolverFailed``."""
        if not way.mx_of:
            return [MailHost(hop, hop) for hop in way.hops]
        if self._mail_hosts is None:
            raise ResolverFailed("this gate asks no DNS")
        return await self._mail_hosts.of(way.mx_of)

    async def ask_for(self, way: Way, recipient: str) -> HopAnswer:
        """Whether the mail host knows this address; ``deferred``: it could not be asked."""
        troubles = []
        for hop in way.hops:
            try:
                connection = await self._connect(hop, way.tls)
            except HopError as error:
                troubles.append(f"{hop}: {error}")
                continue
            try:
                answer = (await connection.ask_for(recipient)).answer()
                await connection.quit()
            except HopError as error:
                troubles.append(f"{hop}: {error}")
            else:
                return replace(answer, hop=hop, tls=connection.tls)
            finally:
                connection.abort()
        return HopAnswer("deferred", "; ".join(troubles))

    async def close(self) -> None:
        kept = [connection for pool in self._idle.values() for connection in pool]
        self._idle.clear()
        await asyncio.gather(*(connection.quit() for connection in kept))

    async def _send_to(self, hop: str, tls: HopTls, mail: OutgoingMail) -> dict[str, HopAnswer]:
        """Raises ``HopError``: nothing was sent."""
        if mail.claimed:
            return await self._send_claimed(hop, tls, mail)
        kept = self._take(hop, tls)
        if kept is not None:
            try:
                return await self._send_over(kept, (hop, tls), mail)
            except HopError as error:
                if not error.is_stale:
                    raise
        return await self._send_over(await self._connect(hop, tls), (hop, tls), mail)

    async def _send_claimed(
        self, hop: str, tls: HopTls, mail: OutgoingMail
    ) -> dict[str, HopAnswer]:
        """By a connection of its own: nobody else's mail may go by that name."""
        connection = await self._connect(hop, tls)
        try:
            await connection.claim(mail.claimed)
            answers = await connection.send(mail)
            await connection.quit()
        finally:
            connection.abort()
        return {name: replace(answer, tls=connection.tls) for name, answer in answers.items()}

    async def _send_over(
        self, connection: HopConnection, key: tuple[str, HopTls], mail: OutgoingMail
    ) -> dict[str, HopAnswer]:
        try:
            answers = await connection.send(mail)
        except BaseException:
            connection.abort()
            raise
        answers = {name: replace(answer, tls=connection.tls) for name, answer in answers.items()}
        if any(answer.state == "unknown" for answer in answers.values()):
            return answers
        pool = self._idle.setdefault(key, [])
        if len(pool) < KEEP_CONNECTIONS:
            pool.append(connection)
        else:
            await connection.quit()
        return answers

    def _take(self, hop: str, tls: HopTls) -> HopConnection | None:
        """The connection used last, if it is fresh enough to be alive."""
        pool = self._idle.get((hop, tls), [])
        limit = time.monotonic() - KEEP_IDLE_S
        while pool:
            connection = pool.pop()
            if connection.used_at >= limit and not connection.reader.at_eof():
                return connection
            connection.abort()
        return None

    async def _connect(self, hop: str, tls: HopTls) -> HopConnection:
        host, port = split_hop(hop)
        if tls is not HopTls.MAY:
            return await HopConnection.open(
                host, port, helo=self._helo, timeouts=self._timeouts, tls=tls
            )
        if hop not in self._without_tls:
            with contextlib.suppress(TlsRefused):
                return await HopConnection.open(
                    host, port, helo=self._helo, timeouts=self._timeouts
                )
            self._without_tls.add(hop)
        return await HopConnection.open(
            host, port, helo=self._helo, timeouts=self._timeouts, with_tls=False
        )


def queue_id_in(reply: str) -> str:
    """Of Postfix's ``250 2.0.0 Ok: queued as 4F1C2``; "" where the reply names none."""
    _, found, name = reply.partition("queued as ")
    return name.split()[0] if found and name.strip() else ""
