"""The gate behind a real Postfix: the way of a mail, faults, the queue, tables and log."""

import asyncio
import time
from dataclasses import replace

import pytest
from typing_extensions import override

from incidents.mail.headers import header_values
from incidents.mail.trace import TRACE_HEADER, Trace, check_trace
from seg_bridge.gate.policy import DomainRoute, sign_snapshot
from seg_bridge.gate.ways import HopTls
from tests.seg_bridge.gate.parts import (
    SECRET,
    TRACE_KEY,
    Sink,
    SmtpClient,
    SubjectEngine,
    block,
    mail_bytes,
    snapshot_of,
    tenant,
    until,
)
from tests.seg_bridge.gate.processes import HttpIngest, Zygote
from tests.seg_bridge.gate.test_queues import order

INFO, CEO, OTHER = "info@acme.example", "ceo@acme.example", "info@globex.example"


async def send(host, raw, *recipients, sender="ann@sender.example"):
    client = await SmtpClient.connect("127.0.0.1", host.port)
    try:
        return await client.send(raw, *(recipients or (INFO,)), sender=sender)
    finally:
        client.close()


@pytest.fixture
async def sink(postfix_host):
    async with Sink(port=postfix_host.next_hop_port) as running:
        yield running


def trace_of(data: bytes) -> Trace:
    (value,) = header_values(data, TRACE_HEADER)
    trace = check_trace(value, {"k1": TRACE_KEY})
    assert trace is not None
    return trace


async def test_a_mail_goes_through_and_the_next_hops_answer_comes_from_the_log(
    behind_postfix, postfix_host, sink
):
    async with behind_postfix() as gate:
        assert (await send(postfix_host, mail_bytes())).startswith("250 2.0.0 Ok: queued as")
        await until(lambda: gate.outcomes() == {INFO: "delivered"})
        passed, delivered = gate.observations()
        assert passed["action"] == "passed"
        assert passed["detail"]["tls"] == ""
        assert passed["detail"]["queue_id"] == delivered["detail"]["queue_id"] != ""
        assert passed["observed_at"] < delivered["observed_at"]
        assert passed["source_key"] == delivered["source_key"]
        assert delivered["detail"]["next_hop_reply"] == "250 taken"
        assert delivered["detail"]["next_hop"].endswith(f":{sink.port}")
    (mail,) = sink.mails
    assert trace_of(mail.data).ulid == passed["trace_ulid"]
    assert mail.data.endswith(mail_bytes())


async def test_postfix_strips_and_stamps_as_the_gate_says(behind_postfix, postfix_host, sink):
    forged = (
        b"X-Bailey-Trace: forged\r\nx-bailey-verdict : clean\r\nX-Bailey-Foo: a\r\n b\r\n"
        b"Authentication-Results: gate1.example; dmarc=pass\r\n"
        b"Authentication-Results: other.example; spf=pass\r\n"
        b'Authentication-Results: (c) "GATE1.example" 1; dmarc=pass\r\nX-Fold: a\r\n\tb\r\n'
    )
    rest = b"Subject:suspicious 9\r\nFrom:  Ann <ann@sender.example>\r\n\r\n..dot\r\nend\r\n"
    async with behind_postfix(mark_subject="[CHECK]"):
        await send(postfix_host, forged + rest)
        await until(lambda: sink.mails)
    data = sink.mails[0].data
    assert len(header_values(data, TRACE_HEADER)) == 1
    assert header_values(data, "X-Bailey-Verdict") == ["suspicious"]
    assert header_values(data, "X-Bailey-Foo") == []
    assert header_values(data, "Authentication-Results") == [
        "gate1.example; spf=pass smtp.mailfrom=sender.example",
        "other.example; spf=pass",
    ]
    assert header_values(data, "Subject") == ["[CHECK] suspicious 9"]
    assert b"\r\nX-Fold: a\r\n\tb\r\nSubject: [CHECK] suspicious 9\r\nFrom:  Ann" in data
    assert data.endswith(b"\r\n\r\n..dot\r\nend\r\n")


