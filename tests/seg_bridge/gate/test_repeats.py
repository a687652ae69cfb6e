"""A mail that its sender repeats after a half-finished step: what was done is not done again."""

import asyncio
import errno
import os
from dataclasses import replace

import pytest
from typing_extensions import override

from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.conversation import Conversation
from seg_bridge.gate.recovery import MOST_LAST, read_leftovers
from seg_bridge.gate.repeats import KEEP_PUT_OFF_S, Repeats, repeat_key
from tests.seg_bridge.gate.mta import mail_packets
from tests.seg_bridge.gate.parts import SubjectEngine, block, mail_bytes, tenant, until
from tests.seg_bridge.gate.test_milter import CEO, INFO, OTHER, Waiting, mta_of, send

THIRD = "info@initech.example"
KEY = repeat_key("inbound", "ann@sender.example", mail_bytes())
QUEUED = "250 2.0.0 Ok: queued as 4AAAA"


def two_more():
    return tenant("globex", 2, "127.0.0.1:1"), tenant("initech", 3, "127.0.0.1:1")


# The store


def test_what_is_noted_is_known_to_every_process_and_for_a_time_only(tmp_path):
    now = [1000.0]
    one = Repeats(tmp_path, now=lambda: now[0])
    one.note(KEY, "ULID1", [INFO], keep_s=60)
    one.note(KEY, "ULID2", [CEO], keep_s=10)
    other = Repeats(tmp_path, now=lambda: now[0])
    assert other.done_before(KEY) == {INFO: "ULID1", CEO: "ULID2"}
    assert other.done_before(repeat_key("outbound", "ann@sender.example", mail_bytes())) == {}
    assert other.done_before(repeat_key("inbound", "bob@sender.example", mail_bytes())) == {}
    assert other.done_before(repeat_key("inbound", "ann@sender.example", mail_bytes("x"))) == {}
    now[0] += 59
    assert other.done_before(KEY), "the longer time counts"
    now[0] += 2
    assert other.done_before(KEY) == {}
    other.sweep()
    assert list(tmp_path.iterdir()) == []


def test_no_more_than_so_many_mails_are_kept_the_newest(tmp_path):
    repeats = Repeats(tmp_path, most=3)
    keys = [repeat_key("inbound", str(number), b"") for number in range(5)]
    for age, key in enumerate(reversed(keys)):
        repeats.note(key, "ULID", [INFO], keep_s=60)
        os.utime(tmp_path / f"{key}.json", (1000 - age, 1000 - age))
    repeats.sweep()
    assert [bool(repeats.done_before(key)) for key in keys] == [False, False, True, True, True]


@pytest.mark.parametrize("content", [b"", b"[1]", b'[{"a": "b"}, "x"]', b"[[], 1]"])
def test_a_note_that_cannot_be_read_leaves_the_mail_to_be_done_again(tmp_path, content):
    (tmp_path / f"{KEY}.json").write_bytes(content)
    assert Repeats(tmp_path).done_before(KEY) == {}


def test_where_the_disk_fails_this_process_still_knows(tmp_path, monkeypatch):
    def fail(fd):
        raise OSError(errno.ENOSPC, "full")

    repeats = Repeats(tmp_path)
    monkeypatch.setattr(os, "fsync", fail)
    repeats.note(KEY, "ULID1", [INFO], keep_s=60)
    monkeypatch.undo()
    assert repeats.done_before(KEY) == {INFO: "ULID1"}
    repeats.note(KEY, "ULID2", [CEO], keep_s=60)
    assert Repeats(tmp_path).done_before(KEY) == {INFO: "ULID1", CEO: "ULID2"}


# Behind Postfix


async def test_a_copy_that_was_sent_apart_is_not_sent_again_when_another_one_failed(
    milter_for, sink
):
    sink.replies["."] = QUEUED
    sink.replies[f"RCPT TO:<{THIRD}"] = "451 later"
    rules = (block("ann@sender.example", recipient=CEO),)
    async with milter_for(*two_more(), rules=rules) as gate:
        everybody = (INFO, CEO, OTHER, THIRD)
        assert (await send(gate, mail_bytes(), *everybody)).final.startswith("451 4.4.0")
        assert gate.originals() == [], "what was not answered for is not held"
        del sink.replies[f"RCPT TO:<{THIRD}"]
        again = await send(gate, mail_bytes(), *everybody)
        assert (again.final, again.recipients) == ("queued", [INFO])
        assert sink.recipients() == [OTHER, THIRD], "each once"
        assert len(gate.originals()) == 1
        assert gate.outcomes() == {INFO: "passed", CEO: "held", OTHER: "passed", THIRD: "passed"}
        told = [each["recipient"] for each in gate.observations() if each["action"] == "passed"]
        assert sorted(told) == sorted([INFO, OTHER, THIRD]), "and each is on record once"


