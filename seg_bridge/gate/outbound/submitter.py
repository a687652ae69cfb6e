"""Who submits a mail, as whom, to whom and how much: what both fronts ask of it.

- A client is known by its login or by its sending host.
- Senders are mailboxes of that client; recipients are anywhere.
- Who is stopped hears so at MAIL; who has sent too much hears 4xx, at MAIL or RCPT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from seg_bridge.gate.outbound.login_desk import hash_of
from seg_bridge.gate.outbound.terms import OutboundTerms
from seg_bridge.gate.outbound.watch import SenderWatch
from seg_bridge.gate.outbound.ways_out import WaysOut
from seg_bridge.gate.paths import BadCommand
from seg_bridge.gate.policy import (
    DomainRoute,
    PolicySnapshot,
    Route,
    TenantPolicy,
    normalise_address,
)

OUTSIDE = "outside"  # the name of the route to everybody else's mailboxes
_WHO = "530 5.7.0 Log in first, or send from a host that is on your client's list"
_NOT_YOURS = "550 5.7.1 {} is no mailbox of yours: only your own domains' mailboxes may send here"


class LoginEnded(Exception):
    """Somebody ended the login while it was in use."""


@dataclass(frozen=True, slots=True)
class Login:
    """``name`` "" for who has not logged in; ``hashed`` what its secret fitted, "" if Postfix asked
    for it in another conversation.
    """

    name: str = ""
    hashed: str = ""


class Submitter:
    """One conversation's; ``begin`` comes before the rest, with each mail."""

    def __init__(self, watch: SenderWatch, ways_out: WaysOut) -> None:
        self._watch = watch
        self._ways_out = ways_out
        self._client: TenantPolicy | None = None
        self._mailbox = ""
        self._sender = ""
        self._is_refused = False
        self.submitted_by = ""

    async def begin(
        self, sender: str, snapshot: PolicySnapshot, *, client_ip: str, login: Login
    ) -> None:
        """Raises ``BadCommand``, or ``LoginEnded``."""
        self._is_refused = False
        clients = self._clients(snapshot, client_ip, login)
        if not clients:
            raise BadCommand(_WHO)
        self._client, self._mailbox = _whose(sender, clients, snapshot, login.name)
        self._sender = sender
        terms = _terms(self._client)
        if not self._ways_out.has_any(terms):
            raise BadCommand(
                f"451 4.3.5 {self._client.name} has no next mail server for outbound mail: "
                "it is named on the client's outbound page"
            )
        if self._mailbox:  # of the null sender the visible one counts, once it is known
            await self._check_room(terms)

    def route_to(self, address: str, snapshot: PolicySnapshot) -> Route:
        client = cast(TenantPolicy, self._client)
        hop = self._ways_out.hop(_terms(client), address, snapshot, sender=self._sender)
        domain = DomainRoute(name=OUTSIDE, next_hop=hop, recipients=frozenset())
        written = address.strip()
        return Route(normalise_address(address), client, domain, is_listed=True, written=written)

    async def check_recipient(self, route: Route, taken: dict[str, Route]) -> None:
        """Raises ``BadCommand``.  The last word is the core's, which counts all mails."""
        terms = _terms(route.tenant)
        if not self._mailbox or route.address in taken:
            return
        key = (route.tenant.tenant_id, self._mailbox)
        if len(taken) >= self._watch.usage.recipients_left(key, terms.limits):
            await self._refuse(terms)
            most = terms.limits.recipients_per_hour
            raise BadCommand(
                f"452 4.7.1 {self._mailbox} may send to {most} recipients an hour, try later"
            )

    async def _check_room(self, terms: OutboundTerms) -> None:
        client = cast(TenantPolicy, self._client)
        stop = self._watch.stopped(client.tenant_id, self._mailbox, terms)
        if stop is not None:
            raise BadCommand(stopped_reply(self._mailbox, stop))
        key = (client.tenant_id, self._mailbox)
        if self._watch.usage.messages_left(key, terms.limits) < 1:
            await self._refuse(terms)
            most = terms.limits.messages_per_hour
            raise BadCommand(f"450 4.7.1 {self._mailbox} may send {most} mails an hour, try later")

    def _clients(
        self, snapshot: PolicySnapshot, client_ip: str, login: Login
    ) -> list[TenantPolicy]:
        """Who this may be.  Several clients may send from one host: the sender's domain decides."""
        if login.name:
            known = hash_of(snapshot, login.name)
            if known is None or (login.hashed and known != login.hashed):
                raise LoginEnded
            self.submitted_by = f"login {login.name}"
            return [
                one
                for one in snapshot.tenants
                if one.outbound and login.name in one.outbound.logins
            ]
        self.submitted_by = f"host {client_ip}"
        return [
            one
            for one in snapshot.tenants
            if one.outbound is not None and one.outbound.has_host(client_ip)
        ]

    async def _refuse(self, terms: OutboundTerms) -> None:
        """Each mail counts once, however many recipients of it are refused."""
        if not self._is_refused:
            self._is_refused = True
            client = cast(TenantPolicy, self._client)
            await self._watch.note_refused(client.tenant_id, self._mailbox, terms)


def stopped_reply(mailbox: str, stop: str) -> str:
    return (
        f"550 5.7.1 Sending from {mailbox} has been stopped, because the account may be in other "
        f"hands: your IT provider can lift it ({stop})"
    )


def _whose(
    sender: str, clients: list[TenantPolicy], snapshot: PolicySnapshot, login: str
) -> tuple[TenantPolicy, str]:
    """The client and the sending mailbox, "" for the null sender.  Raises ``BadCommand``."""
    if not sender:
        if login or len(clients) > 1:
            raise BadCommand("550 5.7.1 The null sender is for a host of one client only")
        return clients[0], ""
    route = snapshot.find(sender)
    mine = {client.tenant_id: client for client in clients}
    if route is None or not route.is_known or route.tenant.tenant_id not in mine:
        raise BadCommand(_NOT_YOURS.format(sender))
    client = mine[route.tenant.tenant_id]
    return client, _terms(client).mailbox_of(route.address)


def _terms(client: TenantPolicy) -> OutboundTerms:
    assert client.outbound is not None  # else nobody is known as this client
    return client.outbound
