"""What this installation consists of: ports, addresses, the environment of each child.

A child gets only what it needs: a web process never sees the migrator's login, the gate sees none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from console.launch.process import Command

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
QUEUES = (
    "intake,sync,scan,remediate,regroup,ledger,respond,report,notify,policy,held,digest,retain,"
    "onboard,outbound,compare,look,access,reported,lookback,again,accounts,nightly"
)
LOGIN_URLS = ("DATABASE_URL_CONSOLE", "DATABASE_URL_PORTAL", "DATABASE_URL_WORKER")
# Of Django's and the gate's settings: not ours to choose, only to hand on where they are set.
HANDED_ON = (
    *("BAILEY_HOSTS", "BAILEY_OUTGOING_HOSTS", "BAILEY_OTHER_CLOUD", "BAILEY_DEBUG"),
    *("BAILEY_SMTP_URL", "BAILEY_MAIL_FROM", "BAILEY_RELEASE_LOOK_AFTER_S", "BAILEY_IMAP_IDLE"),
    *("BAILEY_GATE_SUBMISSION", "BAILEY_GATE_SUBMISSIONS", "BAILEY_GATE_CERTIFICATE"),
    "BAILEY_GATE_ENGINES",
    *("BAILEY_RSPAMD_SCAN", "BAILEY_RSPAMD_LEARN", "BAILEY_RSPAMD_PASSWORD", "BAILEY_CLAMAV"),
)
# variable -> port where it is not set
WEB_PORTS = {
    "CONSOLE_PORT": 8000,
    "PORTAL_PORT": 8001,
    "INGEST_PORT": 8002,
    "GATE_PORT": 2525,
    "SUBMISSION_PORT": 2587,
    "SUBMISSIONS_PORT": 2465,
}
# What stands where others may reach it: GATE_HOST.
GATE_PORTS = ("GATE_PORT", "SUBMISSION_PORT", "SUBMISSIONS_PORT")
SANDBOX_PORTS = {
    "SANDBOX_HTTPS_PORT": 8443,
    "SANDBOX_HTTP_PORT": 8004,
    "SANDBOX_SMTP_PORT": 2526,
    "SANDBOX_DNS_PORT": 5300,
}


class WrongSetting(Exception):
    """A variable that can't be used; the words name it and say what it should look like."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The choices of one start."""

    var: Path
    has_demo: bool
    has_demo_mail: bool
    ports: Mapping[str, int]
    outside: Mapping[str, str]
    gate_host: str = HOST
    has_full_gateway: bool = False

    def port(self, variable: str) -> int:
        return self.ports[variable]

    def url(self, variable: str) -> str:
        return f"http://{HOST}:{self.ports[variable]}"

    def address(self, variable: str) -> str:
        return f"{HOST}:{self.ports[variable]}"

    def gate_address(self, variable: str) -> str:
        return f"{self.gate_host}:{self.ports[variable]}"

    @property
    def certificate(self) -> Path:
        """Of the embedded gate's submission, where none is given."""
        return self.var / "submission.pem"

    @property
    def has_own_database(self) -> bool:
        return not self.outside.get("DATABASE_URL")

    @property
    def has_own_broker(self) -> bool:
        return not self.outside.get("REDIS_URL")

    @property
    def logs(self) -> Path:
        return self.var / "log"


def read_plan(environment: Mapping[str, str], var: Path) -> Plan:
    """The plan from the environment. Raises WrongSetting."""
    has_demo = _flag(environment, "DEMO")
    has_demo_mail = has_demo and _flag(environment, "DEMO_MAIL")
    has_full_gateway = _gateway(environment)
    wanted = WEB_PORTS | (SANDBOX_PORTS if has_demo else {})
    if has_full_gateway:
        wanted |= part_ports()
    ports = {variable: _port(environment, variable, port) for variable, port in wanted.items()}
    for variable, port in ports.items():
        twin = next(other for other in ports if ports[other] == port)
        if twin != variable:
            raise WrongSetting(f"{variable} and {twin} are both {port}; each needs its own port")
    if environment.get("DATABASE_URL"):
        for variable in LOGIN_URLS:
            if not environment.get(variable):
                raise WrongSetting(
                    f"DATABASE_URL is set, so {variable} must be, too: like "
                    "postgresql://user:password@db.example:5432/bailey"
                )
    gate_host = environment.get("GATE_HOST", HOST)
    return Plan(var, has_demo, has_demo_mail, ports, dict(environment), gate_host, has_full_gateway)


