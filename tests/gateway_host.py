"""A private Postfix for tests, by the same part that a real gateway starts, and a private Dovecot
for the clients' mail host: LMTP in, IMAP out.
"""

from __future__ import annotations

import imaplib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from console.gateway_parts import PartSettings
from console.gateway_parts.install import install
from console.gateway_parts.postfix import PostfixPart
from console.gateway_parts.prepare import find_or_install, prepare
from console.launch.ports import free_port
from console.launch.process import Command, Process, start_ready
from tests.real_engines import start_all

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
        self._processes: list[Process] = []

    @property
    def port(self) -> int:
        return self.settings.ports["GATE_PORT"]

    @property
    def pid(self) -> int:
        """Of Postfix's master, while it runs."""
        return self._processes[0].pid

    @property
    def reinject(self) -> tuple[str, int]:
        return "127.0.0.1", self.settings.ports["REINJECT_PORT"]

    def loopback(self, variable: str) -> tuple[str, int]:
        return "127.0.0.1", self.settings.ports[variable]

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
        self._processes = start_all(plan)

    def look_up(self, table: str, key: str) -> str:
        """As Postfix itself would find it; "" where it would not."""
        argv = ("postmap", "-c", self.folder / "etc", "-q", key, f"lmdb:{self.folder}/maps/{table}")
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def empty_queue(self) -> None:
        """So that no mail of one test comes to the next."""
        argv = ("postsuper", "-c", self.folder / "etc", "-d", "ALL")
        subprocess.run(argv, capture_output=True, check=True)

    def flush(self) -> None:
        """Tries what waits at once, each mail as the clerk does: there is no list by domain."""
        postqueue = ("postqueue", "-c", self.folder / "etc")
        listing = subprocess.run((*postqueue, "-j"), capture_output=True, check=True)
        for line in listing.stdout.splitlines():
            argv = (*postqueue, "-i", json.loads(line)["queue_id"])
            subprocess.run(argv, capture_output=True, check=False)

    def stop(self) -> None:
        while self._processes:
            self._processes.pop().stop()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)


DOVECOT = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
mail_fsync = never
disable_plaintext_auth = no
default_login_user = dovenull
default_internal_user = dovecot
first_valid_uid = 1
mail_uid = nobody
mail_gid = nogroup
mail_location = maildir:{root}/mail/%u
auth_username_chars =
{more}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={root}/mail/%u allow_all_users=yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp_port}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


class DovecotHost:
    """Takes mail for every address by LMTP and shows it by IMAP, password ``secret``.

    ``more`` is further configuration; with a certificate in it IMAP has TLS, at ``imaps_port`` too.
    Raises ``PartMissing``.
    """

    def __init__(self, more: str = "ssl = no") -> None:
        install(("dovecot-imapd", "dovecot-lmtpd"))
        self.root = Path(tempfile.mkdtemp(prefix="bailey-dovecot-"))
        self.root.chmod(0o755)
        (self.root / "mail").mkdir()
        shutil.chown(self.root / "mail", "nobody", "nogroup")
        self.lmtp_port, self.imap_port, self.imaps_port = free_port(), free_port(), free_port()
        self.more = more
        self._process: Process | None = None

    def start(self) -> None:
        config = self.root / "dovecot.conf"
        imaps_port = 0 if self.more == "ssl = no" else self.imaps_port
        ports = {"lmtp_port": self.lmtp_port, "imap_port": self.imap_port}
        config.write_text(
            DOVECOT.format(root=self.root, more=self.more, imaps_port=imaps_port, **ports)
        )
        command = Command(
            name="dovecot",
            argv=("/usr/sbin/dovecot", "-F", "-c", str(config)),
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            log=self.root / "out.log",
        )
        self._process = start_ready(command, lambda _: self._answers())

    def _answers(self) -> bool:
        try:
            imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=2).logout()
        except (OSError, imaplib.IMAP4.error):
            return False
        return True

    def mails(self, address: str) -> list[bytes]:
        """What lies in this mailbox, oldest first."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=10) as imap:
            imap.login(address, "secret")
            imap.select("INBOX", readonly=True)
            _, found = imap.search(None, "ALL")
            parts = [imap.fetch(number, "(RFC822)")[1][0] for number in found[0].split()]
        return [part[1] for part in parts if isinstance(part, tuple)]

    def remove(self) -> None:
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self.root, ignore_errors=True)
