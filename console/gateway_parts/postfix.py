"""A private Postfix in front of the gate, with all that is its own in one folder.

etc          main.cf, master.cf, the certificate; rewritten at each start
local        what an operator adds: transport, main.cf
maps         domains, recipients and next hops, written by the gate (seg_bridge/gate/maps.py)
desk         notes between the gate and the clerk of the queue (clerk.py)
log          mail.log, read by the gate
queue, data  Postfix's own

Postfix starts as root and gives its rights away.  Parameters:
https://www.postfix.org/postconf.5.html (3.7, read 2026-11-22).
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from console.gateway_parts import (
    PartMissing,
    PartPlan,
    PartSettings,
    PlannedFile,
    PlannedFolder,
    Program,
)
from console.gateway_parts.certificate import self_signed
from console.gateway_parts.postfix_texts import (
    LOCAL_TRANSPORT,
    MAIN,
    MASTER,
    NO_POLICY_YET,
    ODD_RECIPIENTS,
    ODD_SENDERS,
    OWN_WORDS,
    SUBMITTED,
    TABLES,
    TRACE_CHECKS,
)
from console.launch.account import Account
from console.launch.process import Command, Process

ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 7)
_SBIN = "/usr/sbin"
_DAEMONS = ("/usr/lib/postfix/sbin", "/usr/libexec/postfix")
LOG_BYTES = 50 * 1024 * 1024
LOGS_KEPT = 10
MAIL_BYTES = 40 * 1024 * 1024  # as seg_bridge.gate.limits.FrontLimits

_PARAMETER = re.compile(r"^([a-z][a-z0-9_]*)[ \t]*=", re.MULTILINE)


class PostfixPart:
    name = "postfix"
    is_needed = True
    packages = ("postfix", "postfix-lmdb")
    ports: Mapping[str, int] = {
        "GATE_PORT": 2525,
        "REINJECT_PORT": 2527,
        "OUTGOING_PORT": 2528,
        "INSIDE_PORT": 2529,
        "SUBMISSION_PORT": 2587,
        "SUBMISSIONS_PORT": 2465,
    }

    def find(self) -> str:
        daemons = _daemons()
        if daemons is None or not Path(_SBIN, "postfix").exists():
            raise PartMissing("Postfix is not installed (apt-get install postfix postfix-lmdb)")
        if os.geteuid() != 0:
            raise PartMissing("Postfix starts as root only; without root the embedded gate serves")
        _owner()
        return f"Postfix {_version()} in {daemons}"

    def plan(self, settings: PartSettings) -> PartPlan:
        self.find()
        folder = settings.folder_of(self.name)
        etc, local, maps = folder / "etc", folder / "local", folder / "maps"
        owner = settings.gate_account
        return PartPlan(
            folders=(
                *map(PlannedFolder, (folder, etc, local, folder / "log", folder / "queue")),
                PlannedFolder(folder / "data", _owner(), 0o700),
                PlannedFolder(maps, owner),
                PlannedFolder(folder / "desk"),
                PlannedFolder(folder / "desk" / "wishes", owner, 0o700),
                PlannedFolder(folder / "desk" / "answers"),
                PlannedFolder(settings.gate_folder, owner),
            ),
            files=(
                PlannedFile(etc / "main.cf", _main(settings, folder)),
                PlannedFile(etc / "master.cf", _master(settings, etc)),
                PlannedFile(etc / "trace_checks", TRACE_CHECKS),
                PlannedFile(etc / "own_words", OWN_WORDS),
                PlannedFile(etc / "odd_recipients", ODD_RECIPIENTS),
                PlannedFile(etc / "odd_senders", ODD_SENDERS),
                PlannedFile(local / "transport", LOCAL_TRANSPORT, is_kept=True),
                # Postfix would make it readable by root alone, and the gate reads it.
                PlannedFile(folder / "log" / "mail.log", "", 0o640, owner, is_kept=True),
                *_certificate(etc, settings.hostname),
                *(
                    PlannedFile(
                        maps / name, NO_POLICY_YET * (name == "state"), owner=owner, is_kept=True
                    )
                    for name in TABLES
                ),
            ),
            prepare=((f"{_SBIN}/postmap", "-c", str(etc), *(f"lmdb:{maps}/{n}" for n in TABLES)),),
            check=(f"{_SBIN}/postfix", "-c", str(etc), "check"),
            programs=(self._program(settings, etc), self._clerk(settings, folder)),
            gate={
                "BAILEY_GATE_MILTER": str(socket_path(settings)),
                "BAILEY_GATE_REINJECT": f"127.0.0.1:{settings.ports['REINJECT_PORT']}",
                "BAILEY_GATE_OUTGOING": f"127.0.0.1:{settings.ports['OUTGOING_PORT']}",
                "BAILEY_GATE_INSIDE": f"127.0.0.1:{settings.ports['INSIDE_PORT']}",
                "BAILEY_GATE_POSTFIX": str(folder),
            },
        )

    def _program(self, settings: PartSettings, etc: Path) -> Program:
        command = Command(
            name=self.name,
            # Not by `postfix start-fg`: its shell would be our child and the master nobody's.
            argv=(f"{_daemons()}/master", "-c", str(etc), "-s"),
            # The gate reads the log's times as UTC.
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            log=settings.logs / "postfix.log",
            own_session=True,
            death_signal=signal.SIGTERM,
        )
        ports = (settings.ports["GATE_PORT"], settings.ports["REINJECT_PORT"])
        log = settings.folder_of(self.name) / "log" / "mail.log"
        return Program(command, _listens(settings.host, ports), partial(rotate_log, log, etc))

    def _clerk(self, settings: PartSettings, folder: Path) -> Program:
        """Only root may list and change the queue of an instance that the system does not know."""
        command = Command(
            name="clerk",
            argv=(sys.executable, "-m", "console.gateway_parts.clerk", str(folder)),
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            cwd=ROOT,
            log=settings.logs / "clerk.log",
        )
        return Program(command, lambda process: "ready" in process.log_since_start())


def _main(settings: PartSettings, folder: Path) -> str:
    local = folder / "local"
    theirs, ours = local / "tls.pem", folder / "etc" / "tls.pem"
    own = local / "main.cf"
    text = MAIN.format(
        folder=folder,
        etc=folder / "etc",
        local=local,
        maps=folder / "maps",
        tls=theirs if theirs.exists() else ours,
        socket=socket_path(settings),
        notices=socket_path(settings, "notices"),
        sasl=socket_path(settings, "sasl"),
        hostname=settings.hostname,
        sbin=_SBIN,
        daemons=_daemons(),
        protocols="all" if ":" in settings.host else "ipv4",
        mail_bytes=MAIL_BYTES,
    )
    return merge_parameters(text, own.read_text()) if own.exists() else text


def merge_parameters(ours: str, theirs: str) -> str:
    """``main.cf`` with each parameter once: what the operator says instead of what we say."""
    named = set(_PARAMETER.findall(theirs))
    kept, is_theirs = [], False
    for line in ours.splitlines(keepends=True):
        match = _PARAMETER.match(line)
        if match is not None or line.startswith("#"):
            is_theirs = match is not None and match[1] in named
        if not is_theirs:
            kept.append(line)
    return "".join(kept) + "\n# From local/main.cf.\n" + theirs


def _master(settings: PartSettings, etc: Path) -> str:
    # For demo and tests: a local program says which host really sent the mail.
    xclient = "\n  -o smtpd_authorized_xclient_hosts=127.0.0.1"
    return MASTER.format(
        etc=etc,
        host=f"[{settings.host}]" if ":" in settings.host else settings.host,
        port=settings.ports["GATE_PORT"],
        reinject=settings.ports["REINJECT_PORT"],
        outgoing=settings.ports["OUTGOING_PORT"],
        inside=settings.ports["INSIDE_PORT"],
        submission=settings.ports["SUBMISSION_PORT"],
        submissions=settings.ports["SUBMISSIONS_PORT"],
        submitted=SUBMITTED.format(submission=socket_path(settings, "submission"), etc=etc),
        xclient=xclient if settings.takes_xclient else "",
    )


def _certificate(etc: Path, hostname: str) -> list[PlannedFile]:
    path = etc / "tls.pem"
    return [] if path.exists() else [PlannedFile(path, self_signed(hostname), 0o600)]


def rotate_log(log: Path, etc: Path) -> None:
    """Puts a mail log aside that has grown large; the gate reads it to its end.

    Postfix's own logrotate would pack it away at once.
    """
    if not log.exists() or log.stat().st_size <= LOG_BYTES:
        return
    known = log.stat()
    log.rename(log.with_name(f"{log.name}.{time.time_ns()}"))
    log.touch(mode=0o600)
    os.chown(log, known.st_uid, known.st_gid)
    log.chmod(known.st_mode & 0o777)
    subprocess.run((f"{_SBIN}/postfix", "-c", str(etc), "reload"), capture_output=True, check=False)
    for old in sorted(log.parent.glob(f"{log.name}.*"))[:-LOGS_KEPT]:
        old.unlink()


def socket_path(settings: PartSettings, purpose: str = "milter") -> Path:
    """The gate makes the others beside the milter's: ``submission``, ``sasl``, ``notices``."""
    return settings.gate_folder / f"{purpose}.sock"


