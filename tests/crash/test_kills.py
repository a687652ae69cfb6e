"""Fifty kills in the middle of a stream of mail: nothing that was accepted is lost or doubled.

Gate, worker and PostgreSQL are killed by their ids while mail flows; the launcher starts them
again.  A mail counts as accepted once the sender has seen 250.  One whose reply was lost with the
connection is sent again by its sender, as any mail host does: such mails are counted apart.
"""

from __future__ import annotations

import random
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import httpx
import pytest

from console.lib.sending import send_by_smtp
from tests.installation import Installation, is_alive, wait_for

KILLS = 50
TARGETS = ("gate", "worker", "postgres")
LONGEST_S = 240.0
RECIPIENTS = ("info@acme.example", "it@acme.example", "hr@acme.example")

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
def bailey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("crash"), DEMO_MAIL="0")
    try:
        installation.start()
        yield installation
    finally:
        installation.remove()


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
    """Sends until it is stopped; a mail is repeated until somebody answers for it."""

    server: tuple[str, int]
    accepted: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    is_stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self.is_stopped.is_set():
            number += 1
            self._send(*write_mail(number))
            time.sleep(0.05)

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


def kill_at_random(installation: Installation, seed: int) -> Counter[str]:
    """Kill one of the targets by its id, wait until it is back, and again."""
    dice = random.Random(seed)
    kills: Counter[str] = Counter()
    until = time.monotonic() + LONGEST_S
    while kills.total() < KILLS and time.monotonic() < until:
        name = dice.choice(TARGETS)
        pid = installation.facts()["pids"].get(name)
        if pid is None or not is_alive(pid):
            time.sleep(0.1)  # not back yet
            continue
        installation.kill(name)
        kills[name] += 1
        time.sleep(dice.uniform(0.2, 1.6))
    return kills


class Api:
    def __init__(self, run: dict[str, Any]) -> None:
        self._headers = {"Authorization": f"Bearer {run['api_token']}"}
        self._base = run["api"].rstrip("/")

    def all(self, address: str) -> list[dict[str, Any]]:
        rows, url = [], f"{self._base}/{address}"
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
        answer = httpx.get(f"{run['sandbox']}/_sandbox/mailboxes/{address}", trust_env=False)
        for folder in answer.json()["folders"]:
            found.update(mail["internet_message_id"] for mail in folder["messages"])
    return found


def test_fifty_kills_lose_nothing_and_double_nothing(bailey: Installation):
    run = bailey.facts()
    host, _, port = run["smtp"].rpartition(":")
    sender = Sender((host, int(port)))
    thread = threading.Thread(target=sender.run, daemon=True)
    thread.start()
    try:
        kills = kill_at_random(bailey, seed=50)
    finally:
        sender.is_stopped.set()
    thread.join(timeout=120)
    assert not thread.is_alive(), "the last mail was never answered for"
    assert kills.total() == KILLS
    assert set(kills) == set(TARGETS)

    api = Api(run)
    delivered = in_mailboxes(run)
    known: dict[str, list[dict[str, Any]]] = {}

    def is_settled() -> bool:
        known.clear()
        try:
            rows = api.all("deliveries/?page_size=500")
        except httpx.HTTPError:
            return False
        for row in rows:
            known.setdefault(row["internet_message_id"], []).append(row)
        seen = {one for one, rows in known.items() if any(row["verified_at"] for row in rows)}
        held = {one for one, rows in known.items() if any(row["place"] == "hold" for row in rows)}
        return set(delivered) <= seen and sender.accepted <= seen | held

    wait_for(is_settled, 120, "every accepted mail is known as delivered or held")
    held = {one for one, rows in known.items() if any(row["outcome"] == "held" for row in rows)}
    lost = sender.accepted - set(delivered) - held
    assert not lost
    doubled = {one for one, number in delivered.items() if number > 1}
    assert not doubled - sender.unsure, "an acknowledged mail was delivered twice"
    twice_known = [
        (one, row["recipient"])
        for one, rows in known.items()
        for row in rows
        if one not in sender.unsure and len(rows) > 1 and row["outcome"] != "deferred"
    ]
    assert not twice_known
    print(f"{len(sender.accepted)} accepted, {len(sender.unsure)} unsure, kills {dict(kills)}")