async def test_a_subject_in_bare_utf8_reaches_a_host_that_offers_no_smtputf8(
    behind_postfix, postfix_host, sink
):
    """As with any mail host: only who asked for SMTPUTF8 needs it on the way."""
    sink.extensions = ("SIZE 1000000", "8BITMIME")
    raw = "Subject: Grüße\r\nFrom: Ann <ann@sender.example>\r\n\r\nhello\r\n".encode()
    async with behind_postfix() as gate:
        assert (await send(postfix_host, raw)).startswith("250")
        await until(lambda: gate.outcomes() == {INFO: "delivered"})
    assert "Subject: Grüße\r\n".encode() in sink.mails[0].data


async def test_held_mail_is_answered_for_and_goes_nowhere(behind_postfix, postfix_host, sink):
    raw = mail_bytes("phish 9")
    async with behind_postfix() as gate:
        assert (await send(postfix_host, raw)).startswith("250")
        assert gate.outcomes() == {INFO: "held"}
        assert [path.read_bytes() for path in gate.originals()] == [raw]
        await until(lambda: "milter-discard" in postfix_host.log)
    assert sink.mails == []


async def test_a_mail_for_two_clients_is_split(behind_postfix, postfix_host, sink):
    rules = (block("ann@sender.example", recipient=CEO),)
    async with behind_postfix(tenant("globex", 2, sink.hop), rules=rules) as gate:
        assert (await send(postfix_host, mail_bytes(), INFO, CEO, OTHER)).startswith("250")
        done = {INFO: "delivered", CEO: "held", OTHER: "delivered"}
        await until(lambda: gate.outcomes() == done)
    traces = {mail.recipients[0]: trace_of(mail.data) for mail in sink.mails}
    assert {name: trace.tenant_id for name, trace in traces.items()} == {INFO: 1, OTHER: 2}
    assert len({trace.ulid for trace in traces.values()}) == 1


async def test_a_next_hop_that_is_down_keeps_the_mail_in_the_queue(
    behind_postfix, postfix_host, sink
):
    sink._server.close()
    async with behind_postfix() as gate:
        assert (await send(postfix_host, mail_bytes())).startswith("250")
        await until(lambda: gate.outcomes() == {INFO: "deferred"})
        assert "Connection refused" in gate.observations()[-1]["detail"]["next_hop_reply"]
        async with Sink(port=sink.port) as again:
            await until(lambda: gate.outcomes() == {INFO: "delivered"}, 15)
            assert again.recipients() == [INFO]
        actions = [each["action"] for each in gate.observations()]
        assert actions == ["passed", "deferred", "delivered"]


async def test_a_next_hop_that_refuses_is_on_record(behind_postfix, postfix_host, sink):
    sink.replies[f"RCPT TO:<{INFO}"] = "550 5.1.1 no such user"
    async with behind_postfix() as gate:
        assert (await send(postfix_host, mail_bytes(), sender="")).startswith("250")
        await until(lambda: gate.outcomes() == {INFO: "rejected"})
        assert "550 5.1.1 no such user" in gate.observations()[-1]["detail"]["next_hop_reply"]


async def test_without_a_gate_the_sender_keeps_the_mail(behind_postfix, postfix_host, sink):
    async with behind_postfix():
        pass
    client = await SmtpClient.connect("127.0.0.1", postfix_host.port)
    replies = await client.envelope(INFO)
    client.close()
    assert next(each for each in replies if each[0] != "2").startswith("451 4.7.1")


async def test_a_gate_that_is_killed_over_a_mail_leaves_it_with_its_sender(
    postfix_host, sink, tmp_path
):
    with Zygote() as zygote, HttpIngest() as web:
        policy = snapshot_of(tenant("acme", 1, sink.hop))
        web.ingest.snapshot = sign_snapshot(policy.as_json(), SECRET)
        order = {
            "milter": str(postfix_host.socket),
            "reinject": list(postfix_host.reinject),
            "postfix": str(postfix_host.folder),
        }
        gate = await asyncio.to_thread(
            zygote.start, "gate", tmp_path / "gate", web.url, "", **order
        )
        assert gate is not None
        try:
            await until((tmp_path / "gate" / "snapshot.json").exists)
            sending = asyncio.create_task(send(postfix_host, mail_bytes("sleep 60")))
            await asyncio.sleep(0.4)
            await asyncio.to_thread(gate.kill)
            assert (await sending).startswith("451 4.7.1")
        finally:
            await asyncio.to_thread(gate.kill)
    assert sink.mails == []


