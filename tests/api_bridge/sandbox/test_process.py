"""The sandbox as a process: settings, restarts, and what survives."""

import datetime as dt
import os
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import dns.resolver
import pytest

from tests.api_bridge.sandbox.receiver import receiving
from tests.api_bridge.sandbox.running import Company, SandboxProcess, simple_mail

TOMORROW = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[SandboxProcess]:
    """A sandbox that the test may stop and kill; the test leaves it running."""
    with SandboxProcess(tmp_path / "cloud") as process:
        yield process


def start_with(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api_bridge.sandbox"],
        env={**os.environ, "BAILEY_SANDBOX_DIR": str(folder), **environment},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("BAILEY_SANDBOX_DIR", " "), ("BAILEY_SANDBOX_SMTP", "2526"),
     ("BAILEY_SANDBOX_DNS", "127.0.0.1:99999"), ("BAILEY_SANDBOX_HTTPS", "127.0.0.1:")],
)  # fmt: skip
def test_a_wrong_variable_is_named_and_nothing_starts(tmp_path: Path, name: str, value: str):
    done = start_with(tmp_path, **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert name in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_taken_port_ends_the_process_with_one_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = start_with(tmp_path, BAILEY_SANDBOX_HTTPS=address)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1


def test_a_stop_does_not_wait_for_those_who_stay_connected(own: SandboxProcess):
    company = Company(own)
    company.get("users")  # leaves a connection open
    smtp = own.smtp()
    smtp.ehlo()
    host, _, port = own.addresses["dns"].rpartition(":")
    with socket.create_connection((host, int(port))):
        started = time.monotonic()
        assert own.stop() == 0
        assert time.monotonic() - started < 8
    smtp.close()
    company.close()
    own.start()


def test_everything_is_there_again_after_a_restart(own: SandboxProcess):
    company = Company(own)
    message_id = company.receive("ana")
    own.admin("PUT", "dns", {"records": [{"name": "a.example", "type": "A", "value": "192.0.2.7"}]})
    path = (
        f"users/{company.mail('ana')}/messages/{company.mails('ana', headers=IMMUTABLE)[0]['id']}"
    )
    company.post(f"{path}/move", {"destinationId": "archive"})
    delta = company.get(f"users/{company.mail('ana')}/mailFolders/archive/messages/delta")
    ca = own.ca.read_bytes()
    assert own.stop() == 0
    own.start()
    assert own.ca.read_bytes() == ca
    # The same token, message id and delta link as before.
    assert company.get(path, headers=IMMUTABLE)["internetMessageId"] == message_id
    assert company.get(delta["@odata.deltaLink"])["value"] == []
    host, _, port = own.addresses["dns"].rpartition(":")
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [host], int(port)
    assert [record.to_text() for record in resolver.resolve("a.example", "A")] == ["192.0.2.7"]
    company.close()


def test_a_subscriber_that_was_away_is_told_after_the_restart(own: SandboxProcess):
    company = Company(own)
    with receiving() as receiver:
        made = company.post("subscriptions", {
            "changeType": "created", "notificationUrl": receiver.url, "clientState": "s",
            "resource": f"users/{company.ids['ana']}/messages", "expirationDateTime": TOMORROW,
        }, headers=IMMUTABLE)  # fmt: skip
        receiver.refusals = 1_000
        company.receive("ana")
        own.stop(signal.SIGKILL)
        receiver.refusals = 0
        own.start()
        (told,) = receiver.next()
        assert told["subscriptionId"] == made["id"]
        assert company.get(f"users/{company.mail('ana')}/messages/{told['resourceData']['id']}")
    company.close()


def test_every_mail_that_got_250_is_there_after_sigkill(own: SandboxProcess):
    company = Company(own)
    acked: set[str] = set()

    def send() -> None:
        try:
            with own.smtp() as smtp:
                while True:
                    message_id = f"<{uuid.uuid4()}@x.example>"
                    raw = simple_mail("ana", subject="x" * 500, message_id=message_id)
                    smtp.sendmail("a@x.example", [company.mail("ana"), company.mail("bo")], raw)
                    acked.add(message_id)
        except (smtplib.SMTPException, OSError):
            return

    for round_ in range(3):
        senders = [threading.Thread(target=send) for _ in range(3)]
        for sender in senders:
            sender.start()
        wanted = len(acked) + 40 + 17 * round_
        while len(acked) < wanted:
            senders[0].join(0.01)
        own.stop(signal.SIGKILL)
        for sender in senders:
            sender.join()
        own.start()
        for name in ("ana", "bo"):
            shown = own.admin("GET", f"mailboxes/{company.mail(name)}")
            inbox = next(folder for folder in shown["folders"] if folder["well_known"] == "inbox")
            found = [mail["internet_message_id"] for mail in inbox["messages"]]
            assert acked <= set(found)
            assert len(found) == len(set(found))