async def test_a_mail_of_another_sender_or_content_is_no_repeat(milter_for, sink):
    sink.replies["."] = QUEUED
    sink.replies[f"RCPT TO:<{THIRD}"] = "451 later"
    async with milter_for(*two_more()) as gate:
        await send(gate, mail_bytes(), INFO, OTHER, THIRD)
        assert sink.recipients() == [OTHER]
        await send(gate, mail_bytes(), INFO, OTHER, THIRD, sender="bob@sender.example")
        await send(gate, mail_bytes("Hello", body="Another.\r\n"), INFO, OTHER, THIRD)
        assert sink.recipients() == [OTHER, OTHER, OTHER]


async def test_what_was_done_before_postfix_hung_up_is_not_done_again(milter_for, sink):
    sink.replies["."] = QUEUED
    engine = Waiting()
    rules = (block("ann@sender.example", recipient=CEO),)
    async with milter_for(two_more()[0], rules=rules, engines=[engine]) as gate:
        async with mta_of(gate) as mta:
            await mta.envelope([INFO, CEO, OTHER])
            mta.say(mail_packets(mail_bytes(), "4F1C2"))
            await engine.asked.wait()
        engine.go.set()
        await until(lambda: len(gate.observations()) == 6)
        again = await send(gate, mail_bytes(), INFO, CEO, OTHER, queue_id="4F1C3")
        assert (again.final, again.recipients) == ("queued", [INFO])
        assert sink.recipients() == [OTHER]
        assert len(gate.originals()) == 1
        assert gate.outcomes() == {INFO: "passed", CEO: "held", OTHER: "passed"}
        # Everything is done now, but Postfix could not queue the rest: INFO comes once more.
        third = await send(gate, mail_bytes(), INFO, CEO, OTHER, queue_id="4F1C4")
        assert (third.final, third.recipients) == ("queued", [INFO])
        assert sink.recipients() == [OTHER]


async def test_if_all_was_held_before_postfix_hung_up_the_repeat_is_taken_and_forgotten(milter_for):
    engine = Waiting()
    async with milter_for(engines=[engine]) as gate:
        async with mta_of(gate) as mta:
            await mta.envelope([INFO])
            mta.say(mail_packets(mail_bytes("phish 9"), "4F1C2"))
            await engine.asked.wait()
        engine.go.set()
        await until(lambda: len(gate.observations()) == 2)
        assert (await send(gate, mail_bytes("phish 9"))).final == "discarded"
        assert len(gate.observations()) == 2
        assert len(gate.originals()) == 1


async def test_what_the_journal_could_not_take_is_not_sent_apart_again(
    milter_for, sink, monkeypatch
):
    sink.replies["."] = QUEUED
    real, calls = os.fdatasync, []

    def fail_at_done(fd):
        calls.append(fd)
        if len(calls) == 2:
            raise OSError(errno.EIO, "sick")
        real(fd)

    async with milter_for(two_more()[0]) as gate:
        monkeypatch.setattr(os, "fdatasync", fail_at_done)
        assert (await send(gate, mail_bytes(), INFO, OTHER)).final.startswith("451 4.3.0")
        monkeypatch.setattr(os, "fdatasync", real)
        assert (await send(gate, mail_bytes(), INFO, OTHER)).recipients == [INFO]
        assert sink.recipients() == [OTHER]


async def test_a_rest_that_is_refused_now_is_held_since_others_got_theirs(milter_for, sink):
    sink.replies["."] = QUEUED
    sink.replies[f"RCPT TO:<{THIRD}"] = "451 later"
    gate = milter_for(*two_more(), matrix={Verdict.SPAM: MatrixAction.REJECT})
    async with gate:
        await send(gate, mail_bytes(), OTHER, THIRD)
    gate.engines = [Condemning()]
    async with gate:
        repeated = await send(gate, mail_bytes(), OTHER, INFO)
        assert repeated.final == "discarded"
        assert gate.outcomes()[INFO] == "held"


class Condemning(SubjectEngine):
    @override
    async def scan(self, raw, facts, envelope):
        return await super().scan(raw, replace(facts, subject="spam 9"), envelope)