async def test_a_new_domain_is_served_and_a_removed_mailbox_refused_at_once(
    behind_postfix, postfix_host, sink
):
    async with behind_postfix() as gate:
        newcomer = "info@new.example"
        assert (await send(postfix_host, mail_bytes(), newcomer)).startswith("554 5.7.1")
        fewer = tenant("acme", 1, sink.hop, "ceo")
        newer = snapshot_of(fewer, tenant("new", 3, sink.hop), version="v2").as_json()
        started = time.monotonic()
        gate.gate.keeper.replace(sign_snapshot(newer, SECRET))
        while (reply := await send(postfix_host, mail_bytes(), newcomer)).startswith("554"):
            assert time.monotonic() - started < 5
            await asyncio.sleep(0.05)
        assert reply.startswith("250")
        assert time.monotonic() - started < 5
        assert (await send(postfix_host, mail_bytes(), INFO)).startswith("550 5.1.1")
        await until(lambda: sink.recipients() == [newcomer])


async def test_tables_are_in_force_without_a_gate_or_console(behind_postfix, postfix_host, sink):
    async with behind_postfix():
        pass
    postfix_host.stop()
    postfix_host.start()
    client = await SmtpClient.connect("127.0.0.1", postfix_host.port)
    unknown = await client.send(mail_bytes(), "info@elsewhere.example")
    client.close()
    assert unknown.startswith(("554 5.7.1", "451 4.7.1"))


async def test_a_forged_trace_is_not_taken_for_ours(behind_postfix, postfix_host, sink):
    forged = (
        b"X-Bailey-Trace: v1; k=k1; t=2; u=01ARZ3NDEKTSV4RRFFQ69G5FAV;\r\n"
        b"Message-ID: <x: bailey t=2 u=01ARZ3NDEKTSV4RRFFQ69G5FAV>\r\n"
    )
    raw = forged + b"Subject: clean\r\nFrom: Ann <ann@sender.example>\r\n\r\nbody\r\n"
    async with behind_postfix() as gate:
        await send(postfix_host, raw)
        await until(lambda: gate.outcomes() == {INFO: "delivered"})
        assert {each["tenant_id"] for each in gate.observations()} == {1}
        assert len({each["trace_ulid"] for each in gate.observations()}) == 1


async def test_tls_is_offered_and_on_record(behind_postfix, postfix_host, sink):
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with behind_postfix() as gate:
        client = await SmtpClient.connect("127.0.0.1", postfix_host.port)
        assert "STARTTLS" in await client.command("EHLO x")
        assert (await client.command("STARTTLS")).startswith("220")
        await client.writer.start_tls(context)
        assert (await client.send(mail_bytes(), INFO)).startswith("250")
        client.close()
        assert gate.observations()[0]["detail"]["tls"].startswith("TLSv1")


class Slow(SubjectEngine):
    @override
    async def scan(self, raw, facts, envelope):
        await asyncio.sleep(0.5)
        return await super().scan(raw, facts, envelope)


async def test_a_client_that_hangs_up_after_its_mail_loses_nothing(
    behind_postfix, postfix_host, sink
):
    async with behind_postfix(engines=[Slow()]) as gate:
        client = await SmtpClient.connect("127.0.0.1", postfix_host.port)
        await client.envelope(INFO)
        await client.command("DATA")
        client.writer.write(mail_bytes() + b".\r\n")
        await client.writer.drain()
        await asyncio.sleep(0.2)
        client.close()
        await until(lambda: gate.outcomes() == {INFO: "delivered"})
    assert len(sink.mails) == 1


