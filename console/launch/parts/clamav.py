"""clamd over signatures that somebody else keeps fresh (freshclam), on a port of loopback."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from console.launch.account import unprivileged_account
from console.launch.parts import Part
from console.launch.parts.debian import Programs
from console.launch.plan import HOST
from console.launch.process import Command

# More than the gate takes of one mail (40 MB): clamd breaks the stream of what is longer.
STREAM_MEGABYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ClamavSettings:
    """`signatures` is the folder that freshclam fills, like /var/lib/clamav."""

    programs: Programs
    folder: Path
    logs: Path
    port: int
    signatures: Path = Path("/var/lib/clamav")


def plan(settings: ClamavSettings) -> tuple[Part, ...]:
    config = settings.folder / "clamd.conf"
    return (
        Part(
            command=Command(
                name="clamav",
                argv=(settings.programs.path("usr/sbin/clamd"), f"--config-file={config}"),
                env=settings.programs.environment(),
                log=settings.logs / "clamav.log",
                account=unprivileged_account(),
            ),
            files={config: _configuration(settings)},
            folders=(settings.folder / "scratch",),
            is_ready=lambda _: _answers(settings.port),
            # The whole base takes a minute to load on a small machine.
            ready_within_s=300.0,
        ),
    )


def variables(settings: ClamavSettings) -> dict[str, str]:
    """What a gate must be told to ask this clamd."""
    return {"BAILEY_CLAMAV": f"{HOST}:{settings.port}"}


def _configuration(settings: ClamavSettings) -> str:
    return "\n".join(
        [
            f"TCPAddr {HOST}",
            f"TCPSocket {settings.port}",
            f"DatabaseDirectory {settings.signatures}",
            f"TemporaryDirectory {settings.folder / 'scratch'}",
            "Foreground yes",
            "OfficialDatabaseOnly no",
            f"StreamMaxLength {STREAM_MEGABYTES}M",
            "MaxScanTime 20000",
            "MaxThreads 4",
            "ReadTimeout 60",
            "CommandReadTimeout 10",
            "IdleTimeout 30",
            # What links lead to is Rspamd's and our own business; these cost time and err.
            "PhishingScanURLs no",
            "AlertExceedsMax yes",
            "",
        ]
    )


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=2) as link:
            link.sendall(b"zPING\0")
            return link.recv(16).startswith(b"PONG")
    except OSError:
        return False
