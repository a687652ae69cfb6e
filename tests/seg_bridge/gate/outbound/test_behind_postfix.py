"""Submission through a real Postfix: who may send, logins from the policy, the ways out and in."""

import asyncio
import contextlib
import smtplib
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime

import dkim
import pytest

from incidents.mail.headers import header_values
from seg_bridge.gate.outbound.logins import hash_secret
from seg_bridge.gate.outbound.terms import OutboundTerms, SenderLimits
from seg_bridge.gate.policy import sign_snapshot
from tests.seg_bridge.gate.outbound.parts import (
    CEO,
    HOST,
    HOST_IP,
    LOGIN,
    SECRET,
    signing_key,
    submitted,
)
from tests.seg_bridge.gate.parts import SECRET as GATE_SECRET
from tests.seg_bridge.gate.parts import Sink, snapshot_of, tenant, until

BOB = "bob@other.example"


@pytest.fixture
async def sink(postfix_host):
    """The mail host of our clients, and the MX of everybody else (``local/transport``)."""
    async with Sink(port=postfix_host.next_hop_port) as running:
        yield running


@pytest.fixture(scope="module")
def hashed():
    return hash_secret(SECRET)


@pytest.fixture
def submitting(behind_postfix, hashed):
    """``async with submitting(limits=…)``: Acme sends by one host and one login; by MX."""

    @contextlib.asynccontextmanager
    async def make(*others, policy=None, **changes):
        limits = SenderLimits(**changes.pop("limits", {}))
        terms = OutboundTerms(hosts=(HOST,), logins={LOGIN: hashed}, limits=limits)
        outbound = replace(terms, **changes)
        async with behind_postfix(*others, outbound=outbound, **(policy or {})) as gate:
            yield gate

    return make


def talk(host, port="SUBMISSION_PORT", *, client_ip=HOST_IP, raw=b"", recipients=(BOB,), **more):
    """A conversation by Python's own client; the last reply as ``code text``."""
    return _Talk(host, port, client_ip, raw or submitted(), recipients, **more)


class _Talk:
    def __init__(self, host, port, client_ip, raw, recipients, sender=CEO, login=None, tls=None):
        self.address = ("127.0.0.1", host.settings.ports[port])
        self.client_ip, self.raw, self.recipients = client_ip, raw, recipients
        self.sender, self.login, self.tls = sender, login, tls
        self.timeout_s = 5

    async def run(self) -> str:
        try:
            return await asyncio.to_thread(self._run)
        except (smtplib.SMTPServerDisconnected, ConnectionError, TimeoutError):
            return "hung up"

    def _run(self) -> str:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        client: smtplib.SMTP
        if self.tls == "implicit":
            client = smtplib.SMTP_SSL(*self.address, context=trusting, timeout=self.timeout_s)
        else:
            client = smtplib.SMTP(*self.address, timeout=self.timeout_s)
        with client:
            if self.client_ip:
                client.ehlo()
                client.docmd(f"XCLIENT ADDR={self.client_ip} NAME=client.acme.example")
            client.ehlo()
            if self.tls == "starttls":
                client.starttls(context=trusting)
                client.ehlo()
            if self.login is not None and "auth" not in client.esmtp_features:
                return "no AUTH offered"
            text: bytes | str
            try:
                if self.login is not None:
                    client.login(*self.login)
                client.sendmail(self.sender, list(self.recipients), self.raw)
            except smtplib.SMTPRecipientsRefused as error:
                code, text = next(iter(error.recipients.values()))
            except smtplib.SMTPResponseException as error:
                code, text = error.smtp_code, error.smtp_error
            else:
                return "250 taken"
        return f"{code} {text.decode() if isinstance(text, bytes) else text}"


async def test_mail_of_a_known_host_goes_out_by_postfix_and_what_comes_of_it_is_on_record(
    submitting, postfix_host, sink
):
    async with submitting() as gate:
        assert await talk(postfix_host).run() == "250 taken"
        await until(lambda: gate.outcomes() == {BOB: "delivered"})
        passed, delivered = gate.observations()
        assert (passed["action"], passed["direction"]) == ("passed", "outbound")
        assert passed["detail"]["sent_by"]["by"] == f"host {HOST_IP}"
        assert delivered["direction"] == "outbound"
        assert delivered["source_key"] == passed["source_key"]
        assert delivered["detail"]["next_hop_reply"] == "250 taken"
    (mail,) = sink.mails
    assert (mail.mail_from, mail.recipients) == (CEO, [BOB])
    assert b"X-Bailey-" not in mail.data, "strangers get nothing of ours"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"client_ip": "198.51.100.1"}, "530 5.7.0 Log in first"),
        ({"sender": "eve@evil.example"}, "550 5.7.1 eve@evil.example is no mailbox of yours"),
        ({"raw": submitted(sender="ceo@bank.example")}, "550 5.7.1 The visible sender"),
        ({"login": (LOGIN, SECRET)}, "no AUTH offered"),
        ({"login": (LOGIN, "wrong"), "tls": "starttls"}, "535 5.7.8"),
        ({"login": ("nobody", SECRET), "tls": "starttls"}, "535 5.7.8"),
    ],
)
async def test_who_may_not_send_hears_why(submitting, postfix_host, sink, given, words):
    async with submitting() as gate:
        assert (await talk(postfix_host, **given).run()).startswith(words)
        assert not sink.mails
        assert not [each for each in gate.records() if each["kind"] == "begun"]


