"""The milter front against a scripted MTA: protocol, commit, split, faults."""

import asyncio
import contextlib
import errno
import os
import struct

import pytest
from typing_extensions import override

from incidents.mail.headers import header_values
from incidents.mail.trace import TRACE_HEADER, check_trace
from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.limits import FrontLimits
from tests.seg_bridge.gate.mta import ScriptedMta, connect, macros, mail_packets, packet
from tests.seg_bridge.gate.parts import TRACE_KEY, SubjectEngine, block, mail_bytes, tenant

INFO, CEO, OTHER = "info@acme.example", "ceo@acme.example", "info@globex.example"


@contextlib.asynccontextmanager
async def mta_of(gate, **options):
    mta = await ScriptedMta.connect(gate.settings.milter, **options)
    try:
        yield mta
    finally:
        mta.close()


async def send(gate, raw, *recipients, **options):
    async with mta_of(gate) as mta:
        return await mta.send(raw, *recipients, **options)


class Waiting(SubjectEngine):
    """Answers when it is let go."""

    def __init__(self):
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    @override
    async def scan(self, raw, facts, envelope):
        self.asked.set()
        await self.go.wait()
        return await super().scan(raw, facts, envelope)


# Protocol


async def test_only_the_steps_that_are_needed_are_asked_for(milter_for):
    async with milter_for() as gate, mta_of(gate, greets=False) as mta:
        letter, data = await mta.negotiate()
        assert letter == "O"
        version, actions, steps = struct.unpack(">III", data[:12])
        assert (version, actions) == (6, 0x119)
        assert steps & 0x100000, "header values keep their leading space"
        assert steps & 0x3000 == 0x3000, "connect and helo need no answer"
        assert steps & 0x80080 == 0x80080, "nor do headers and body"
        assert steps & 0x4000, "a sender's is given to his recipients"
        assert not steps & 0x8000, "every recipient gets an answer"


@pytest.mark.parametrize(
    ("version", "actions", "steps"),
    [(2, 0x1FF, 0x1FFFFF), (6, 0x01, 0x1FFFFF), (6, 0x1FF, 0x0FFFFF), (6, 0x1FF, 0)],
)
async def test_an_mta_that_cannot_do_what_we_need_is_left(milter_for, version, actions, steps):
    async with milter_for() as gate, mta_of(gate, greets=False) as mta:
        assert await mta.negotiate(version, actions, steps) == ("", b"")


@pytest.mark.parametrize(
    "noise",
    [
        struct.pack(">I", 0) + b"x",
        struct.pack(">I", 2**31),
        struct.pack(">I", 2**24) + b"L",
        packet("Z"),
        packet("O", b"short"),
        packet("L", b"no mail\0value\0"),
        packet("M", b""),
    ],
)
async def test_what_is_no_milter_protocol_ends_the_connection(milter_for, noise):
    async with milter_for() as gate, mta_of(gate) as mta:
        mta.say(noise)
        assert await mta.answer() == ("", b"")
        assert (await send(gate, mail_bytes())).final == "queued", "and nobody else's"


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_packets_may_come_in_any_pieces(milter_for, size):
    async with milter_for() as gate, mta_of(gate) as mta:
        taken = await mta.envelope([INFO])
        wire = mail_packets(mail_bytes(), "4F1C2")
        for start in range(0, len(wire), size):
            mta.say(wire[start : start + size])
            if size < 10:
                await asyncio.sleep(0)
        assert (await mta.end(mail_bytes(), taken)).final == "queued"


async def test_a_body_in_many_chunks_is_one_mail(milter_for):
    raw = mail_bytes(body="0123456789abcdef\r\n" * 500)
    async with milter_for(keep_original=frozenset({Verdict.CLEAN})) as gate:
        assert (await send(gate, raw, chunk_bytes=100)).final == "queued"
        assert [path.read_bytes() for path in gate.originals()] == [raw]


async def test_a_mail_without_a_body_is_a_mail(milter_for):
    raw = b"Subject: phish 9\r\n\r\n"
    async with milter_for() as gate:
        assert (await send(gate, raw)).final == "discarded"
        assert [path.read_bytes() for path in gate.originals()] == [raw]