def part_ports() -> dict[str, int]:
    """Of the parts of a full gateway."""
    # Not above: the parts are built with what this package has.
    from console.gateway_parts.registry import PARTS

    return {variable: port for part in PARTS for variable, port in part.ports.items()}


def _gateway(environment: Mapping[str, str]) -> bool:
    """True: Postfix and its parts; False: the gate takes mail itself."""
    value = environment.get("GATEWAY") or "embedded"
    if value not in ("embedded", "full"):
        raise WrongSetting(f"GATEWAY is {value!r}; it should be embedded or full")
    return value == "full"


def _flag(environment: Mapping[str, str], variable: str) -> bool:
    value = environment.get(variable, "1").strip()
    if value not in ("0", "1"):
        raise WrongSetting(f"{variable} is {value!r}; it should be 0 or 1")
    return value == "1"


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    value = environment.get(variable) or str(default)
    if not value.isascii() or not value.isdigit() or not 0 < int(value) < 65536:
        raise WrongSetting(f"{variable} is {value!r}; it should be a port, like {default}")
    return int(value)


def shared_environment(
    plan: Plan, secrets: Mapping[str, str], urls: Mapping[str, str]
) -> dict[str, str]:
    """What Bailey's variables are for this start; one that is set from outside wins.

    `urls` are the addresses of database and broker.
    """
    made = {
        "SECRET_KEY": secrets["SECRET_KEY"],
        "BAILEY_MASTER_KEY": secrets["BAILEY_MASTER_KEY"],
        "BAILEY_CONSOLE_URL": plan.url("CONSOLE_PORT"),
        "BAILEY_PORTAL_URL": plan.url("PORTAL_PORT"),
        "BAILEY_INGEST_URL": plan.url("INGEST_PORT"),
        "BAILEY_GATE_NAME": "gate-1",
        "BAILEY_GATE_SECRET": secrets["BAILEY_GATE_SECRET"],
        "BAILEY_GATE_DIR": str(plan.var / "gate"),
        "BAILEY_GATE_LISTEN": plan.gate_address("GATE_PORT"),
        "BAILEY_SUBMISSION_AT": plan.gate_address("SUBMISSION_PORT"),
        "BAILEY_SUBMISSIONS_AT": plan.gate_address("SUBMISSIONS_PORT"),
        # Without the demo the machine's own name, if none is given.
        "BAILEY_GATE_HOSTNAME": "gate.bailey.example" if plan.has_demo else "",
        "BAILEY_GATE_XCLIENT": "1" if plan.has_demo else "0",
        "BAILEY_DNS": "",
        "BAILEY_GATE_PROCESSES": "2" if plan.has_full_gateway else "1",
    }
    if not plan.has_full_gateway:  # there Postfix has these ports
        made |= {
            "BAILEY_GATE_SUBMISSION": plan.gate_address("SUBMISSION_PORT"),
            "BAILEY_GATE_SUBMISSIONS": plan.gate_address("SUBMISSIONS_PORT"),
            "BAILEY_GATE_CERTIFICATE": str(plan.certificate),
        }
    if plan.has_demo:
        made |= {
            "BAILEY_SANDBOX_DIR": str(plan.var / "sandbox"),
            "BAILEY_SANDBOX_HTTPS": plan.address("SANDBOX_HTTPS_PORT"),
            "BAILEY_OUTGOING_HOSTS": plan.address("SANDBOX_HTTPS_PORT"),
            # Browsers go to its plain door: they do not know its authority.
            "BAILEY_OTHER_CLOUD": f"https://{plan.address('SANDBOX_HTTPS_PORT')}"
            f" http://{plan.address('SANDBOX_HTTP_PORT')} {plan.var / 'sandbox' / 'ca.pem'}",
            "BAILEY_SANDBOX_HTTP": plan.address("SANDBOX_HTTP_PORT"),
            "BAILEY_SANDBOX_SMTP": plan.address("SANDBOX_SMTP_PORT"),
            "BAILEY_SANDBOX_DNS": plan.address("SANDBOX_DNS_PORT"),
            # The demo's senders live in the sandbox's DNS only.
            "BAILEY_DNS": plan.address("SANDBOX_DNS_PORT"),
        }
    made |= {name: plan.outside[name] for name in HANDED_ON if plan.outside.get(name)}
    chosen = {name: plan.outside.get(name) or value for name, value in made.items()}
    if plan.has_demo and (more := plan.outside.get("BAILEY_OUTGOING_HOSTS")):
        # The demo's cloud stays within reach.
        chosen["BAILEY_OUTGOING_HOSTS"] = f"{plan.address('SANDBOX_HTTPS_PORT')},{more}"
    return chosen | dict(urls) | {"BAILEY_VAR": str(plan.var)}