@pytest.mark.parametrize(
    ("port", "tls"), [("SUBMISSION_PORT", "starttls"), ("SUBMISSIONS_PORT", "implicit")]
)
async def test_a_login_of_the_policy_sends_over_tls(submitting, postfix_host, sink, port, tls):
    anywhere = "198.51.100.1" if tls == "starttls" else ""
    async with submitting() as gate:
        talking = talk(postfix_host, port, client_ip=anywhere, login=(LOGIN, SECRET), tls=tls)
        assert await talking.run() == "250 taken"
        await until(lambda: len(sink.mails) == 1)
        seen = gate.observations()[0]
        assert seen["detail"]["sent_by"]["by"] == f"login {LOGIN}"
        assert seen["detail"]["tls"].startswith("TLSv1")
    assert b"with ESMTPSA id" in sink.mails[0].data


async def test_a_login_that_was_ended_sends_no_more_within_the_same_conversation(
    submitting, postfix_host
):
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with submitting() as gate:

        def log_in():
            client = smtplib.SMTP("127.0.0.1", postfix_host.settings.ports["SUBMISSION_PORT"])
            client.starttls(context=trusting)
            client.login(LOGIN, SECRET)
            return client

        client = await asyncio.to_thread(log_in)
        acme = replace(gate.tenants[0], outbound=replace(gate.tenants[0].outbound, logins={}))
        later = snapshot_of(acme, version="v2", made_at=datetime(2026, 11, 23, tzinfo=UTC))
        gate.gate.keeper.replace(sign_snapshot(later.as_json(), GATE_SECRET))
        code, words = await asyncio.to_thread(client.mail, CEO)
        client.close()
        assert (code, words.decode()) == (535, "5.7.8 This login has ended")


async def test_what_is_a_threat_is_held_and_what_is_too_much_waits(submitting, postfix_host, sink):
    async with submitting(limits={"messages_per_hour": 2}) as gate:
        assert await talk(postfix_host, raw=submitted("phish 9")).run() == "250 taken"
        assert gate.outcomes() == {BOB: "held"}
        assert await talk(postfix_host).run() == "250 taken"
        assert (await talk(postfix_host).run()).startswith("450 4.7.1")


async def test_a_sender_that_sends_threats_is_stopped(submitting, postfix_host):
    async with submitting(limits={"threats": 1}) as gate:
        await talk(postfix_host, raw=submitted("phish 9")).run()
        assert (await talk(postfix_host).run()).startswith("550 5.7.1 Sending from ceo@acme")
        assert [each["mailbox"] for each in gate.stops()] == [CEO]


async def test_what_goes_out_is_signed_and_the_signature_holds(
    submitting, postfix_host, sink, rsa_key
):
    private, public = rsa_key
    async with submitting(keys=(signing_key(private),)):
        assert await talk(postfix_host).run() == "250 taken"
        await until(lambda: len(sink.mails) == 1)
    record = b"v=DKIM1; k=rsa; p=" + public
    assert dkim.verify(sink.mails[0].data, dnsfunc=lambda name, timeout=5: record)


async def test_mail_to_another_client_comes_in_by_the_name_of_its_host(
    submitting, postfix_host, sink
):
    globex = tenant("globex", 2, sink.hop)
    inside = "info@globex.example"
    async with submitting(globex) as gate:
        assert await talk(postfix_host, recipients=(BOB, inside)).run() == "250 taken"
        await until(lambda: sorted(sink.recipients()) == [BOB, inside])
        sent = [each for each in gate.observations() if each["direction"] == "outbound"]
        came = [each for each in gate.observations() if each["direction"] == "inbound"]
        assert {each["tenant_id"] for each in sent} == {1}
        assert {(each["tenant_id"], each["recipient"]) for each in came} == {(2, inside)}
        assert came[0]["detail"]["client_ip"] == HOST_IP
    data = next(mail.data for mail in sink.mails if mail.recipients == [inside])
    assert len(header_values(data, "X-Bailey-Trace")) == 1


