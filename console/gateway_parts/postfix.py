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

MAIN = """\
# Written by Bailey at each start.  Add your own parameters in {local}/main.cf.
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {sbin}
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
syslog_name = postfix

myhostname = {hostname}
inet_protocols = {protocols}
smtpd_banner = $myhostname ESMTP
default_process_limit = 300
# Without the gate nobody answers for logins, and smtpd ends: it is started again soon.
service_throttle_time = 2s
# Nobody is trusted for his address, and nothing is delivered here.
mynetworks =
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
local_transport = error:5.1.1 No such mailbox here

# From the gate's policy.
relay_domains = lmdb:{maps}/domains
relay_recipient_maps = lmdb:{maps}/recipients
transport_maps = texthash:{local}/transport, lmdb:{maps}/transport
unknown_relay_recipient_reject_code = 550

# The gate decides; where it does not answer, the sender keeps the mail.
smtpd_milters = unix:{socket}
# Notices of our own to a client's mailbox are looked at like all mail; others go as they are.
non_smtpd_milters = unix:{notices}
internal_mail_filter_classes = bounce
milter_default_action = tempfail
milter_protocol = 6
milter_connect_timeout = 10s
milter_command_timeout = 30s
milter_content_timeout = 180s
# Which mail of the gate's is which of the queue: the gate reads it from the log.
milter_header_checks = regexp:{etc}/trace_checks

# One mail in, one mail out.
smtpd_forbid_bare_newline = normalize
smtpd_forbid_bare_newline_exclusions =
smtpd_forbid_unauth_pipelining = yes
message_strip_characters = \\0
smtp_line_length_limit = 0
header_size_limit = 1024000
strict_rfc821_envelopes = yes
allow_percent_hack = no
swap_bangpath = no
append_dot_mydomain = no
append_at_myorigin = no
local_header_rewrite_clients =
smtpd_discard_ehlo_keywords = etrn
disable_vrfy_command = yes
smtputf8_enable = yes

smtpd_helo_required = yes
# Before its first policy the gate knows no client: everything is put off.
smtpd_relay_restrictions =
  check_recipient_access pipemap:{{static:state, lmdb:{maps}/state}},
  reject_unauth_destination
smtpd_sender_restrictions = check_sender_access regexp:{etc}/odd_senders
smtpd_recipient_restrictions = reject_non_fqdn_recipient,
  check_recipient_access regexp:{etc}/odd_recipients,
  reject_unauth_destination, reject_unlisted_recipient
smtpd_data_restrictions = reject_unauth_pipelining

# Nobody takes more than his share.
message_size_limit = {mail_bytes}
mailbox_size_limit = 0
smtpd_recipient_limit = 200
smtpd_timeout = 60s
smtpd_per_request_deadline = yes
smtpd_min_data_rate = 500
smtpd_soft_error_limit = 10
smtpd_hard_error_limit = 20
smtpd_junk_command_limit = 100
smtpd_error_sleep_time = 1s
smtpd_client_connection_count_limit = 100
smtpd_client_event_limit_exceptions =
smtpd_forbidden_commands = CONNECT GET POST PUT HEAD OPTIONS regexp:{{{{/^[^A-Z]/ Bogus}}}}

smtpd_tls_security_level = may
smtpd_tls_chain_files = {tls}
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtp_tls_security_level = may
# For next hops whose certificate must be good: the authorities that this machine trusts.
tls_append_default_CA = yes
smtp_tls_loglevel = 1

# Logins of those who submit mail: the gate knows them (seg_bridge/gate/outbound/sasl.py).
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sasl}
smtpd_tls_auth_only = yes
# What clients send to others goes to their MX.
default_transport = outgoing

maximal_queue_lifetime = 5d
bounce_queue_lifetime = 1d
smtputf8_autodetect_classes = all
"""