async def test_folded_and_odd_headers_are_read_as_they_came(milter_for):
    raw = (
        b"Subject:phish 9\r\nX-Odd:\tone\r\n two\r\n\tthree\r\nX-Empty:\r\n"
        b"From: \xe4 <a@b.example>\r\n\r\nbody\r\n"
    )
    async with milter_for() as gate:
        await send(gate, raw)
        assert [path.read_bytes() for path in gate.originals()] == [raw]


async def test_an_abort_forgets_the_mail_and_nothing_else(milter_for):
    async with milter_for() as gate, mta_of(gate) as mta:
        await mta.envelope([INFO])
        mta.say(packet("L", b"Subject\0 half\0") + packet("A"))
        assert (await mta.send(mail_bytes("whole"))).final == "queued"
        assert [each["mail"]["subject"] for each in gate.observations()] == ["whole"]


async def test_many_mails_go_over_one_connection(milter_for):
    async with milter_for() as gate, mta_of(gate) as mta:
        for number in range(5):
            result = await mta.send(mail_bytes(f"mail {number}"), queue_id=f"4F1C{number}")
            assert result.final == "queued"
        seen = [
            (each["mail"]["subject"], each["detail"]["queue_id"]) for each in gate.observations()
        ]
        assert seen == [(f"mail {n}", f"4F1C{n}") for n in range(5)]


async def test_mails_that_come_before_the_answer_wait_for_it(milter_for):
    async with milter_for() as gate, mta_of(gate) as mta:
        for number in range(3):
            mta.say(packet("M", b"<ann@sender.example>\0") + packet("R", f"<{INFO}>\0".encode()))
            mta.say(mail_packets(mail_bytes(f"phish {number + 7}"), f"4F1C{number}"))
        letters = [(await mta.answer())[0] for _ in range(6)]
        assert letters == ["c", "d"] * 3


@pytest.mark.parametrize("steps", [0x1FFFFF, 0x1FFFFF & ~0x4000])
async def test_a_sender_is_refused_at_once_or_with_each_of_his_recipients(milter_for, steps):
    async with milter_for() as gate, mta_of(gate, greets=False) as mta:
        await mta.negotiate(steps=steps)
        assert mta.is_sender_quiet == bool(steps & 0x4000)
        mta.say(connect() + packet("H", b"mail.sender.example\0"))
        refused = await mta.send(mail_bytes(), INFO, CEO, sender="a b@sender.example")
        assert refused.final.startswith("5")
        assert mta.is_sender_quiet == (mta.refusals == [refused.final] * 2)
        assert (await mta.send(mail_bytes())).final == "queued", "the next mail is another"


async def test_a_second_client_over_the_same_connection_is_not_the_first(milter_for):
    async with milter_for() as gate, mta_of(gate) as mta:
        mta.say(macros("M", tls_version="TLSv1.3", auth_authen="ann"))
        await mta.send(mail_bytes("first"))
        mta.say(packet("K") + connect("IPv6:2001:db8::7") + packet("H", b"other.example\0"))
        await mta.send(mail_bytes("second"))
        first, second = (each["detail"] for each in gate.observations())
        assert (first["client_ip"], first["helo"], first["tls"]) == (
            "203.0.113.9",
            "mail.sender.example",
            "TLSv1.3",
        )
        assert (second["client_ip"], second["helo"], second["tls"]) == (
            "2001:db8::7",
            "other.example",
            "",
        )


async def test_more_connections_than_the_limit_are_turned_away(milter_for):
    async with (
        milter_for(limits=FrontLimits(connections=1)) as gate,
        mta_of(gate) as first,
        mta_of(gate, greets=False) as second,
    ):
        assert await second.answer() == ("", b"")
        assert (await first.send(mail_bytes())).final == "queued"


# Recipients and limits


