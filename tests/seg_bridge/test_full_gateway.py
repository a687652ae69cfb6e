"""Real SMTP through Postfix and a gate of two processes, which asks a real Rspamd, into a mail host
by LMTP, read by IMAP; and from the gate's journals into rows.
"""

from __future__ import annotations

import os
import signal
import smtplib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from console.gateway_parts import PartMissing
from console.lib.sending import send_by_smtp
from incidents.correlation import serve_intake
from incidents.mail.headers import header_values
from incidents.mail.trace import check_trace
from incidents.models import Delivery, Intent, Observation
from incidents.remediation import release_held
from incidents.traces import trace_keys
from incidents.words import Outcome, Place, Verdict
from tenants.doors import ClaimedWork
from tests.factories import make_cast
from tests.gateway_host import DovecotHost, PostfixHost
from tests.real_engines import RealRspamd
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.engines.test_real_engines import sender_zone
from tests.seg_bridge.gate.parts import Sink
from tests.seg_bridge.yard import EmptyDns, Yard, processes, wait_for

INFO = "info@acme.example"
FORGED = "bank.example"
# A link that shows another host than it leads to, from a host that the sender's domain disowns.
DECEIT = f"""\
From: Accounts <accounts@{FORGED}>
To: {INFO}
Subject: Please confirm
Message-ID: <confirm@{FORGED}>
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<p>Confirm: <a href="http://evil-host.com/login">https://www.bank.example/login</a> today.</p>
"""


@dataclass
class Full:
    yard: Yard
    postfix: PostfixHost
    dovecot: DovecotHost

    def actions(self, ulid: str) -> list[str | None]:
        with self.yard.analyst():
            rows = Observation.objects.filter(trace_ulid=ulid).order_by("observed_at")
            return list(rows.values_list("action", flat=True))


@pytest.fixture
def full(transactional_db: None, tmp_path: Path, real_rspamd: RealRspamd) -> Iterator[Full]:
    try:
        postfix, dovecot = PostfixHost("mx1.keep.example"), DovecotHost()
    except PartMissing as missing:
        pytest.skip(f"no Postfix or Dovecot here: {missing}")
    try:
        dovecot.start()
        lmtp = f"lmtp:inet:127.0.0.1:{dovecot.lmtp_port}"
        postfix.start(transport=f"acme.example {lmtp}\nglobex.example {lmtp}\n")
        cast = make_cast(("127.0.0.1", 9))  # the operator's own transport comes first
        mx = make_gate(cast, cast.acme, cast.globex)
        more = {
            "BAILEY_GATE_MILTER": str(postfix.socket),
            "BAILEY_GATE_REINJECT": f"127.0.0.1:{postfix.reinject[1]}",
            "BAILEY_GATE_POSTFIX": str(postfix.folder),
            "BAILEY_GATE_PROCESSES": "2",
            "BAILEY_GATE_ENGINES": "embedded,rspamd",
            **real_rspamd.plan.gate,
        }
        real_rspamd.zone.update(sender_zone(FORGED, "reject"))
        with (
            EmptyDns() as dns,
            processes(tmp_path, mx, dns=dns, smtp_port=postfix.port, more=more) as (port, running),
        ):
            yield Full(Yard(cast, mx, Sink(), postfix.port, port, running), postfix, dovecot)
    finally:
        postfix.remove()
        dovecot.remove()


def test_mail_goes_through_postfix_and_the_gate_into_the_mailbox_and_into_rows(full: Full):
    ulid = a_mail_reaches_the_mailbox_with_its_trace(full)
    wait_for(lambda: full.actions(ulid) == ["passed", "delivered"], "the next hop's answer")
    a_mail_for_two_clients_reaches_both(full)
    held = a_blocked_sender_is_held(full)
    a_held_mail_is_released_into_the_mailbox(full, held)
    a_mail_that_rspamd_condemns_is_held(full)
    a_process_of_the_gate_that_dies_is_replaced(full)


