"""What the sandbox reads from its environment.  A wrong value names its variable."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """One line for the person who starts the sandbox: the variable and what it should look
    like.
    """


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @property
    def netloc(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the sandbox keeps its state and where it listens.  Port 0: any free port."""

    folder: Path
    https: Address
    http: Address
    smtp: Address
    dns: Address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises SettingsError."""
        folder = environment.get("BAILEY_SANDBOX_DIR", "").strip()
        if not folder:
            raise SettingsError("BAILEY_SANDBOX_DIR must name a folder that the sandbox may write")
        return cls(
            folder=Path(folder),
            https=_address(environment, "BAILEY_SANDBOX_HTTPS", "127.0.0.1:8443"),
            http=_address(environment, "BAILEY_SANDBOX_HTTP", "127.0.0.1:8004"),
            smtp=_address(environment, "BAILEY_SANDBOX_SMTP", "127.0.0.1:2526"),
            dns=_address(environment, "BAILEY_SANDBOX_DNS", "127.0.0.1:5300"),
        )


def _address(environment: Mapping[str, str], name: str, default: str) -> Address:
    value = environment.get(name, "").strip() or default
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"{name} must look like {default} (host:port), not {value!r}")
    return Address(host.strip("[]"), int(port))
