"""The gate's settings, from the environment.  A wrong one stops the process before it starts.

``read_settings`` raises ``BadSetting``, whose text names the variable and what it should look like.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from seg_bridge.engines.endpoints import Endpoint
from seg_bridge.gate.outbound.ways_out import OwnPostfix
from seg_bridge.gate.policy import join_hop, split_hop
from seg_bridge.gate.signing import MIN_SECRET_BYTES

EXIT_BAD_SETTING = 2
DEFAULT_LISTEN = "127.0.0.1:2525"
DEFAULT_INGEST_URL = "http://127.0.0.1:8002"
ENGINES = ("embedded", "rspamd", "clamav")
DEFAULT_ENGINES = "embedded"
DEFAULT_RSPAMD = "127.0.0.1:11333"
DEFAULT_CLAMAV = "/run/clamav/clamd.ctl"
MAX_PROCESSES = 64
MAX_SOCKET_BYTES = 100  # the kernel takes 107

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")

T = TypeVar("T")


class BadSetting(Exception):
    """One line for the person who starts the gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """``dns`` None: the system's resolver.  ``takes_xclient`` is for development only.

    ``engines`` are names of ``ENGINES``; ``rspamd_learn`` None: nothing is taught.
    ``submission`` is where clients submit their outbound mail, None: nowhere; ``submission_tls`` a
    file with key and certificates for it, None: no TLS, and no logins but on loopback in
    development.  ``submissions`` is the same with TLS from the first byte (RFC 8314).
    ``outgoing`` and ``inside`` are where our Postfix takes what clients send: for anybody, and for
    our clients' mailboxes.  Both: Postfix also takes submitted mail and asks us about it.
    ``milter`` is the socket on which Postfix asks us, None for the embedded front; ``reinject``
    where that Postfix takes mail from us without asking again, ``postfix`` its folder with ``etc``,
    ``maps`` and ``log`` (None: its tables and its log are not our business).  ``processes``: how
    many share the socket.
    """

    name: str
    secret: bytes
    folder: Path
    listen: tuple[str, int]
    hostname: str
    ingest_url: str
    takes_xclient: bool
    dns: tuple[str, int] | None
    engines: tuple[str, ...] = (DEFAULT_ENGINES,)
    rspamd: Endpoint = ("127.0.0.1", 11333)
    rspamd_learn: Endpoint | None = None
    rspamd_password: str = ""
    clamav: Endpoint = Path(DEFAULT_CLAMAV)
    milter: Path | None = None
    reinject: tuple[str, int] | None = None
    postfix: Path | None = None
    processes: int = 1
    submission: tuple[str, int] | None = None
    submission_tls: Path | None = None
    submissions: tuple[str, int] | None = None
    outgoing: tuple[str, int] | None = None
    inside: tuple[str, int] | None = None

    @property
    def own_postfix(self) -> OwnPostfix | None:
        if self.milter is None or self.outgoing is None or self.inside is None:
            return None
        return OwnPostfix(join_hop(*self.outgoing), join_hop(*self.inside))

    def socket_for(self, purpose: str) -> Path:
        """Beside the milter's: ``submission``, ``sasl``, ``notices``."""
        assert self.milter is not None
        return self.milter.with_name(f"{purpose}.sock")

    @property
    def journal_folder(self) -> Path:
        return self.folder / "journal"

    def journal_folder_of(self, process: int) -> Path:
        """Each process of the gate writes a journal of its own; 0 is the first."""
        return self.folder / f"journal-{process}" if process else self.journal_folder

    def journal_folders(self) -> list[tuple[int, Path]]:
        """All that there are, also of processes that are no more."""
        numbers = [
            int(path.name.removeprefix("journal-"))
            for path in self.folder.glob("journal-*")
            if path.name.removeprefix("journal-").isdigit()
        ]
        return [(number, self.journal_folder_of(number)) for number in (0, *sorted(numbers))]

    @property
    def originals_folder(self) -> Path:
        return self.folder / "originals"

    @property
    def spool_folder(self) -> Path:
        return self.folder / "spool"

    @property
    def unscanned_folder(self) -> Path:
        return self.folder / "unscanned"

    @property
    def repeats_folder(self) -> Path:
        return self.folder / "repeats"

    @property
    def snapshot_file(self) -> Path:
        return self.folder / "snapshot.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What is needed to ask engines, also by who is no gate."""

    hostname: str
    dns: tuple[str, int] | None
    engines: tuple[str, ...]
    rspamd: Endpoint
    clamav: Endpoint


