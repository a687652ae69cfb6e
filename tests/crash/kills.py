"""Mail flows while processes are killed at random; then every mail is accounted for.

A mail counts as acknowledged once its sender has seen 250.  One whose reply was lost with the
connection is sent again by its sender, as any mail host does: such mails are counted apart, since
the gateway may have taken both.
"""

from __future__ import annotations

import random
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import httpx

from console.lib.sending import send_by_smtp
from tests.installation import Installation, is_alive, wait_for

TARGETS = ("gate", "worker", "ship", "postgres")
RECIPIENTS = ("info@acme.example", "it@acme.example", "hr@acme.example")
PAUSE_S = 0.05  # between two mails
FLOWS_WITHIN_S = 30.0
SETTLED_WITHIN_S = 120.0
# The clock of the gate is ours: only what lies on the border of a round needs this.
SLACK = timedelta(seconds=30)


def write_mail(number: int) -> tuple[str, str, bytes]:
    """Message-ID, recipient and bytes; every fourth is spam that the gateway holds."""
    mail = EmailMessage()
    recipient = RECIPIENTS[number % len(RECIPIENTS)]
    is_spam = number % 4 == 0
    mail["From"] = "Desk <desk@nordvent.example>"
    mail["To"] = recipient
    mail["Message-ID"] = message_id = f"<kill-{number}@nordvent.example>"
    mail["Subject"] = f"CONGRATULATIONS WINNER {number}!!!" if is_spam else f"Note {number}"
    mail.set_content(
        "Claim your prize now, 100% free, act now! Cheap pills, no prescription. Order now: "
        f"http://198.51.100.41/claim?n={number}\n"
        if is_spam
        else f"The delivery of item {number} is planned for Thursday.\n"
    )
    return message_id, recipient, mail.as_bytes()


@dataclass
class Sender:
    """Sends until it is stopped; a mail is repeated until somebody answers for it.  ``number`` is
    that of the last mail begun.
    """

    server: tuple[str, int]
    number: int = 0
    accepted: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    is_stopped: threading.Event = field(default_factory=threading.Event)

    def wait_for_one_more(self, within_s: float) -> None:
        """Until another mail is acknowledged, or time is over."""
        before, until = len(self.accepted), time.monotonic() + within_s
        while len(self.accepted) == before and time.monotonic() < until:
            time.sleep(0.02)

    def run(self) -> None:
        while not self.is_stopped.is_set():
            self.number += 1
            self._send(*write_mail(self.number))
            time.sleep(PAUSE_S)

    def _send(self, message_id: str, recipient: str, raw: bytes) -> None:
        while True:
            try:
                sent = send_by_smtp(
                    self.server,
                    mail_from="desk@nordvent.example",
                    recipients=[recipient],
                    raw=raw,
                    client_ip="192.0.2.10",
                    helo="mail.nordvent.example",
                    timeout_s=20,
                )
            except (OSError, smtplib.SMTPException):
                # The reply was lost: it may or may not have been taken.
                self.unsure.add(message_id)
            else:
                if sent.replies[recipient][0] == 250:
                    self.accepted.add(message_id)
                    return
            time.sleep(0.2)


