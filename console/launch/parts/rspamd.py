"""Rspamd with a store of its own, by the overlay in deploy/rspamd; /etc is neither read for local
settings nor written.

Loopback only: the scanning worker asks for no password, and its `File:` header would read local
files. The controller (learning) takes nothing without its password, from nobody.
"""

from __future__ import annotations

import http.client
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from console.launch.account import unprivileged_account
from console.launch.parts import Part
from console.launch.parts.debian import Programs
from console.launch.plan import HOST, ROOT
from console.launch.process import Command, Process
from console.launch.valkeylocal import LocalValkey

OVERLAY = ROOT / "deploy" / "rspamd"
# The gate's own patience is longer: what Rspamd can't finish it must say itself ("soft reject").
TASK_TIMEOUT_S = 8
# A learned mail costs some 1,400 keys; what is least likely to be needed again goes first.
STORE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RspamdSettings:
    """`dns` None: the system's resolver. `has_internet`: block lists and maps of the Internet may
    be asked. `milter_port` None: Rspamd's own milter does not run (only a comparison needs it).
    """

    programs: Programs
    folder: Path
    logs: Path
    scan_port: int
    learn_port: int
    fuzzy_port: int
    store_port: int
    password: str
    store_password: str
    dns: tuple[str, int] | None = None
    workers: int = 2
    has_internet: bool = False
    is_durable: bool = True
    milter_port: int | None = None


def plan(settings: RspamdSettings) -> tuple[Part, ...]:
    """The store, then Rspamd itself."""
    return _store(settings), _rspamd(settings)


def variables(settings: RspamdSettings) -> dict[str, str]:
    """What a gate must be told to ask this Rspamd."""
    return {
        "BAILEY_RSPAMD_SCAN": f"{HOST}:{settings.scan_port}",
        "BAILEY_RSPAMD_LEARN": f"{HOST}:{settings.learn_port}",
        "BAILEY_RSPAMD_PASSWORD": settings.password,
    }


def _store(settings: RspamdSettings) -> Part:
    store = LocalValkey(
        settings.folder / "store",
        name="rspamd-store",
        port=settings.store_port,
        password=settings.store_password,
        log=settings.logs / "rspamd-store.log",
        is_durable=settings.is_durable,
        cache_bytes=STORE_BYTES,
    )
    return Part(
        command=replace(store.command(), account=unprivileged_account()),
        files={store.config: store.configuration()},
        is_ready=lambda _: store.is_ready(),
    )


def _rspamd(settings: RspamdSettings) -> Part:
    folder, programs = settings.folder, settings.programs
    variables = programs.rspamd_folders() | {
        "LOCAL_CONFDIR": folder / "conf",
        "DBDIR": folder / "data",
        "RUNDIR": folder / "data",
        "LOGDIR": folder / "data",
    }
    command = Command(
        name="rspamd",
        argv=(
            programs.path("usr/bin/rspamd"),
            "--no-fork",
            "--config",
            programs.path("etc/rspamd/rspamd.conf"),
            *(f"--var={name}={value}" for name, value in variables.items()),
        ),
        env=programs.environment(),
        log=settings.logs / "rspamd.log",
        account=unprivileged_account(),
        # Killed, it would leave its workers behind, and they would keep the ports.
        death_signal=signal.SIGTERM,
    )
    return Part(
        command=command,
        files={folder / "conf" / name: text for name, text in _files(settings)},
        folders=(folder / "data",),
        is_ready=lambda process: _answers(process, settings),
    )


def _answers(_: Process, settings: RspamdSettings) -> bool:
    """Both the scanner and the controller."""
    for port in (settings.scan_port, settings.learn_port):
        link = http.client.HTTPConnection(HOST, port, timeout=2)
        try:
            link.request("GET", "/ping")
            if link.getresponse().status != http.client.OK:
                return False
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()
    return True


def _files(settings: RspamdSettings) -> Iterator[tuple[str, str]]:
    """Names below LOCAL_CONFDIR and their content."""
    yield "rspamd.local.lua", (OVERLAY / "rspamd.local.lua").read_text()
    for folder, target in _static_folders(settings):
        for path in sorted((OVERLAY / folder).iterdir()):
            yield f"{target}/{path.name}", path.read_text()
    yield "override.d/options.inc", _options(settings)
    yield "override.d/logging.inc", 'type = "console";\nlevel = "warning";\n'
    yield "local.d/redis.conf", _redis(settings)
    yield "override.d/fuzzy_check.conf", _fuzzy_check(settings)
    yield from _workers(settings)


def _static_folders(settings: RspamdSettings) -> Iterator[tuple[str, str]]:
    yield "local.d", "local.d"
    yield "override.d", "override.d"
    if not settings.has_internet:
        yield "offline.d", "override.d"


def _options(settings: RspamdSettings) -> str:
    server = ""
    if settings.dns is not None:
        server = f'nameserver = ["{settings.dns[0]}:{settings.dns[1]}"]; '
    return (
        f"dns {{ {server}timeout = 1s; retransmits = 2; sockets = 16; }}\n"
        # Else senders in private networks would pass without SPF and DMARC.
        "local_addrs = [];\n"
        f"task_timeout = {TASK_TIMEOUT_S}s;\n"
        "soft_reject_on_timeout = true;\n"
    )


def _redis(settings: RspamdSettings) -> str:
    return (
        f'servers = "{HOST}:{settings.store_port}";\n'
        f'password = "{settings.store_password}";\n'
        "timeout = 1s;\n"
    )


def _fuzzy_check(settings: RspamdSettings) -> str:
    """One storage of our own, in place of the one on the Internet."""
    return f"""min_bytes = 300;
timeout = 1s;
retransmits = 1;
rule = {{
  "bailey" {{
    algorithm = "mumhash";
    servers = "{HOST}:{settings.fuzzy_port}";
    symbol = "GATE_FUZZY_UNKNOWN";
    mime_types = ["*"];
    max_score = 20.0;
    read_only = no;
    skip_unknown = yes;
    short_text_direct_hash = true;
    min_length = 64;
    fuzzy_map = {{
      GATE_FUZZY_SPAM {{ max_score = 20.0; flag = 11; }}
      GATE_FUZZY_PHISH {{ max_score = 20.0; flag = 12; }}
    }}
  }}
}}
"""


def _workers(settings: RspamdSettings) -> Iterator[tuple[str, str]]:
    yield (
        "override.d/worker-normal.inc",
        f'bind_socket = "{HOST}:{settings.scan_port}";\ncount = {settings.workers};\n',
    )
    yield (
        "override.d/worker-controller.inc",
        f'bind_socket = "{HOST}:{settings.learn_port}";\n'
        f'password = "{settings.password}";\nenable_password = "{settings.password}";\n'
        "secure_ip = [];\n",
    )
    milter = "enabled = false;\n"
    if settings.milter_port is not None:
        milter = (
            f'bind_socket = "{HOST}:{settings.milter_port}";\n'
            f'upstream "local" {{ default = yes; hosts = "{HOST}:{settings.scan_port}"; }}\n'
        )
    yield "override.d/worker-proxy.inc", milter
    yield (
        "override.d/worker-fuzzy.inc",
        f'bind_socket = "{HOST}:{settings.fuzzy_port}";\ncount = 1;\nbackend = "redis";\n'
        # A hash that was just learned must be found by the next mail.
        f'sync = 1s;\nexpire = 90d;\nallow_update = ["{HOST}"];\n',
    )