async def test_postfix_goes_to_the_backup_host_and_asks_the_gate_for_who_is_not_listed(
    behind_postfix, postfix_host, sink
):
    backup = tenant("initech", 3, "127.0.0.1:1", "info", domains=())
    domain = DomainRoute(
        name="initech.example",
        next_hop="127.0.0.1:1",
        backup_hop=sink.hop,
        recipients=frozenset(),
        asks_hop=True,
    )
    sink.replies["RCPT TO:<gone@"] = "550 5.1.1 no"
    async with behind_postfix(replace(backup, domains=(domain,))):
        reply = await send(postfix_host, mail_bytes(), "gone@initech.example")
        assert reply.startswith("550 5.1.1")
        assert (await send(postfix_host, mail_bytes(), "new@initech.example")).startswith("250")
        await until(lambda: sink.recipients() == ["new@initech.example"])


async def test_postfix_gives_no_mail_that_must_go_by_tls_to_a_host_without(
    behind_postfix, postfix_host, sink
):
    domain = DomainRoute(
        name="hooli.example",
        next_hop=sink.hop,
        recipients=frozenset({"info@hooli.example"}),
        tls=HopTls.MUST,
    )
    async with behind_postfix(tenant("hooli", 4, sink.hop, domains=(domain,))) as gate:
        await send(postfix_host, mail_bytes("any way"), INFO)
        await until(lambda: sink.recipients() == [INFO])  # the same host, and Acme asks for no TLS
        sink.mails.clear()
        await send(postfix_host, mail_bytes(), "info@hooli.example")
        await until(lambda: gate.outcomes().get("info@hooli.example") == "deferred")
        assert "TLS is required" in gate.observations()[-1]["detail"]["next_hop_reply"]
    assert sink.mails == []


async def test_postfixs_queue_is_told_and_changed_by_its_clerk(behind_postfix, postfix_host, sink):
    """Held, let go on, returned: each order once, each by the clerk that runs beside Postfix."""
    sink.replies["RCPT TO:<"] = "450 4.2.0 later"
    async with behind_postfix() as gate:
        await send(postfix_host, mail_bytes("first"))
        await until(lambda: any(each["items"] for each in gate.ingest.queues), 20.0)
        (item,) = gate.ingest.queues[-1]["items"]
        assert (item["tenant_id"], item["recipient"]) == (1, INFO)
        assert "450 4.2.0 later" in item["reason"]
        assert item["trace_ulid"] == gate.observations()[0]["trace_ulid"]

        async def told(kind: str) -> str:
            wanted = order(kind, item["queue_id"], seq=len(gate.ingest.commands) + 1)
            gate.ingest.commands = [*gate.ingest.commands, wanted]
            await until(lambda: wanted["id"] in done(gate), 20.0)
            return done(gate)[wanted["id"]]

        assert await told("q_hold") == "put on hold"
        await until(lambda: gate.ingest.queues[-1]["items"][0]["where"] == "hold", 20.0)
        sink.replies.clear()
        assert await told("q_free") == "let go on"
        await until(lambda: sink.recipients() == [INFO])
        await until(lambda: not gate.ingest.queues[-1]["items"], 20.0)
        assert await told("q_remove") == "This mail is no longer in the queue."

        sink.replies["RCPT TO:<"] = "450 4.2.0 later"
        await send(postfix_host, mail_bytes("second"))
        await until(lambda: gate.ingest.queues[-1]["items"], 20.0)
        (item,) = gate.ingest.queues[-1]["items"]
        assert await told("q_hold") == "put on hold"
        assert await told("q_return") == "returned to its sender"
        await until(lambda: gate.outcomes()[INFO] == "rejected", 20.0)
        assert "its sender gets a notice" in gate.observations()[-1]["rule"]
        await until(lambda: not gate.ingest.queues[-1]["items"], 20.0)
        assert f"{item['queue_id']}: sender non-delivery notification" in postfix_host.log


def done(gate) -> dict[str, str]:
    records = [each["command"] for each in gate.records() if each["kind"] == "command"]
    return {each["command_id"]: each["detail"] for each in records}