def a_mail_reaches_the_mailbox_with_its_trace(full: Full) -> str:
    yard = full.yard
    # Until the gate has its first policy Postfix puts all off.
    wait_for(lambda: yard.is_taken("friend@sender.example"), "the gateway to take mail")
    (mail,) = wait_for(lambda: full.dovecot.mails(INFO), "the mail in the mailbox")
    assert header_values(mail, "Subject") == ["Hello"]
    assert header_values(mail, "Delivered-To") == [INFO]
    assert header_values(mail, "Return-Path") == ["<friend@sender.example>"]
    with yard.analyst():
        keys = trace_keys(yard.cast.provider.id)
    trace = check_trace(header_values(mail, "X-Bailey-Trace")[0], keys)
    assert trace is not None
    assert trace.tenant_id == yard.cast.acme.id
    return trace.ulid


def a_mail_for_two_clients_reaches_both(full: Full) -> None:
    names = [INFO, "info@globex.example"]
    text = "Subject: both\r\nFrom: friend@sender.example\r\nTo: all\r\n\r\nFor both of you.\r\n"
    with smtplib.SMTP("127.0.0.1", full.postfix.port, timeout=30) as smtp:
        smtp.sendmail("friend@sender.example", names, text)
    for name in names:
        wait_for(partial(has_both, full, name), f"the mail of {name}")


def has_both(full: Full, name: str) -> bool:
    return any(b"For both of you" in mail for mail in full.dovecot.mails(name))


def a_blocked_sender_is_held(full: Full) -> Observation:
    yard = full.yard
    yard.block("eve@evil.example")
    started = time.monotonic()

    def is_held() -> Observation | None:
        yard.send("eve@evil.example", subject="trick")
        time.sleep(0.3)
        return yard.observation(action=Outcome.HELD)

    held: Observation = wait_for(is_held, "the gate to hold it")
    assert time.monotonic() - started < 15
    return held


def a_held_mail_is_released_into_the_mailbox(full: Full, held: Observation) -> None:
    yard = full.yard
    before = len(full.dovecot.mails(INFO))
    serve_intake(ClaimedWork(yard.cast.acme.id, yard.cast.provider.id, 1))
    with yard.analyst():
        delivery = Delivery.objects.get(message__trace_ulid=held.trace_ulid)
        assert delivery.place == Place.HOLD
        release_held(delivery=delivery, actor=yard.cast.ana, reason="they asked for it")

    def is_settled() -> bool:
        with yard.analyst():
            return Intent.objects.get().state == Intent.State.VERIFIED

    wait_for(is_settled, "the acknowledgement")
    wait_for(lambda: len(full.dovecot.mails(INFO)) > before, "the released mail in the mailbox")
    done = ["held", "passed", "delivered"]
    wait_for(lambda: full.actions(held.trace_ulid) == done, "the next hop's answer")


def a_mail_that_rspamd_condemns_is_held(full: Full) -> None:
    sent = send_by_smtp(
        ("127.0.0.1", full.postfix.port),
        mail_from=f"accounts@{FORGED}",
        recipients=[INFO],
        raw=DECEIT.replace("\n", "\r\n").encode(),
        client_ip="203.0.113.66",
        helo="mail.elsewhere.example",
    )
    assert sent.replies[INFO][0] == 250
    seen = wait_for(
        lambda: full.yard.observation(detail__mail_from=f"accounts@{FORGED}"),
        "the held mail in the rows",
    )
    said = {each["engine"]: each["verdict"] for each in seen.detail["engines"]}
    assert seen.action == Outcome.HELD
    assert said["rspamd"] == Verdict.PHISH == seen.verdict
    assert "embedded" in said
    assert "rspamd_phishing" in {reason["code"] for reason in seen.reasons}
    assert not any(b"Please confirm" in mail for mail in full.dovecot.mails(INFO))


def a_process_of_the_gate_that_dies_is_replaced(full: Full) -> None:
    parent = full.yard.running[1].pid

    def children() -> set[int]:
        return {
            int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        }

    before = children()
    assert len(before) == 2
    os.kill(min(before), signal.SIGKILL)
    wait_for(lambda: len(children()) == 2 and min(before) not in children(), "another process")
    for number in range(6):
        wait_for(lambda: full.yard.is_taken("friend@sender.example"), f"mail {number}")
