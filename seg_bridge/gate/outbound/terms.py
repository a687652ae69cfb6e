"""What the policy snapshot says of one client's outbound mail."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Self

from seg_bridge.gate.outbound.logins import check_form


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """``sealed`` is the private key for this gate alone (``sealing.py``), in hex."""

    domain: str
    selector: str
    sealed: str

    @property
    def place(self) -> str:
        """What the sealed key is bound to."""
        return f"dkim/{self.domain}/{self.selector}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLimits:
    """Of one mailbox.  It is stopped at ``threats`` condemned mails within ``within_minutes``, or
    when ``refusals`` of its mails were refused within an hour for being too many (0: never).
    """

    messages_per_hour: int = 100
    recipients_per_hour: int = 500
    threats: int = 5
    within_minutes: int = 10
    refusals: int = 50

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ``ValueError`` or ``TypeError``."""
        limits = cls(**{name: int(value) for name, value in data.items()})
        if min(limits.messages_per_hour, limits.recipients_per_hour, limits.threats) < 1:
            raise ValueError("limits of a sender begin at 1")
        if limits.within_minutes < 1 or limits.refusals < 0:
            raise ValueError("limits of a sender are not negative")
        return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTerms:
    """``next_hop`` is ``host:port``, "" where nothing is set up: mail is then put off, not taken.

    ``hosts`` are addresses and networks of the client's own mail servers, ``logins`` name → hash of
    the secret.  ``aliases`` leads other addresses of a mailbox to its main one.  ``stopped`` are
    mailboxes that another gate stopped too: stop's ulid → mailbox.
    """

    next_hop: str = ""
    hosts: tuple[str, ...] = ()
    logins: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[SigningKey, ...] = ()
    limits: SenderLimits = field(default_factory=SenderLimits)
    aliases: Mapping[str, str] = field(default_factory=dict)
    stopped: Mapping[str, str] = field(default_factory=dict)

    def mailbox_of(self, address: str) -> str:
        """``address`` as ``normalise_address`` writes it."""
        return self.aliases.get(address, address)

    def key_for(self, domain: str) -> SigningKey | None:
        return next((key for key in self.keys if key.domain == domain), None)

    def has_host(self, client_ip: str) -> bool:
        try:
            address = ipaddress.ip_address(client_ip)
        except ValueError:
            return False
        return any(address in _network(each) for each in self.hosts)

    def as_json(self) -> dict[str, Any]:
        return {
            "next_hop": self.next_hop,
            "hosts": list(self.hosts),
            "logins": dict(self.logins),
            "keys": [asdict(key) for key in self.keys],
            "limits": asdict(self.limits),
            "aliases": dict(self.aliases),
            "stopped": dict(self.stopped),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        for host in data["hosts"]:
            _network(str(host))
        for hashed in data["logins"].values():
            check_form(hashed)
        return cls(
            next_hop=str(data["next_hop"]),
            hosts=tuple(str(each) for each in data["hosts"]),
            logins={str(name): str(hashed) for name, hashed in data["logins"].items()},
            keys=tuple(SigningKey(**each) for each in data["keys"]),
            limits=SenderLimits.from_json(data["limits"]),
            aliases={str(one): str(main) for one, main in data["aliases"].items()},
            stopped={str(ulid): str(mailbox) for ulid, mailbox in data["stopped"].items()},
        )


@lru_cache(maxsize=4096)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)