def kill_at_random(
    installation: Installation,
    sender: Sender,
    dice: random.Random,
    count: int,
    *,
    after_mail: float,
    within_s: float,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Kill one of the targets by its id, and again; kills by name, fewer than ``count`` where time
    ran out or it was stopped.

    ``after_mail`` is the share of kills that wait for a mail after the kill before, so that mail
    flows however slow the machine is; the others come when they come, also into a start.
    """
    kills: Counter[str] = Counter()
    until = time.monotonic() + within_s
    while kills.total() < count and time.monotonic() < until and not is_stopped():
        name = dice.choice(TARGETS)
        pid = installation.facts()["pids"].get(name)
        if pid is None or not is_alive(pid):
            time.sleep(0.1)  # not back yet
            continue
        installation.kill(name)
        kills[name] += 1
        if dice.random() < after_mail:
            sender.wait_for_one_more(FLOWS_WITHIN_S)
            time.sleep(dice.uniform(0, 0.1))  # into the middle of the next
        else:
            time.sleep(dice.uniform(0.2, 1.6))
    return kills


class Api:
    def __init__(self, run: dict[str, Any]) -> None:
        self._headers = {"Authorization": f"Bearer {run['api_token']}"}
        self._base = run["api"].rstrip("/")

    def all(self, address: str, **wanted: str) -> list[dict[str, Any]]:
        """All rows over all pages.  Raises ``httpx.HTTPError``."""
        rows = []
        url = httpx.URL(f"{self._base}/{address}", params={"page_size": "500", **wanted})
        while url:
            page = httpx.get(url, headers=self._headers, timeout=60, trust_env=False)
            answer = page.raise_for_status().json()
            rows += answer["results"]
            url = answer["next"]
        return rows


def in_mailboxes(run: dict[str, Any]) -> Counter[str]:
    """How often each Message-ID lies in the sandbox cloud's mailboxes."""
    found: Counter[str] = Counter()
    for address in RECIPIENTS:
        answer = httpx.get(
            f"{run['sandbox']}/_sandbox/mailboxes/{address}", timeout=60, trust_env=False
        )
        for folder in answer.json()["folders"]:
            found.update(mail["internet_message_id"] for mail in folder["messages"])
    return found


@dataclass
class Ledger:
    """What became of all mail so far.  ``delivered``: how often each lies in a mailbox; ``held``:
    what the console knows as held; ``twice_known``: an acknowledged mail that the console has in
    two rows for one recipient.
    """

    kills: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    accepted: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    delivered: Counter[str] = field(default_factory=Counter)
    held: set[str] = field(default_factory=set)
    twice_known: set[tuple[str, str]] = field(default_factory=set)

    @property
    def lost(self) -> set[str]:
        """Acknowledged, and neither in a mailbox nor held."""
        return self.accepted - set(self.delivered) - self.held

    @property
    def doubled(self) -> set[str]:
        """Acknowledged at the first time of asking, and delivered more than once."""
        return self._more_than_once() - self.unsure

    @property
    def repeated(self) -> set[str]:
        """Delivered more than once because the sender, whose reply was lost, sent it again."""
        return self._more_than_once() & self.unsure

    def _more_than_once(self) -> set[str]:
        return {one for one, number in self.delivered.items() if number > 1}

    def learn(self, rows: list[dict[str, Any]]) -> None:
        """The console's rows of the mails of a round."""
        known = by_message(rows)
        self.held |= {
            one for one, copies in known.items() if any(row["outcome"] == "held" for row in copies)
        }
        self.twice_known |= {
            (one, row["recipient"])
            for one, copies in known.items()
            for row in copies
            if one not in self.unsure and len(copies) > 1 and row["outcome"] != "deferred"
        }


def by_message(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    known: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        known.setdefault(row["internet_message_id"], []).append(row)
    return known


def run_round(
    installation: Installation, ledger: Ledger, kill: Callable[[Sender], Counter[str]]
) -> None:
    """Mail flows while ``kill`` works; then all of it is accounted for in ``ledger``.

    Raises ``AssertionError`` where the last mail was never answered for, or where an acknowledged
    mail is not known as delivered or held in time; the ledger then says which are missing.
    """
    run = installation.facts()
    host, _, port = run["smtp"].rpartition(":")
    started_at = datetime.now(UTC)
    sender = Sender((host, int(port)), number=ledger.sent)
    thread = threading.Thread(target=sender.run, daemon=True)
    thread.start()
    try:
        ledger.kills += kill(sender)
    finally:
        sender.is_stopped.set()
        thread.join(timeout=120)
        ledger.sent = sender.number
        ledger.accepted |= sender.accepted
        ledger.unsure |= sender.unsure
    assert not thread.is_alive(), "the last mail was never answered for"
    settle(run, ledger, sender, since=started_at - SLACK)


def settle(run: dict[str, Any], ledger: Ledger, sender: Sender, *, since: datetime) -> None:
    """Wait until the console knows every mail of the round.  Raises ``AssertionError``."""
    api = Api(run)
    rows: list[dict[str, Any]] = []
    ledger.delivered = in_mailboxes(run)
    in_boxes = set(ledger.delivered) & (sender.accepted | sender.unsure)

    def is_settled() -> bool:
        try:
            rows[:] = api.all("deliveries/", since=since.isoformat())
        except httpx.HTTPError:
            return False
        known = by_message(rows)
        seen = {one for one, rows in known.items() if any(row["verified_at"] for row in rows)}
        held = {one for one, rows in known.items() if any(row["place"] == "hold" for row in rows)}
        return in_boxes <= seen and sender.accepted <= seen | held

    try:
        wait_for(is_settled, SETTLED_WITHIN_S, "every accepted mail is known as delivered or held")
    finally:
        ledger.learn(rows)
        # Once more: a second copy may have come after the first look.
        ledger.delivered = in_mailboxes(run)