@pytest.mark.parametrize(
    "recipient",
    [
        "info%other.example@acme.example",
        "other.example!info@acme.example",
        '"info@other.example"@acme.example',
        "info@[127.0.0.1]",
        "postmaster",
        "x" * 300 + "@acme.example",
        "nobody@acme.example",
        "info@unknown.example",
        "",
    ],
)
async def test_a_recipient_that_is_not_exactly_a_mailbox_gets_550(milter_for, recipient):
    async with milter_for() as gate:
        assert (await send(gate, mail_bytes(), recipient)).final.startswith("550")


@pytest.mark.parametrize("local", ["a%b", "a!b", '"a@b"', '"a"', "a..b", "x" * 300])
async def test_a_recipient_that_could_be_read_in_two_ways_gets_550_though_it_is_listed(
    milter_for, sink, local
):
    async with milter_for(tenant("odd", 7, sink.hop, local)) as gate:
        answer = await send(gate, mail_bytes(), f"{local}@odd.example")
        assert answer.final.startswith("550 5.1.3")


@pytest.mark.parametrize("sender", ["nodomain", "a@b@c.example", "a b@c.example", "a@b..example"])
async def test_a_sender_that_two_servers_could_read_differently_is_refused(milter_for, sender):
    async with milter_for() as gate:
        assert (await send(gate, mail_bytes(), sender=sender)).final.startswith("501")


async def test_too_many_recipients_are_put_off(milter_for):
    async with milter_for(limits=FrontLimits(recipients=1)) as gate, mta_of(gate) as mta:
        assert await mta.envelope([INFO, CEO]) == [INFO]
        assert mta.refused.startswith("452 4.5.3")


async def test_a_mail_that_is_too_big_is_refused_and_not_kept_in_memory(milter_for):
    async with (
        milter_for(limits=FrontLimits(mail_bytes=10_000)) as gate,
        mta_of(gate) as mta,
    ):
        raw = mail_bytes(body="x" * 20_000 + "\r\n")
        assert (await mta.send(raw)).final.startswith("552 5.3.4")
        assert (await mta.send(mail_bytes())).final == "queued"


@pytest.mark.parametrize(
    ("bounds", "reply"),
    [
        (FrontLimits(mail_bytes=50_000, bytes_in_flight=70_000), "552 5.3.4"),
        (FrontLimits(bytes_in_flight=50_000), "452 4.3.1"),
    ],
)
async def test_a_mail_that_is_refused_takes_no_room_while_its_rest_comes(milter_for, bounds, reply):
    async with milter_for(limits=bounds) as gate, mta_of(gate) as first, mta_of(gate) as second:
        await first.envelope([INFO])
        first.say(packet("L", b"Subject\0 x\0") + packet("B", b"x" * 60_000))
        await asyncio.sleep(0.05)
        raw = mail_bytes(body="y" * 40_000 + "\r\n")
        assert (await second.send(raw)).final == "queued"
        first.say(packet("E"))
        assert (await first.end(b"", [INFO])).final.startswith(reply)


async def test_too_many_bytes_in_flight_put_a_mail_off(milter_for):
    bounds = FrontLimits(bytes_in_flight=50_000)
    async with (
        milter_for(limits=bounds) as gate,
        mta_of(gate) as first,
        mta_of(gate) as second,
    ):
        await first.envelope([INFO])
        first.say(packet("L", b"Subject\0 x\0") + packet("B", b"x" * 40_000))
        await asyncio.sleep(0.05)
        raw = mail_bytes(body="y" * 40_000 + "\r\n")
        assert (await second.send(raw)).final.startswith("452 4.3.1")
        first.close()
        await asyncio.sleep(0.05)
        assert (await second.send(raw)).final == "queued"


async def test_without_a_policy_all_is_put_off(milter_for):
    gate = milter_for()
    gate.tenants = ()
    async with gate:
        assert (await send(gate, mail_bytes())).final.startswith("451 4.3.5")


# Commit


async def test_passed_mail_is_on_record_before_the_answer(milter_for):
    async with milter_for() as gate:
        result = await send(gate, mail_bytes())
        assert (result.final, result.recipients) == ("queued", [INFO])
        (seen,) = gate.observations()
        assert [record["kind"] for record in gate.records()] == ["done"]
        assert (seen["action"], seen["place"]) == ("passed", None)
        assert seen["detail"]["queue_id"] == "4F1C2"
        assert seen["detail"]["smtp_reply"] == "250 2.0.0 Ok: queued as 4F1C2"
        assert seen["detail"]["dialogue"] == [
            ["sender", "MAIL FROM:<ann@sender.example>"],
            ["gate", "250 2.1.0 Ok"],
            ["sender", "RCPT TO:<info@acme.example>"],
            ["gate", "250 2.1.5 Ok"],
        ]