# The embedded front


@pytest.fixture
def mixed_gate(gate_for):
    """Two clients with one next hop, and a recipient whose copy is held."""

    def make(sink, **changes):
        globex = tenant("globex", 2, sink.hop)
        return gate_for(globex, rules=(block("ann@sender.example", recipient=CEO),), **changes)

    return make


@pytest.fixture
def heard(monkeypatch):
    """Set as soon as a gate knows that a client has hung up."""
    event, real = asyncio.Event(), Conversation.eof_received

    def eof_received(conversation):
        stays_open = real(conversation)
        event.set()
        return stays_open

    monkeypatch.setattr(Conversation, "eof_received", eof_received)
    return event


async def test_a_client_that_hung_up_before_our_250_repeats_in_vain(mixed_gate, sink, heard):
    engine = Waiting()
    async with mixed_gate(sink, engines=[engine]) as gate:
        client = await gate.connect()
        await client.envelope(INFO, CEO, OTHER)
        await client.command("DATA")
        client.writer.write(mail_bytes() + b".\r\n")
        await engine.asked.wait()
        client.close()
        await asyncio.wait_for(heard.wait(), 8)
        engine.go.set()
        notes = gate.settings.repeats_folder
        await until(lambda: len(sink.mails) == 2 and any(notes.glob("*.json")))
        assert await gate.send(mail_bytes(), INFO, CEO, OTHER) == "250 2.0.0 Ok: taken before"
        assert sink.recipients() == [INFO, OTHER]
        assert len(gate.observations()) == 3
        assert len(gate.originals()) == 1


async def test_what_was_relayed_before_the_journal_failed_is_not_relayed_again(
    mixed_gate, sink, monkeypatch
):
    real, calls = os.fdatasync, []

    def fail_at_done(fd):
        calls.append(fd)
        if len(calls) == 2:
            raise OSError(errno.EIO, "sick")
        real(fd)

    async with mixed_gate(sink) as gate:
        monkeypatch.setattr(os, "fdatasync", fail_at_done)
        assert (await gate.send(mail_bytes(), INFO, CEO, OTHER)).startswith("451 4.3.0")
        monkeypatch.setattr(os, "fdatasync", real)
        assert gate.originals() == []
        assert (await gate.send(mail_bytes(), INFO, CEO, OTHER)).startswith("250")
        assert sink.recipients() == [INFO, OTHER]
        assert len(gate.originals()) == 1, "the held copy was not answered for: it is held now"


async def test_a_repeat_of_a_mail_that_nobody_took_is_done_anew(gate_for, sink):
    sink.replies["."] = "451 later"
    async with gate_for() as gate:
        assert (await gate.send(mail_bytes())).startswith("451")
        del sink.replies["."]
        assert (await gate.send(mail_bytes())).startswith("250")
        assert (await gate.send(mail_bytes())).startswith("250")
        assert len(sink.mails) == 2, "who heard 250 and sends again wants it twice"


# After a death


async def test_what_was_done_just_before_a_death_is_noted_at_the_start(mixed_gate, sink, tmp_path):
    gate = mixed_gate(sink)
    async with gate:
        await gate.send(mail_bytes(), INFO, CEO, OTHER)
        leftovers = read_leftovers(gate.settings.journal_folder)
        (last,) = leftovers.last
        assert (last.key, set(last.settled)) == (KEY, {INFO, CEO, OTHER})
        noted = Repeats(tmp_path / "noted")
        leftovers.note_unheard(noted)
        assert set(noted.done_before(KEY)) == {INFO, CEO, OTHER}
    assert not read_leftovers(gate.settings.journal_folder).last, "it ended in order"
    assert leftovers.last.maxlen == MOST_LAST
    assert KEEP_PUT_OFF_S > 5 * 86400, "senders go on for five days"


async def test_a_mail_has_the_same_key_by_both_fronts(milter_for, gate_for, tmp_path):
    """The leading space of headers and their line ends do not make a repeat another mail."""
    wanted = repeat_key("inbound", "ann@sender.example", mail_bytes("phish 9"))
    async with milter_for() as gate:
        await send(gate, mail_bytes("phish 9"))
        (by_milter,) = read_leftovers(gate.settings.journal_folder).last
        assert by_milter.key == wanted
    async with gate_for() as gate:
        await gate.send(mail_bytes("phish 9"), CEO)
        (by_smtp,) = read_leftovers(gate.settings.journal_folder).last
        assert by_smtp.key == wanted
