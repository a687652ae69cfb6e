"""clamd over the signatures that freshclam keeps, on a port of loopback."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from console.gateway_parts import (
    PartMissing,
    PartPlan,
    PartSettings,
    PlannedFile,
    PlannedFolder,
    Program,
)
from console.gateway_parts.debian import Programs, account_for, find_programs, unpacked_folder
from console.launch.process import Command

HOST = "127.0.0.1"
PROGRAM = "usr/sbin/clamd"
# More than the gate takes of one mail (40 MB): clamd breaks the stream of what is longer.
STREAM_MEGABYTES = 64
_SIGNATURES = ("*.cvd", "*.cld", "*.ndb", "*.hdb", "*.ldb", "*.hsb", "*.yara")


@dataclass(frozen=True, slots=True)
class ClamavPart:
    """`unpacked` is where its packages lie that are not installed; `signatures` the folder that
    freshclam fills.
    """

    unpacked: Path = field(default_factory=lambda: unpacked_folder("clamav-daemon"))
    signatures: Path = Path("/var/lib/clamav")

    name: ClassVar[str] = "clamav"
    is_needed: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("clamav-daemon",)
    ports: ClassVar[Mapping[str, int]] = {"CLAMAV_PORT": 3310}

    def find(self) -> str:
        programs = self._programs()
        if not any(True for kind in _SIGNATURES for _ in self.signatures.glob(kind)):
            raise PartMissing(
                f"ClamAV has no signatures in {self.signatures} yet: freshclam fetches them"
            )
        version = programs.version(PROGRAM, "--config-file=/dev/null")
        return f"{version} in {programs.root}"

    def plan(self, settings: PartSettings) -> PartPlan:
        self.find()
        programs = self._programs()
        account = account_for(settings.folder)
        folder = settings.folder_of(self.name)
        port = settings.ports["CLAMAV_PORT"]
        config = folder / "clamd.conf"
        command = Command(
            name=self.name,
            argv=(programs.path(PROGRAM), f"--config-file={config}"),
            env=programs.environment(),
            log=settings.logs / "clamav.log",
            account=account,
        )
        return PartPlan(
            folders=(PlannedFolder(folder), PlannedFolder(folder / "scratch", account, 0o700)),
            files=(PlannedFile(config, self._configuration(folder, port)),),
            check=programs.argv(PROGRAM, f"--config-file={config}", "--version"),
            programs=(Program(command, lambda _: _pongs(port)),),
            gate={"BAILEY_CLAMAV": f"{HOST}:{port}"},
        )

    def _programs(self) -> Programs:
        found = find_programs(PROGRAM, self.unpacked)
        if found is None:
            raise PartMissing(
                "ClamAV is not here: apt-get install --no-install-recommends clamav-daemon, or "
                "without root python -m console.gateway_parts.debian clamav-daemon"
            )
        return found

    def _configuration(self, folder: Path, port: int) -> str:
        lines = [
            f"TCPAddr {HOST}",
            f"TCPSocket {port}",
            f"DatabaseDirectory {self.signatures}",
            f"TemporaryDirectory {folder / 'scratch'}",
            "Foreground yes",
            "OfficialDatabaseOnly no",
            f"StreamMaxLength {STREAM_MEGABYTES}M",
            "MaxScanTime 20000",
            "MaxThreads 4",
            "CommandReadTimeout 30",
            "IdleTimeout 30",
            # Where links lead is Rspamd's and our own business; these cost time and err.
            "PhishingScanURLs no",
            "AlertExceedsMax yes",
        ]
        return "\n".join([*lines, ""])


def _pongs(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=2) as link:
            link.sendall(b"zPING\0")
            return link.recv(16).startswith(b"PONG")
    except OSError:
        return False


PART = ClamavPart()