class Commands:
    """The command of each child."""

    def __init__(self, plan: Plan, shared: Mapping[str, str]) -> None:
        self._plan = plan
        self._shared = shared

    def _environment(self, *kinds: str) -> dict[str, str]:
        """The terminal's environment, and of ours what begins with one of `kinds`."""
        secret = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "BAILEY_")
        plain = {name: value for name, value in os.environ.items() if not name.startswith(secret)}
        ours = {name: value for name, value in self._shared.items() if name.startswith(kinds)}
        return plain | ours | {"PYTHONUNBUFFERED": "1", "BAILEY_VAR": str(self._plan.var)}

    def _python(self, name: str, *arguments: str, env: Mapping[str, str]) -> Command:
        return Command(
            name=name,
            argv=(sys.executable, *arguments),
            env=env,
            cwd=ROOT,
            log=self._plan.logs / f"{name}.log",
        )

    def _django(self, surface: str, login: str) -> dict[str, str]:
        """For a Django process with one database login."""
        kinds = ("REDIS_URL", "SECRET_KEY", "BAILEY_")
        env = self._environment(*kinds) | {"BAILEY_SURFACE": surface}
        # Set, though empty: else the process would look up the migrator's in environment.json.
        return env | {"DATABASE_URL": "", login: self._shared[login]}

    def web(self, surface: str) -> Command:
        """uvicorn for `console`, `portal` or `ingest`."""
        login = "WORKER" if surface == "ingest" else surface.upper()
        port = str(self._plan.port(f"{surface.upper()}_PORT"))
        options = ["--lifespan", "off", "--no-access-log", "--timeout-graceful-shutdown", "3"]
        return self._python(
            surface,
            *("-m", "uvicorn", "console.asgi:application", "--host", HOST, "--port", port),
            *options,
            env=self._django(surface, f"DATABASE_URL_{login}"),
        )

    def worker(self) -> Command:
        options = ["-P", "threads", "-c", "4", "-Q", QUEUES, "--without-gossip", "--without-mingle"]
        env = self._django("worker", "DATABASE_URL_WORKER")
        return self._python("worker", "-m", "celery", "-A", "console", "worker", *options, env=env)

    def beat(self) -> Command:
        env = self._django("worker", "DATABASE_URL_WORKER")
        return self._python("beat", "-m", "celery", "-A", "console", "beat", "--pidfile=", env=env)

    def gate(self) -> Command:
        engines = ("BAILEY_DNS", "BAILEY_RSPAMD", "BAILEY_CLAMAV")
        env = self._environment("BAILEY_GATE", "BAILEY_INGEST", *engines)
        return self._python("gate", "-m", "seg_bridge.gate", env=env)

    def ship(self) -> Command:
        env = self._environment("BAILEY_GATE", "BAILEY_INGEST")
        return self._python("ship", "-m", "seg_bridge.gate.ship", env=env)

    def sandbox(self) -> Command:
        env = self._environment("BAILEY_SANDBOX")
        return self._python("sandbox", "-m", "api_bridge.sandbox", env=env)

    def manage(self, name: str, *arguments: str) -> Command:
        """A management command with the migrator's login."""
        env = self._environment("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "BAILEY_")
        env["BAILEY_SURFACE"] = "owner"
        return self._python(name, "manage.py", *arguments, env=env)