def _listens(host: str, ports: tuple[int, ...]) -> Callable[[Process], bool]:
    hosts = ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), "127.0.0.1")  # noqa: S104

    def is_ready(_: Process) -> bool:
        try:
            return all(
                _greeting((each, port)).startswith(b"220")
                for each, port in zip(hosts, ports, strict=True)
            )
        except OSError:
            return False

    return is_ready


def _greeting(address: tuple[str, int]) -> bytes:
    """Postfix's master takes connections before anybody is there to speak."""
    with socket.create_connection(address, timeout=1) as line:
        return line.recv(512)


def _daemons() -> str | None:
    return next((each for each in _DAEMONS if Path(each, "master").exists()), None)


def _owner() -> Account:
    try:
        entry = pwd.getpwnam("postfix")
    except KeyError:
        raise PartMissing("there is no account `postfix`: install the package again") from None
    return Account("postfix", entry.pw_uid, entry.pw_gid)


def _version() -> str:
    """Raises ``PartMissing`` for one that is too old for what we configure."""
    done = subprocess.run(
        (f"{_SBIN}/postconf", "-c", "/nonexistent", "-h", "-d", "mail_version"),
        capture_output=True,
        text=True,
        check=False,
    )
    version = done.stdout.strip()
    numbers = tuple(int(each) for each in version.split(".")[:2] if each.isdigit())
    if numbers < OLDEST:
        raise PartMissing(f"Postfix {version or '(unknown)'} is here, 3.7 or later is needed")
    return version
