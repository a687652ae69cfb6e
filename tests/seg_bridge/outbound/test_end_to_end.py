"""A real gate, its shipper and ingest: a mailbox sends malware, is stopped, and is let go again.

The gate is killed while the stop stands, and keeps it.
"""

from __future__ import annotations

import os
import signal
import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import dkim
import pytest

from console.launch.ports import free_port
from console.launch.process import start_ready
from incidents.correlation import serve_intake
from incidents.models import Incident
from seg_bridge.models import GateCommand
from seg_bridge.outbound import services
from seg_bridge.outbound.models import SenderStop
from seg_bridge.outbound.serving import serve_outbound
from seg_bridge.outbound.stopping import lift_stop
from tenants.doors import ClaimedWork
from tenants.models import Domain
from tests.factories import make_cast
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.outbound.parts import CEO, TERMS
from tests.seg_bridge.yard import EmptyDns, SinkThread, Yard, processes, says_ready, wait_for

# In two pieces, so that no scanner takes this file for what it is about.
EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}" + "$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


@pytest.fixture
def submission(transactional_db: None, tmp_path: Path) -> Iterator[tuple[Yard, int]]:
    with SinkThread() as sink, EmptyDns() as dns:
        cast = make_cast(("127.0.0.1", sink.port))
        mx = make_gate(cast, cast.acme)
        port, smtp_port = free_port(), free_port()
        more = {"BAILEY_GATE_SUBMISSION": f"127.0.0.1:{port}", "BAILEY_GATE_XCLIENT": "1"}
        with processes(tmp_path, mx, dns=dns, smtp_port=smtp_port, more=more) as (ingest, running):
            yield Yard(cast, mx, sink, smtp_port, ingest, running), port


def test_a_mailbox_in_other_hands_is_stopped_and_let_go(submission):
    yard, port = submission
    login, public = set_up(yard)
    wait_for(lambda: send(port, login, "Hello") == 250, "the gate to take outbound mail")
    (mail,) = yard.sink.mails
    assert dkim.verify(mail.data, dnsfunc=lambda *_, **__: f"v=DKIM1; p={public}".encode())
    for number in range(5):
        assert send(port, login, f"Offer {number}", EICAR) == 250
    assert send(port, login, "Hello again") == 550
    kill_gate(yard)
    assert send(port, login, "After the restart") == 550
    assert len(yard.sink.mails) == 1, "malware went nowhere"
    stop = told_stop(yard)
    with yard.analyst():
        incident = Incident.objects.get()
        assert (incident.kind, incident.sender) == ("account", CEO)
        assert incident.counts["held"] == 5
        lift_stop(stop=stop, actor=yard.cast.ana, reason="new password")
    wait_for(lambda: send(port, login, "Let go") == 250, "the gate to lift the stop")

    def is_acknowledged() -> bool:
        with yard.analyst():
            return GateCommand.objects.get().ok is True

    wait_for(is_acknowledged, "the acknowledgement")


def set_up(yard: Yard) -> tuple[tuple[str, str], str]:
    """A login's name and secret, and the public half of the signing key."""
    acme, lead, host = yard.cast.acme, yard.cast.mo, "127.0.0.1"
    hop = {"next_hop_host": host, "next_hop_port": yard.sink.port}
    with yard.analyst():
        services.set_terms(tenant=acme, values=TERMS | hop, actor=lead)
        key = services.make_key(tenant=acme, domain=Domain.objects.get(), actor=lead)
        services.start_signing(key=key, actor=lead)
        return services.make_login(tenant=acme, purpose="a test", actor=lead), key.public


def send(port: int, login: tuple[str, str], subject: str, text: str = "See you.") -> int:
    """The gate's last code; 0 where nobody answers."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = CEO, "bob@other.example", subject
    mail["Message-ID"] = f"<{time.time_ns()}@acme.example>"
    mail.set_content(text)
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
            smtp.login(*login)
            smtp.send_message(mail)
    except smtplib.SMTPResponseException as error:
        return error.smtp_code
    except (OSError, smtplib.SMTPException):
        return 0
    return 250


def kill_gate(yard: Yard) -> None:
    gate = yard.running[1]
    os.kill(gate.pid, signal.SIGKILL)
    gate.end(5.0)
    yard.running[1] = start_ready(gate.command, says_ready)


def told_stop(yard: Yard) -> SenderStop:
    """Once it has its incident."""

    def found() -> SenderStop | None:
        claimed = ClaimedWork(yard.cast.acme.id, yard.cast.provider.id, 1)
        serve_intake(claimed)
        serve_outbound(claimed)
        with yard.analyst():
            stops = SenderStop.objects.select_related("tenant").exclude(incident=None)
            return stops.first()

    stop: SenderStop = wait_for(found, "the stop and its incident")
    return stop