async def test_the_mail_goes_on_stamped_and_otherwise_byte_for_byte(milter_for):
    raw = mail_bytes(body="One\r\n.dot\r\n\xe4\r\n")
    async with milter_for() as gate:
        data = (await send(gate, raw)).data
    assert data.endswith(raw)
    (value,) = header_values(data, TRACE_HEADER)
    trace = check_trace(value, {"k1": TRACE_KEY})
    assert trace is not None
    assert trace.tenant_id == 1
    assert header_values(data, "Authentication-Results") == [
        "gate1.example; spf=pass smtp.mailfrom=sender.example"
    ]
    assert data.count(b"\r\nX-Bailey") + data.startswith(b"X-Bailey") == 1


async def test_words_that_only_we_may_say_are_taken_out(milter_for):
    forged = (
        b"X-Bailey-Trace: forged\r\nx-bailey-verdict : clean\r\nX-Bailey-Trace: two\r\n"
        b"Authentication-Results: other.example; spf=pass\r\n"
        b"Authentication-Results: gate1.example; dmarc=pass\r\n"
        b'Authentication-Results: (c) "GATE1.example" 1; dmarc=pass\r\n'
    )
    async with milter_for() as gate:
        data = (await send(gate, forged + mail_bytes())).data
    assert len(header_values(data, TRACE_HEADER)) == 1
    assert header_values(data, "X-Bailey-Verdict") == []
    assert header_values(data, "Authentication-Results") == [
        "gate1.example; spf=pass smtp.mailfrom=sender.example",
        "other.example; spf=pass",
    ]


@pytest.mark.parametrize(
    ("subject", "wanted"),
    [
        (b"Subject: suspicious 9\r\n", "[CHECK] suspicious 9"),
        (b"Subject:suspicious 9\r\n", "[CHECK] suspicious 9"),
        (b"subject: suspicious\r\n 9\r\n", "[CHECK] suspicious 9"),
    ],
)
async def test_marked_mail_has_its_mark_and_verdict(milter_for, subject, wanted):
    raw = subject + b"From: Ann <ann@sender.example>\r\n\r\nbody\r\n"
    async with milter_for(mark_subject="[CHECK]") as gate:
        data = (await send(gate, raw)).data
    assert header_values(data, "Subject") == [wanted]
    assert header_values(data, "X-Bailey-Verdict") == ["suspicious"]


async def test_held_mail_is_kept_with_its_bytes_and_postfix_forgets_it(milter_for):
    raw = mail_bytes("phish 9")
    async with milter_for() as gate:
        assert (await send(gate, raw)).final == "discarded"
        assert gate.outcomes() == {INFO: "held"}
        assert [path.read_bytes() for path in gate.originals()] == [raw]


async def test_a_held_recipient_is_taken_out_of_a_mail_that_others_get(milter_for):
    async with milter_for(rules=(block("ann@sender.example", recipient=CEO),)) as gate:
        result = await send(gate, mail_bytes(), INFO, CEO)
        assert (result.final, result.recipients) == ("queued", [INFO])
        assert gate.outcomes() == {INFO: "passed", CEO: "held"}


