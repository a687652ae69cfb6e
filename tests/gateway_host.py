"""A private Postfix for tests, by the same part that a real gateway starts."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from console.gateway_parts import PartSettings
from console.gateway_parts.postfix import PostfixPart
from console.gateway_parts.prepare import find_or_install, prepare
from console.launch.ports import free_port
from console.launch.process import Process, start_ready

# What would only make tests slow: the same limits, but lower.
FASTER = """
smtpd_error_sleep_time = 0
smtpd_timeout = 3s
smtpd_client_connection_count_limit = 20
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
"""


class PostfixHost:
    """Ready on return from ``start``; ``folder`` is the part's own.  Raises ``PartMissing``."""

    def __init__(self, hostname: str = "gate1.example") -> None:
        self.part = PostfixPart()
        find_or_install(self.part)
        # Not pytest's folder: Postfix's own account must get there.
        self.root = Path(tempfile.mkdtemp(prefix="bailey-postfix-"))
        self.root.chmod(0o755)
        self.settings = PartSettings(
            folder=self.root,
            logs=self.root / "log",
            hostname=hostname,
            ports={name: free_port() for name in self.part.ports},
            takes_xclient=True,
        )
        self.folder = self.settings.folder_of("postfix")
        # A process of Postfix remembers for 30 s where an address goes on, so this stays the same.
        self.next_hop_port = free_port()
        self._process: Process | None = None

    @property
    def port(self) -> int:
        return self.settings.ports["GATE_PORT"]

    @property
    def reinject(self) -> tuple[str, int]:
        return "127.0.0.1", self.settings.ports["REINJECT_PORT"]

    @property
    def socket(self) -> Path:
        return self.settings.gate_folder / "milter.sock"

    @property
    def log(self) -> str:
        return (self.folder / "log" / "mail.log").read_text()

    def start(self, *, own: str = FASTER, transport: str = "") -> None:
        local = self.folder / "local"
        local.mkdir(parents=True, exist_ok=True)
        (local / "main.cf").write_text(own)
        (local / "transport").write_text(transport)
        plan = prepare(self.part, self.settings)
        (program,) = plan.programs
        self._process = start_ready(program.command, program.is_ready)

    def look_up(self, table: str, key: str) -> str:
        """As Postfix itself would find it; "" where it would not."""
        argv = ("postmap", "-c", self.folder / "etc", "-q", key, f"lmdb:{self.folder}/maps/{table}")
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def empty_queue(self) -> None:
        """So that no mail of one test comes to the next."""
        argv = ("postsuper", "-c", self.folder / "etc", "-d", "ALL")
        subprocess.run(argv, capture_output=True, check=True)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.copy(self.folder / "log" / "mail.log", "/tmp/last.log")
        shutil.rmtree(self.root, ignore_errors=True)