MASTER = """\
# Written by Bailey at each start.
{host}:{port} inet n - n - - smtpd{xclient}
# From the gate itself: copies that it sends apart, and what is released.  No milter.
127.0.0.1:{reinject} inet n - n - - smtpd
  -o smtpd_milters=
  -o mynetworks=127.0.0.0/8
  -o smtpd_client_restrictions=permit_mynetworks,reject
  -o smtpd_relay_restrictions=reject_unauth_destination
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o smtpd_sender_restrictions=
  -o smtpd_data_restrictions=
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8
  -o smtpd_tls_security_level=none
  -o smtpd_client_connection_count_limit=0
  -o smtpd_timeout=300s
  -o cleanup_service_name=cleanup-own
# What clients send, with STARTTLS and with TLS from the first byte: the gate says who may send, as
# whom and to whom, and sends it on itself.
{host}:{submission} inet n - n - - smtpd{xclient}
  -o syslog_name=postfix/submission
{submitted}
{host}:{submissions} inet n - n - - smtpd{xclient}
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
{submitted}
# From the gate itself: what clients send, to anybody.  No milter.
127.0.0.1:{outgoing} inet n - n - - smtpd
  -o smtpd_milters=
  -o mynetworks=127.0.0.0/8
  -o smtpd_client_restrictions=permit_mynetworks,reject
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_sender_restrictions=
  -o smtpd_data_restrictions=
  -o smtpd_tls_security_level=none
  -o smtpd_client_connection_count_limit=0
  -o smtpd_timeout=300s
  -o cleanup_service_name=cleanup-own
# From the gate itself: what one client sends to another comes in as all mail does, by the name of
# the host that submitted it.
127.0.0.1:{inside} inet n - n - - smtpd
  -o smtpd_authorized_xclient_hosts=127.0.0.1
  -o smtpd_tls_security_level=none
  -o smtpd_client_connection_count_limit=0
  -o smtpd_timeout=300s
cleanup unix n - n - 0 cleanup
# A trace that came from outside proves nothing: only here is one believed that is in the mail.
cleanup-own unix n - n - 0 cleanup
  -o header_checks=regexp:{etc}/trace_checks
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
# To mail hosts that get nothing without TLS, and nothing without a good certificate.
relay-must unix - - n - - smtp
  -o smtp_tls_security_level=encrypt
relay-verify unix - - n - - smtp
  -o smtp_tls_security_level=verify
  -o smtp_tls_verify_cert_match=hostname
# To everybody's MX: without our own words in the mail.
outgoing unix - - n - - smtp
  -o smtp_header_checks=regexp:{etc}/own_words
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

TRACE_CHECKS = """\
/^X-Bailey-Trace: v1; k=[^;]+; t=([0-9]+); u=([0-9A-Z]{26});/ INFO bailey t=$1 u=$2
/^X-Bailey-Sent: t=([0-9]+); u=([0-9A-Z]{26})$/ INFO bailey t=$1 u=$2 outbound
"""
OWN_WORDS = """\
/^X-Bailey-/ IGNORE
"""
# Postfix wants to see a refusal in this list; the gate has decided before it is reached.
SUBMITTED = """\
  -o smtpd_milters=unix:{submission}
  -o smtpd_sasl_auth_enable=yes
  -o {{ smtpd_relay_restrictions = check_client_access static:OK, reject }}
  -o {{ smtpd_recipient_restrictions = reject_non_fqdn_recipient,
    check_recipient_access regexp:{etc}/odd_recipients }}
  -o smtpd_reject_unlisted_recipient=no"""
# What two servers could read differently: routes, quotes, literals, more than one @.
ODD_RECIPIENTS = """\
/[%!"\\[\\]\\\\()<>,;:]/ 550 5.1.3 Addresses with routes or quotes are not taken
/@.*@/ 550 5.1.3 Addresses with routes or quotes are not taken
"""
ODD_SENDERS = """\
/^[^@<>]+$/ 501 5.1.7 The sender's address can't be read
"""
LOCAL_TRANSPORT = """\
# Exceptions to the next hops that the console knows, one on a line:
#   acme.example    lmtp:inet:127.0.0.1:24
#   globex.example  relay:[mail.globex.example]:25
# Postfix reads it when it starts (manage.py gateway reload).
"""


NO_POLICY_YET = "state 451 4.3.5 The gateway has no policy yet\n"
TABLES = ("domains", "recipients", "transport", "state")


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