def read_engine_settings(environment: Mapping[str, str]) -> EngineSettings:
    """Raises ``BadSetting``."""
    read = partial(_read, environment)
    return EngineSettings(
        hostname=read("BAILEY_GATE_HOSTNAME", _own_name(), _hostname, "mx1.example.com"),
        dns=read("BAILEY_DNS", "", _dns, "127.0.0.1:53 (host:port), or empty for the system's"),
        engines=read("BAILEY_GATE_ENGINES", DEFAULT_ENGINES, _engines, "embedded,rspamd,clamav"),
        rspamd=read(
            "BAILEY_RSPAMD_SCAN", DEFAULT_RSPAMD, _endpoint, f"{DEFAULT_RSPAMD}, or a socket's path"
        ),
        clamav=read(
            "BAILEY_CLAMAV", DEFAULT_CLAMAV, _endpoint, f"{DEFAULT_CLAMAV} or 127.0.0.1:3310"
        ),
    )


def _read(
    environment: Mapping[str, str],
    variable: str,
    default: str,
    parse: Callable[[str], T],
    wanted: str,
) -> T:
    value = environment.get(variable, "").strip() or default
    try:
        return parse(value)
    except ValueError:
        shown = "missing" if not value else "wrong"
        raise BadSetting(f"{variable} is {shown}. It should look like: {wanted}") from None


def read_settings(environment: Mapping[str, str]) -> GateSettings:
    """Raises ``BadSetting``."""
    read = partial(_read, environment)
    milter = read(
        "BAILEY_GATE_MILTER", "", _socket, "/run/bailey/milter.sock (at most 100 characters)"
    )
    wanted = "127.0.0.1:2527 (host:port), since BAILEY_GATE_MILTER is set"
    asked = read_engine_settings(environment)
    return GateSettings(
        postfix=read("BAILEY_GATE_POSTFIX", "", _maybe_folder, "/var/lib/bailey-gateway/postfix"),
        processes=read(
            "BAILEY_GATE_PROCESSES",
            "1",
            _processes if milter is not None else _one,
            "2 (1 to 64; more than 1 only with BAILEY_GATE_MILTER)",
        ),
        milter=milter,
        reinject=read("BAILEY_GATE_REINJECT", "", _dns if milter is None else split_hop, wanted),
        name=read("BAILEY_GATE_NAME", "", _name, "gate1 (small letters, digits, hyphens)"),
        secret=read("BAILEY_GATE_SECRET", "", _secret, "64 or more hex digits, as ingest knows it"),
        folder=read(
            "BAILEY_GATE_DIR", "", _folder, "/var/lib/bailey/gate1 (a folder we may write)"
        ),
        listen=read("BAILEY_GATE_LISTEN", DEFAULT_LISTEN, _listen, "127.0.0.1:2525 (host:port)"),
        hostname=asked.hostname,
        ingest_url=read("BAILEY_INGEST_URL", DEFAULT_INGEST_URL, _url, DEFAULT_INGEST_URL),
        takes_xclient=read("BAILEY_GATE_XCLIENT", "0", _flag, "1 or 0"),
        submission=read(
            "BAILEY_GATE_SUBMISSION",
            "",
            _maybe_listen,
            "0.0.0.0:587 (host:port), or empty to take no outbound mail",
        ),
        submission_tls=read(
            "BAILEY_GATE_CERTIFICATE",
            "",
            _maybe_file,
            "/etc/bailey/submission.pem (key and certificates in one file)",
        ),
        submissions=read(
            "BAILEY_GATE_SUBMISSIONS",
            "",
            _maybe_listen if environment.get("BAILEY_GATE_CERTIFICATE", "").strip() else _empty,
            "0.0.0.0:465 (host:port; needs BAILEY_GATE_CERTIFICATE), or empty for no implicit TLS",
        ),
        outgoing=read("BAILEY_GATE_OUTGOING", "", _dns, "127.0.0.1:2528 (host:port), or empty"),
        inside=read("BAILEY_GATE_INSIDE", "", _dns, "127.0.0.1:2529 (host:port), or empty"),
        dns=asked.dns,
        engines=asked.engines,
        rspamd=asked.rspamd,
        clamav=asked.clamav,
        rspamd_learn=read(
            "BAILEY_RSPAMD_LEARN",
            "",
            _optional_endpoint,
            "127.0.0.1:11334, or empty to teach nothing",
        ),
        rspamd_password=read("BAILEY_RSPAMD_PASSWORD", "", _plain, "the controller's password"),
    )


