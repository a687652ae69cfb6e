"""A private Rspamd with a store of its own, by the overlay in deploy/rspamd; /etc/rspamd gives its
defaults and is not touched.

conf     what Bailey writes at each start
local    what an operator adds: files in local.d and override.d replace ours of the same name
data     Rspamd's own: compiled rules, statistics
store    what it has learned, in a Valkey
scan     the socket at which the gate asks: a connection for each mail costs less than by loopback

Loopback and that socket only: the scanning worker asks for no password, and its `File:` header
would read local files.  The controller, which learns, takes nothing without its password, from
nobody.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from console.launch.keys import write_private
from console.launch.plan import ROOT
from console.launch.process import Command, Process
from console.launch.valkeylocal import LocalValkey, ValkeyMissing

OVERLAY = ROOT / "deploy" / "rspamd"
HOST = "127.0.0.1"
PROGRAM = "usr/bin/rspamd"
# The gate's own patience is longer: what Rspamd can't finish it must say itself ("soft reject").
TASK_TIMEOUT_S = 8
# A learned mail costs some 1,400 keys; what is least likely to be needed again goes first.
STORE_BYTES = 512 * 1024 * 1024
WORKERS = 2
LONGEST_SOCKET = 107  # bytes of a path (unix(7))


@dataclass(frozen=True, slots=True)
class RspamdPart:
    """`unpacked` is where its packages lie that are not installed; `is_durable` False (tests) gives
    up what was learned when the machine loses power.
    """

    unpacked: Path = field(default_factory=lambda: unpacked_folder("rspamd"))
    is_durable: bool = True

    name: ClassVar[str] = "rspamd"
    is_needed: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("rspamd",)
    ports: ClassVar[Mapping[str, int]] = {
        "RSPAMD_PORT": 11333,
        "RSPAMD_LEARN_PORT": 11334,
        "RSPAMD_FUZZY_PORT": 11335,
        "RSPAMD_STORE_PORT": 11379,
    }

    def find(self) -> str:
        programs = self._programs()
        return f"{programs.version(PROGRAM)} in {programs.root}"

    def plan(self, settings: PartSettings) -> PartPlan:
        programs = self._programs()
        account = account_for(settings.folder)
        folder = settings.folder_of(self.name)
        keys = _keys(folder / "keys.json")
        store = self._store(settings, keys["store"])
        variables = tuple(f"--var={name}={value}" for name, value in _variables(programs, folder))
        main = programs.path("etc/rspamd/rspamd.conf")
        rspamd = Command(
            name=self.name,
            argv=(programs.path(PROGRAM), "--no-fork", "--config", main, *variables),
            env=programs.environment(),
            log=settings.logs / "rspamd.log",
            account=account,
            # Killed, it would leave its workers behind, and they would keep the ports.
            death_signal=signal.SIGTERM,
        )
        files = {**dict(_files(settings, keys)), **dict(_added(folder / "local"))}
        conf = folder / "conf"
        return PartPlan(
            folders=(
                PlannedFolder(folder),
                *(PlannedFolder(folder / "local" / each) for each in ("", "local.d", "override.d")),
                *(PlannedFolder(conf / each, account, 0o700) for each in _folders(files)),
                *(PlannedFolder(folder / each, account, 0o700) for each in ("data", "store")),
                PlannedFolder(folder / "scan", account),
            ),
            files=(
                PlannedFile(store.config, store.configuration(), 0o600, account),
                *(PlannedFile(conf / name, text, 0o600, account) for name, text in files.items()),
            ),
            check=programs.argv("usr/bin/rspamadm", *variables, "configtest", "-c", main),
            programs=(
                Program(replace(store.command(), account=account), lambda _: store.is_ready()),
                Program(rspamd, _answers(settings.ports)),
            ),
            gate={
                "BAILEY_RSPAMD_SCAN": _socket(settings)
                or f"{HOST}:{settings.ports['RSPAMD_PORT']}",
                "BAILEY_RSPAMD_LEARN": f"{HOST}:{settings.ports['RSPAMD_LEARN_PORT']}",
                "BAILEY_RSPAMD_PASSWORD": keys["controller"],
            },
        )

    def _programs(self) -> Programs:
        found = find_programs(PROGRAM, self.unpacked)
        if found is None:
            raise PartMissing(
                "Rspamd is not here: apt-get install --no-install-recommends rspamd, or without "
                "root python -m console.gateway_parts.debian rspamd"
            )
        return found

    def _store(self, settings: PartSettings, password: str) -> LocalValkey:
        try:
            return LocalValkey(
                settings.folder_of(self.name) / "store",
                name="rspamd-store",
                port=settings.ports["RSPAMD_STORE_PORT"],
                password=password,
                log=settings.logs / "rspamd-store.log",
                is_durable=self.is_durable,
                cache_bytes=STORE_BYTES,
            )
        except ValkeyMissing as error:
            raise PartMissing(f"Rspamd's store: {error}") from error


def _keys(path: Path) -> dict[str, str]:
    """The passwords of store and controller, made once."""
    if not path.exists():
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        made = {name: secrets.token_hex(24) for name in ("store", "controller")}
        write_private(path, json.dumps(made) + "\n")
    known: dict[str, str] = json.loads(path.read_text())
    return known


def _variables(programs: Programs, folder: Path) -> Iterator[tuple[str, Path]]:
    yield from programs.rspamd_folders().items()
    yield "LOCAL_CONFDIR", folder / "conf"
    for name in ("DBDIR", "RUNDIR", "LOGDIR"):
        yield name, folder / "data"


def _answers(ports: Mapping[str, int]) -> Callable[[Process], bool]:
    """Both the scanner and the controller."""

    def is_ready(_: Process) -> bool:
        return all(_pongs(ports[name]) for name in ("RSPAMD_PORT", "RSPAMD_LEARN_PORT"))

    return is_ready


def _pongs(port: int) -> bool:
    link = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        link.request("GET", "/ping")
        return link.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()


# Configuration


def _folders(names: Mapping[str, str]) -> list[str]:
    return ["", *sorted({str(Path(name).parent) for name in names} - {"."})]


def _added(local: Path) -> Iterator[tuple[str, str]]:
    for folder in ("local.d", "override.d"):
        for path in sorted((local / folder).glob("*")):
            yield f"{folder}/{path.name}", path.read_text()


def _files(settings: PartSettings, keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Names below LOCAL_CONFDIR and their content."""
    yield "rspamd.local.lua", (OVERLAY / "rspamd.local.lua").read_text()
    for folder in ("local.d", "override.d"):
        for path in sorted((OVERLAY / folder).iterdir()):
            yield f"{folder}/{path.name}", path.read_text()
    yield "override.d/options.inc", _options(settings)
    yield "override.d/logging.inc", 'type = "console";\nlevel = "warning";\n'
    store = f"{HOST}:{settings.ports['RSPAMD_STORE_PORT']}"
    yield (
        "local.d/redis.conf",
        (f'servers = "{store}";\npassword = "{keys["store"]}";\ntimeout = 1s;\n'),
    )
    yield "override.d/fuzzy_check.conf", _fuzzy_check(settings.ports["RSPAMD_FUZZY_PORT"])
    yield from _workers(settings, keys)