async def test_a_released_mail_to_another_client_comes_in_by_the_name_of_its_host(
    submitting, postfix_host, sink
):
    inside = "info@globex.example"
    async with submitting(tenant("globex", 2, sink.hop)) as gate:
        raw = submitted("phish 9")
        assert await talk(postfix_host, raw=raw, recipients=(inside,)).run() == "250 taken"
        (held,) = gate.observations()
        gate.ingest.commands = [
            {
                "seq": 1,
                "id": "01a20000-0000-0000-0000-000000000001",
                "kind": "release",
                "tenant_id": 1,
                "ulid": held["trace_ulid"],
                "recipients": [inside],
                "evidence": held["evidence"],
                "released_by": "Ana",
                "direction": "outbound",
                "terms": {"client_ip": held["detail"]["client_ip"]},
            }
        ]
        await until(lambda: any(e["direction"] == "inbound" for e in gate.observations()), 8)
        came = next(each for each in gate.observations() if each["direction"] == "inbound")
        assert (came["tenant_id"], came["detail"]["client_ip"]) == (2, HOST_IP)


async def test_a_notice_to_a_clients_mailbox_is_looked_at_like_mail_that_comes_in(
    submitting, postfix_host, sink
):
    sink.replies[f"RCPT TO:<{BOB}"] = "550 5.1.1 nobody of this name"
    async with submitting() as gate:
        assert await talk(postfix_host).run() == "250 taken"
        await until(lambda: sink.recipients() == [CEO])
        await until(lambda: gate.outcomes() == {BOB: "rejected", CEO: "delivered"})
        (notice,) = sink.mails
        assert notice.mail_from == ""
        assert len(header_values(notice.data, "X-Bailey-Trace")) == 1


async def test_without_the_gate_the_sender_keeps_the_mail_and_soon_after_it_is_taken(
    submitting, postfix_host, sink
):
    for _ in range(3):  # Postfix ends without an answer: nobody can say which logins there are
        said = await talk(postfix_host).run()
        assert said == "hung up" or said.startswith("4")
    assert not sink.mails
    async with submitting():
        until_s = time.monotonic() + 8.0
        while await talk(postfix_host).run() != "250 taken":
            assert time.monotonic() < until_s
            await asyncio.sleep(0.2)


async def test_what_waits_for_an_mx_is_told_as_the_clients_own(submitting, postfix_host, sink):
    sink.replies[f"RCPT TO:<{BOB}"] = "450 4.7.1 greylisted"
    async with submitting() as gate:
        assert await talk(postfix_host).run() == "250 taken"
        await until(lambda: bool(gate.ingest.queues and gate.ingest.queues[-1]["items"]), 12)
        (item,) = gate.ingest.queues[-1]["items"]
        assert (item["tenant_id"], item["recipient"]) == (1, BOB)
        assert (item["next_hop"], item["sender"]) == ("MX of other.example", CEO)


async def test_what_a_smart_host_puts_off_waits_in_the_queue_as_the_clients_own(
    submitting, postfix_host, sink
):
    """Without it the mail would have gone to no MX: its domain does not exist."""
    far = "bob@behind-the-smart-host.invalid"
    async with Sink(replies={f"RCPT TO:<{far}": "450 4.7.1 busy"}) as smart:
        async with submitting(next_hop=smart.hop) as gate:
            await until(lambda: gate.gate._maps.smart_hosts() == {"acme.example": smart.hop})
            assert await talk(postfix_host, recipients=(far,)).run() == "250 taken"
            await until(lambda: bool(gate.ingest.queues and gate.ingest.queues[-1]["items"]), 12)
            (item,) = gate.ingest.queues[-1]["items"]
            assert (item["tenant_id"], item["recipient"], item["next_hop"]) == (1, far, smart.hop)
            assert "busy" in item["reason"]
            smart.replies.clear()
            await asyncio.to_thread(postfix_host.flush)
            await until(lambda: gate.outcomes()[far] == "delivered", 12)
        (mail,) = smart.mails
        assert (mail.mail_from, mail.recipients) == (CEO, [far])
        assert b"X-Bailey-" not in mail.data
    assert not sink.mails


async def test_for_another_client_and_from_nobody_the_smart_host_is_asked_by_the_gate(
    submitting, postfix_host, sink
):
    """Postfix would send the one inside and the other to the MX: neither went by the smart host."""
    globex = tenant("globex", 2, sink.hop)
    async with Sink() as smart, submitting(globex, next_hop=smart.hop) as gate:
        await until(lambda: bool(gate.gate._maps.smart_hosts()))
        assert await talk(postfix_host, recipients=("info@globex.example",)).run() == "250 taken"
        assert await talk(postfix_host, sender="").run() == "250 taken"
        assert smart.recipients() == [BOB, "info@globex.example"]
    assert not sink.mails
