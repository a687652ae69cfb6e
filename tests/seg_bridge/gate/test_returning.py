"""Returned to its sender by the embedded front: the notice, who gets none, and what then stays."""

from __future__ import annotations

import asyncio
from email import message_from_bytes, policy

import pytest

from seg_bridge.engines.embedded.resolver import ResolverFailed
from seg_bridge.gate import queues, returning
from seg_bridge.gate.returning import mail_hosts
from seg_bridge.gate.spool import SpoolTimes
from tests.seg_bridge.engines.dns import TableLookup
from tests.seg_bridge.gate.parts import Sink, mail_bytes, tenant, until
from tests.seg_bridge.gate.test_queues import CEO, INFO, obeyed, order

SENDER = "ann@sender.example"
MX = {("sender.example", "MX"): ("10 127.0.0.1",)}


@pytest.mark.parametrize(
    ("table", "hosts"),
    [
        ({("x.example", "MX"): ("20 b.example", "10 a.example")}, ["a.example", "b.example"]),
        ({("x.example", "MX"): ("0 .",)}, []),
        ({("x.example", "A"): ("192.0.2.1",)}, ["x.example"]),
        ({("x.example", "AAAA"): ("2001:db8::1",)}, ["x.example"]),
        ({}, []),
    ],
)
def test_where_mail_for_a_domain_goes(table, hosts):
    assert mail_hosts("x.example", TableLookup(table)) == hosts


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(queues, "LOOK_EVERY_S", 0.05)


@pytest.fixture
async def senders_host(monkeypatch):
    async with Sink() as running:
        monkeypatch.setattr(returning, "MX_PORT", running.port)
        yield running


@pytest.fixture
def spooling(gate_for, sink, monkeypatch):
    """A gate with one copy in its spool, and its place in the queue."""

    async def make(table, *others, sender=SENDER):
        broken = frozenset() if table is not None else frozenset("*")
        lookup = TableLookup(table or {}, broken)
        monkeypatch.setattr("seg_bridge.gate.server.Resolver", lambda _: lookup)
        sink.replies[f"RCPT TO:<{CEO}"] = "450 4.7.1 greylisted"
        gate = gate_for(*others, spool_times=SpoolTimes(first_retry_s=600.0))
        await gate.__aenter__()
        assert (await gate.send(mail_bytes(), INFO, CEO, sender=sender)).startswith("250")
        await until(lambda: gate.ingest.queues and gate.ingest.queues[-1]["items"])
        (item,) = gate.ingest.queues[-1]["items"]
        return gate, item

    return make


async def test_the_sender_gets_a_notice_and_the_mail_is_gone(spooling, sink, senders_host):
    gate, item = await spooling(MX)
    try:
        assert item["may_return"] is True
        assert await obeyed(gate, order("q_return", item["queue_id"])) == (True, "done")
        (notice,) = senders_host.mails
        assert (notice.mail_from, notice.recipients) == ("", [SENDER])
        parsed = message_from_bytes(notice.data, policy=policy.default)
        assert parsed.get_content_type() == "multipart/report"
        assert parsed["Auto-Submitted"] == "auto-replied"
        text, status, head = parsed.iter_parts()
        assert CEO in text.get_content()
        assert INFO not in notice.data.decode().split("text/rfc822-headers")[0]
        assert f"Final-Recipient: rfc822; {CEO}" in notice.data.decode()
        assert "Diagnostic-Code: smtp; 450 4.7.1 greylisted" in notice.data.decode()
        assert status.get_content_type() == "message/delivery-status"
        assert "Subject: Hello" in head.get_content()
        assert b"X-Bailey-" not in notice.data
        await until(lambda: not gate.ingest.queues[-1]["items"])
        last = gate.observations()[-1]
        assert (last["recipient"], last["action"]) == (CEO, "rejected")
        assert last["rule"] == "returned to its sender by Ana"
    finally:
        await gate.__aexit__()


@pytest.mark.parametrize(
    ("table", "replies", "words"),
    [
        (None, {}, "The DNS gave no answer about sender.example"),
        ({}, {}, "sender.example takes no mail"),
        (MX, {"RCPT": "550 5.1.1 nobody"}, "did not take the notice: 550 5.1.1 nobody"),
        (MX, {".": "451 later"}, "did not take the notice: 451 later"),
    ],
)
async def test_where_the_sender_cannot_be_told_the_mail_stays(
    spooling, senders_host, table, replies, words
):
    senders_host.replies.update(replies)
    gate, item = await spooling(table)
    try:
        ok, said = await obeyed(gate, order("q_return", item["queue_id"]))
        assert not ok
        assert words in said
        await asyncio.sleep(0.1)
        (still,) = gate.ingest.queues[-1]["items"]
        assert still["where"] == "deferred"
        assert not senders_host.mails
    finally:
        await gate.__aexit__()


async def test_a_client_as_sender_is_told_by_people(spooling, sink, senders_host):
    gate, item = await spooling(MX, tenant("globex", 2, sink.hop), sender="info@globex.example")
    try:
        ok, said = await obeyed(gate, order("q_return", item["queue_id"]))
        assert (ok, said) == (False, returning.OURS)
    finally:
        await gate.__aexit__()


async def test_the_empty_sender_gets_nothing(spooling, senders_host):
    gate, item = await spooling(MX, sender="")
    try:
        assert item["may_return"] is False
        assert await obeyed(gate, order("q_return", item["queue_id"])) == (
            False,
            returning.NO_SENDER,
        )
    finally:
        await gate.__aexit__()


def test_a_resolver_that_fails_is_not_an_empty_answer():
    with pytest.raises(ResolverFailed):
        mail_hosts("x.example", TableLookup({}, frozenset("*")))
