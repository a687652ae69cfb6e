"""How much one client, one address and all of them together may ask of the front."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontLimits:
    """``greet_wait_s``: how long a client must keep silent before the banner.
    ``data_min_bytes_s``: a mail may come slower than this for ``data_grace_s``, then it is cut.
    ``bytes_in_flight``: all mails together that are being received or decided.
    """

    mail_bytes: int = 40 * 1024 * 1024
    command_bytes: int = 2048
    recipients: int = 200
    errors: int = 20
    idle_commands: int = 100
    mails: int = 1000
    connections: int = 1000
    connections_per_ip: int = 100
    bytes_in_flight: int = 512 * 1024 * 1024
    greet_wait_s: float = 0.1
    command_s: float = 60.0
    data_idle_s: float = 60.0
    data_grace_s: float = 30.0
    data_min_bytes_s: int = 500


@dataclass(slots=True)
class FrontLoad:
    """What is going on now, shared by all conversations of one process."""

    connections: int = 0
    by_ip: Counter[str] = field(default_factory=Counter)
    bytes_in_flight: int = 0

    def enter(self, client_ip: str, limits: FrontLimits) -> str | None:
        """None if there is room, else our refusal; a refused one has not entered."""
        if self.connections >= limits.connections:
            return "421 4.3.2 Too many connections, please try again later"
        if self.by_ip[client_ip] >= limits.connections_per_ip:
            return "421 4.7.0 Too many connections from your address"
        self.connections += 1
        self.by_ip[client_ip] += 1
        return None

    def leave(self, client_ip: str) -> None:
        self.connections -= 1
        self.by_ip[client_ip] -= 1
        if self.by_ip[client_ip] <= 0:
            del self.by_ip[client_ip]
