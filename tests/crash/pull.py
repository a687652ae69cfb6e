"""`make crashloop OF=pull`: one incident's copies are pulled by workers that are killed amid it.

The worker is forked, so that SIGKILL takes it at any instruction; PostgreSQL is a real one, and the
mailboxes are a file beside it (``MailboxFile``): a move is one line, written in one call before the
worker is answered.  At the end exactly the incident's copies were moved, each once, and none of
those that have nothing to do with it.  The figures go to var/crashloop-pull.json; exit code 1: a
copy was left, moved twice, or moved without an order.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from incidents.layers import Copy, CopyState
    from tenants.models import Tenant

OUTPUT = Path(__file__).resolve().parents[2] / "var" / "crashloop-pull.json"
AT_ONCE = 1_000
# Of ten mails that are to be pulled, one beside them is not.
BESIDE = 10
LONGEST_S = 3_600.0


class MailboxFile:
    """A mailbox provider that outlives its callers: all lie in inboxes but what ``log`` says."""

    def __init__(self, log: Path) -> None:
        from incidents.words import Place

        self.log, self.inbox, self.quarantine = log, Place.INBOX, Place.QUARANTINE
        self.moved = set(moves_in(log))
        self._file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def read_state(self, copy: Copy) -> CopyState:
        from incidents.layers import CopyState

        place = self.quarantine if copy.mailbox_item_id in self.moved else self.inbox
        return CopyState(exists=True, place=place, is_read=False)

    def prepare(self, copy: Copy) -> dict[str, Any]:
        return {"place": self.inbox.value, "is_read": False}

    def pull(self, copy: Copy, undo: dict[str, Any], *, key: str) -> None:
        os.write(self._file, f"{copy.mailbox_item_id}\n".encode())
        self.moved.add(copy.mailbox_item_id)

    def close(self) -> None:
        os.close(self._file)


def moves_in(log: Path) -> Counter[str]:
    """Item → how often it was moved."""
    return Counter(log.read_text().split()) if log.exists() else Counter()


@dataclass(frozen=True, slots=True)
class Pulled:
    """``moves``: item → how often; ``killed_at``: after how many moves each worker died."""

    wanted: set[str]
    moves: Counter[str]
    killed_at: list[int]
    states: dict[str, int]
    seconds: float

    @property
    def left(self) -> int:
        return len(self.wanted - set(self.moves))

    @property
    def twice(self) -> int:
        return sum(count > 1 for count in self.moves.values())

    @property
    def astray(self) -> int:
        return len(set(self.moves) - self.wanted)

    @property
    def is_good(self) -> bool:
        is_exact = not (self.left or self.twice or self.astray)
        return is_exact and self.states == {"verified": len(self.wanted)}


def pull_with_kills(tenant: Tenant, log: Path, *, mails: int, kills: int, seed: int) -> Pulled:
    """Everything that is committed stays; nobody else works on this database."""
    chance, began_s = random.Random(seed), time.monotonic()
    wanted, job_id = _order(tenant, mails)
    points = sorted(chance.randrange(1, mails) for _ in range(kills))
    killed_at = []
    for point in points:
        with _worker(tenant, log) as pid:
            while (done := moves_in(log).total()) < point and _is_running(pid):
                time.sleep(0.002)
            time.sleep(chance.random() * 0.02)
            if _is_running(pid):
                os.kill(pid, signal.SIGKILL)
                killed_at.append(done)
        _time_passes(tenant)
    with _worker(tenant, log) as pid:
        until_s = time.monotonic() + LONGEST_S
        while _is_running(pid) and time.monotonic() < until_s:
            time.sleep(0.01)
    return Pulled(
        wanted, moves_in(log), killed_at, _states(tenant, job_id), time.monotonic() - began_s
    )


def _order(tenant: Tenant, mails: int) -> tuple[set[str], Any]:
    """A pull of one incident with so many copies; others lie beside it."""
    from incidents.correlation import make_sense_of_backlog
    from incidents.intake import record
    from incidents.models import Incident
    from incidents.remediation import pull_incident
    from incidents.words import Verdict
    from tenants.audit import BAILEY
    from tests.factories import let_bailey_act, mailbox_saw

    let_bailey_act(tenant)
    wanted: set[str] = set()
    seen = []
    for number in range(mails):
        whom = f"u{number}@{tenant.slug}.example"
        seen.append(mailbox_saw(tenant, whom, item=f"bad{number}", verdict=Verdict.PHISH))
        wanted.add(f"bad{number}")
        if number % BESIDE == 0:
            other = {"internet_message_id": "<2@x.example>", "fingerprint": "e" * 32}
            seen.append(mailbox_saw(tenant, whom, item=f"good{number}", trace_ulid="", **other))
    for first in range(0, len(seen), AT_ONCE):
        with _scope(tenant):
            record(seen[first : first + AT_ONCE])
            make_sense_of_backlog(tenant)
    with _scope(tenant):
        while make_sense_of_backlog(tenant):
            pass
        incident = Incident.objects.get()
        return wanted, pull_incident(incident=incident, actor=BAILEY, reason="phish").id


def _scope(tenant: Tenant) -> Any:
    from tenants.scope import Role, tenant_scope

    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def _time_passes(tenant: Tenant) -> None:
    """The leases of whoever died have run out."""
    from django.utils import timezone

    from incidents.models import Intent
    from tenants.models import Work

    with _scope(tenant):
        Intent.objects.filter(state=Intent.State.CALLING).update(due_at=timezone.now())
        Work.objects.exclude(leased_until=None).update(leased_until=timezone.now())


def _states(tenant: Tenant, job_id: Any) -> dict[str, int]:
    from incidents.models import Intent

    with _scope(tenant):
        return dict(Counter(Intent.objects.filter(job=job_id).values_list("state", flat=True)))


@contextmanager
def _worker(tenant: Tenant, log: Path) -> Iterator[int]:
    """A process that serves the queue until nothing of it waits; it is gone at the end."""
    from django.db import connections

    connections.close_all()
    pid = os.fork()
    if pid == 0:
        _serve_and_end(tenant, log)
    try:
        yield pid
    finally:
        if _is_running(pid):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _is_running(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def _serve_and_end(tenant: Tenant, log: Path) -> None:
    """In the child; never returns."""
    code = 1
    try:
        from incidents import layers
        from incidents.models import Intent
        from tenants.work import serve_one

        layers._layers["mailbox"] = MailboxFile(log)
        while True:
            if not serve_one("remediate"):
                time.sleep(0.05)  # the lease of whoever died, or a pause
            with _scope(tenant):
                if not Intent.objects.exclude(state__in=Intent.OVER).exists():
                    break
        code = 0
    except Exception:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make crashloop OF=pull")
    parser.add_argument("--mails", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    from tests.bench.__main__ import machine
    from tests.bench.intake import a_database
    from tests.services import SERVICES

    try:
        SERVICES.start()
        with a_database(), tempfile.TemporaryDirectory() as folder:
            from tests.factories import make_cast

            asked = {"mails": options.mails, "kills": options.kills, "seed": options.seed}
            tenant = make_cast().acme
            pulled = pull_with_kills(tenant, Path(folder) / "moves", **asked)
    finally:
        SERVICES.stop()
    figures = asked | {
        "killed_at": pulled.killed_at, "pulled": len(pulled.moves), "left": pulled.left,
        "twice": pulled.twice, "astray": pulled.astray, "states": pulled.states,
        "seconds": round(pulled.seconds), "machine": machine(),
    }  # fmt: skip
    OUTPUT.parent.mkdir(mode=0o700, exist_ok=True)
    OUTPUT.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))
    return 0 if pulled.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