def settings_or_exit(environment: Mapping[str, str]) -> GateSettings:
    """Exits with 2 and one line on the error output where a setting is wrong."""
    try:
        return read_settings(environment)
    except BadSetting as error:
        sys.stderr.write(f"bailey gate: {error}\n")
        raise SystemExit(EXIT_BAD_SETTING) from None


def _name(value: str) -> str:
    if not _NAME.match(value):
        raise ValueError
    return value


def _secret(value: str) -> bytes:
    secret = bytes.fromhex(value)
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError
    return secret


def _folder(value: str) -> Path:
    folder = Path(value)
    if not value or (folder.exists() and not folder.is_dir()):
        raise ValueError
    return folder.absolute()


def _listen(value: str) -> tuple[str, int]:
    """Port 0 takes a free one."""
    host, colon, port = value.rpartition(":")
    if colon and host and port == "0":
        return host.strip("[]"), 0
    return split_hop(value)


def _maybe_listen(value: str) -> tuple[str, int] | None:
    return _listen(value) if value else None


def _empty(value: str) -> None:
    if value:
        raise ValueError


def _maybe_file(value: str) -> Path | None:
    if not value:
        return None
    if not Path(value).is_file():
        raise ValueError
    return Path(value).absolute()


def _maybe_folder(value: str) -> Path | None:
    return _folder(value) if value else None


def _one(value: str) -> int:
    if value != "1":
        raise ValueError
    return 1


def _processes(value: str) -> int:
    count = int(value)
    if not 1 <= count <= MAX_PROCESSES:
        raise ValueError
    return count


def _socket(value: str) -> Path | None:
    if not value:
        return None
    if not value.startswith("/") or len(os.fsencode(value)) > MAX_SOCKET_BYTES:
        raise ValueError
    return Path(value)


def _hostname(value: str) -> str:
    if not _HOSTNAME.match(value):
        raise ValueError
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError
    return value.rstrip("/")


def _flag(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError
    return value == "1"


def _dns(value: str) -> tuple[str, int] | None:
    return split_hop(value) if value else None


def _engines(value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    if not all(name in ENGINES for name in names):
        raise ValueError
    return names


def _endpoint(value: str) -> Endpoint:
    return Path(value) if value.startswith("/") else split_hop(value)


def _optional_endpoint(value: str) -> Endpoint | None:
    return _endpoint(value) if value else None


def _plain(value: str) -> str:
    """One line of a request's head."""
    if not value.isascii() or not value.isprintable():
        raise ValueError
    return value


def _own_name() -> str:
    """The host's name, if it is one that SMTP allows."""
    name = socket.gethostname()
    return name if _HOSTNAME.match(name) else "localhost"