async def test_refused_and_unscanned_mail_gets_its_reply(milter_for):
    async with milter_for(matrix={Verdict.SPAM: MatrixAction.REJECT}) as gate:
        assert (await send(gate, mail_bytes("spam 9"))).final.startswith("550 5.7.1")
        assert (await send(gate, mail_bytes("silent"))).final.startswith("451 4.7.1")
        assert [each["action"] for each in gate.observations()] == ["rejected", "deferred"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("subject", ["Hello", "phish 9", "spam 9"])
async def test_a_disk_that_fails_means_451(milter_for, monkeypatch, code, subject):
    real = os.fdatasync

    def fail(fd):
        raise OSError(code, os.strerror(code))

    async with milter_for(matrix={Verdict.SPAM: MatrixAction.REJECT}) as gate:
        monkeypatch.setattr(os, "fdatasync", fail)
        assert (await send(gate, mail_bytes(subject))).final.startswith("451 4.3.0")
        monkeypatch.setattr(os, "fdatasync", real)
        assert gate.originals() == []
        assert not (await send(gate, mail_bytes(subject))).final.startswith("4")


async def test_a_bug_leaves_the_mail_with_its_sender(milter_for, monkeypatch):
    def broken(**_):
        raise RuntimeError("bug")

    async with milter_for() as gate:
        monkeypatch.setattr("seg_bridge.gate.core.scan_with_all", broken)
        assert (await send(gate, mail_bytes())).final.startswith("451")


async def test_what_postfix_hung_up_over_is_carried_to_its_end_and_taken_back(milter_for):
    engine = Waiting()
    async with milter_for(engines=[engine]) as gate:
        async with mta_of(gate) as mta:
            await mta.envelope([INFO])
            mta.say(mail_packets(mail_bytes(), "4F1C2"))
            await engine.asked.wait()
        await asyncio.sleep(0.05)
        engine.go.set()
        await asyncio.sleep(0.2)
        assert [each["action"] for each in gate.observations()] == ["passed", "deferred"]
        assert "Postfix hung up" in gate.observations()[-1]["rule"]


async def test_a_stopping_gate_finishes_what_it_began(milter_for):
    engine = Waiting()
    gate = milter_for(engines=[engine])
    await gate.__aenter__()
    sending = asyncio.create_task(send(gate, mail_bytes()))
    await engine.asked.wait()
    stopping = asyncio.create_task(gate.__aexit__())
    await asyncio.sleep(0.05)
    engine.go.set()
    assert (await sending).final == "queued"
    await stopping
    assert gate.outcomes() == {INFO: "passed"}


# Split


async def test_clients_of_one_mail_get_each_their_own_trace(milter_for, sink):
    globex = tenant("globex", 2, "127.0.0.1:1")
    options = ("BODY=8BITMIME", "RET=HDRS", "ENVID=q1")
    sink.extensions = (*sink.extensions, "DSN")
    sink.replies["."] = "250 2.0.0 Ok: queued as 4AAAA"
    async with milter_for(globex) as gate:
        result = await send(gate, mail_bytes(), INFO, OTHER, options=options)
        assert (result.final, result.recipients) == ("queued", [INFO])
        assert gate.outcomes() == {INFO: "passed", OTHER: "passed"}
        queue_ids = {each["recipient"]: each["detail"]["queue_id"] for each in gate.observations()}
        assert queue_ids == {INFO: "4F1C2", OTHER: "4AAAA"}
        assert [record["kind"] for record in gate.records()] == ["begun", "done"]
    (apart,) = sink.mails
    assert apart.recipients == [OTHER]
    assert apart.options.split()[:1] + apart.options.split()[2:] == [
        "BODY=8BITMIME",
        "RET=HDRS",
        "ENVID=q1",
    ]
    for data, tenant_id in ((result.data, 1), (apart.data, 2)):
        trace = check_trace(header_values(data, TRACE_HEADER)[0], {"k1": TRACE_KEY})
        assert trace is not None
        assert trace.tenant_id == tenant_id


@pytest.mark.parametrize("reply", ["451 no", "554 no", ""])
async def test_a_copy_that_postfix_does_not_take_puts_all_off(milter_for, sink, reply):
    sink.replies["."] = reply
    rules = (block("ann@sender.example", recipient=CEO),)
    async with milter_for(tenant("globex", 2, "127.0.0.1:1"), rules=rules) as gate:
        result = await send(gate, mail_bytes(), INFO, CEO, OTHER)
        assert result.final.startswith("451 4.4.0")
        last = "deferred" if reply else "unknown"
        assert gate.outcomes() == {INFO: "deferred", CEO: "deferred", OTHER: last}
        assert gate.originals() == []