def _options(settings: PartSettings) -> str:
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


def _fuzzy_check(port: int) -> str:
    """One storage of our own, in place of the one on the Internet.  The flags are those of
    seg_bridge/engines/rspamd/learning.py.
    """
    return f"""min_bytes = 300;
timeout = 1s;
retransmits = 1;
rule = {{
  "gate" {{
    algorithm = "mumhash";
    servers = "{HOST}:{port}";
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


def _socket(settings: PartSettings) -> str:
    """Where the gate asks; "": in so long a folder no socket can be."""
    path = str(settings.folder_of(RspamdPart.name) / "scan" / "scan.sock")
    return path if len(os.fsencode(path)) <= LONGEST_SOCKET else ""


def _workers(settings: PartSettings, keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    def socket(variable: str) -> str:
        return f'bind_socket = "{HOST}:{settings.ports[variable]}";\n'

    scan = _socket(settings)
    # Whoever is on this machine may ask by loopback too.
    also = f'bind_socket = "{scan} mode=0666";\n' if scan else ""
    yield "override.d/worker-normal.inc", socket("RSPAMD_PORT") + also + f"count = {WORKERS};\n"
    yield (
        "override.d/worker-controller.inc",
        socket("RSPAMD_LEARN_PORT")
        + f'password = "{keys["controller"]}";\nenable_password = "{keys["controller"]}";\n'
        "secure_ip = [];\n",
    )
    yield "override.d/worker-proxy.inc", "enabled = false;\n"
    yield (
        "override.d/worker-fuzzy.inc",
        # A hash that was just learned must be found by the next mail.
        socket("RSPAMD_FUZZY_PORT") + 'count = 1;\nbackend = "redis";\nsync = 1s;\nexpire = 90d;\n'
        f'allow_update = ["{HOST}"];\n',
    )


PART = RspamdPart()
