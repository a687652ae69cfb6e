"""The traps of an embedded SMTP front, each closed."""

import asyncio
import contextlib

import pytest

from incidents.mail.headers import header_values
from seg_bridge.gate.limits import FrontLimits
from tests.seg_bridge.gate.parts import mail_bytes, tenant

END = b"\r\n.\r\n"
SMUGGLED = b"EHLO x\r\nMAIL FROM:<eve@evil.example>\r\nRCPT TO:<ceo@acme.example>\r\nDATA\r\n"


def limits(**changes):
    return FrontLimits(**{"greet_wait_s": 0.01, **changes})


@contextlib.asynccontextmanager
async def client_of(gate):
    client = await gate.connect()
    try:
        yield client
    finally:
        client.close()


@pytest.mark.parametrize(
    "early", [b"EHLO x\r\n", b"Q", b"GET / HTTP/1.1\r\n", b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n"]
)
async def test_who_talks_before_the_banner_is_refused(gate_for, sink, early):
    async with gate_for(limits=limits(greet_wait_s=0.5)) as gate:
        reader, writer = await asyncio.open_connection(*gate.gate.address)
        writer.write(early)
        assert (await reader.read()).startswith(b"554 5.5.0")
        writer.close()


@pytest.mark.parametrize("command", [b"EHLO x\n", b"NOOP\n", b"MAIL FROM:<a@b.example>\nRCPT\r\n"])
async def test_a_bare_lf_ends_no_command(gate_for, sink, command):
    async with gate_for() as gate, client_of(gate) as client:
        assert (await client.command(command)).startswith("500 5.5.2")
        assert await client.reply() == ""


@pytest.mark.parametrize(
    "sender",
    [
        b"a@b.example\nRCPT TO:<ceo@acme.example>",
        b"a\0@b.example",
        b'"a\r b"@b.example',
        b"a\x7f@b.example",
        b"a\xc2\x85@b.example",
        b"a@b.example\x00",
        b"a b@b.example",
        b"a@b@c.example",
        b"a<b@c.example",
        b"a@-b.example",
        b"a@b..example",
        b"@b.example",
        b"nodomain",
        b"x" * 300 + b"@b.example",
    ],
)
async def test_a_sender_that_two_servers_could_read_differently_is_refused(gate_for, sink, sender):
    async with gate_for() as gate, client_of(gate) as client:
        await client.command("EHLO x")
        reply = await client.command(b"MAIL FROM:<" + sender + b">\r\n")
        assert reply[:3] in ("500", "501", "553")


async def test_a_dot_behind_the_domain_is_the_same_mailbox(gate_for, sink):
    async with gate_for() as gate, client_of(gate) as client:
        await client.envelope()
        assert (await client.command("RCPT TO:<info@acme.example.>")).startswith("250")


async def test_an_address_beyond_ascii_needs_smtputf8(gate_for, sink):
    async with gate_for() as gate, client_of(gate) as client:
        await client.command("EHLO x")
        assert (await client.command("MAIL FROM:<änn@sender.example>")).startswith("553 5.6.7")


@pytest.mark.parametrize(
    ("parameter", "code"),
    [
        ("SIZE=10", "250"),
        ("SIZE=99999999999", "552"),
        ("SIZE=x", "501"),
        ("BODY=BINARYMIME", "501"),
        ("RET=FULL", "555"),
        ("AUTH=<>", "555"),
    ],
)
async def test_parameters_are_known_or_refused(gate_for, sink, parameter, code):
    async with gate_for() as gate, client_of(gate) as client:
        await client.command("EHLO x")
        assert (await client.command(f"MAIL FROM:<a@b.example> {parameter}")).startswith(code)


async def test_a_mail_that_is_too_big_is_refused_and_the_conversation_goes_on(gate_for, sink):
    async with gate_for(limits=limits(mail_bytes=10_000)) as gate, client_of(gate) as client:
        await client.envelope("info@acme.example")
        assert (await client.data(b"x" * 12_000 + END)).startswith("552")
        assert (await client.send(mail_bytes(), "info@acme.example")).startswith("250")
        assert gate.gate is not None
    assert len(sink.mails) == 1


async def test_a_mail_that_is_too_big_takes_no_room_while_its_rest_comes(gate_for, sink):
    bounds = limits(mail_bytes=100_000, bytes_in_flight=150_000)
    async with (
        gate_for(limits=bounds) as gate,
        client_of(gate) as first,
        client_of(gate) as second,
    ):
        for client in (first, second):
            await client.envelope("info@acme.example")
        await first.command("DATA")
        first.writer.write(b"x" * 120_000)
        await asyncio.sleep(0.05)
        assert (await second.data(b"y" * 90_000 + END)).startswith("250")
        first.writer.write(END)
        assert (await first.reply()).startswith("552")


async def test_a_mail_without_end_is_cut_off(gate_for, sink):
    async with gate_for(limits=limits(mail_bytes=10_000)) as gate, client_of(gate) as client:
        await client.envelope("info@acme.example")
        assert (await client.data(b"x" * 40_000)).startswith("552")
        assert await client.reply() == ""


async def test_too_many_mails_in_flight_are_put_off(gate_for, sink):
    bounds = limits(bytes_in_flight=50_000)
    async with (
        gate_for(limits=bounds) as gate,
        client_of(gate) as first,
        client_of(gate) as second,
    ):
        for client in (first, second):
            await client.envelope("info@acme.example")
        await first.command("DATA")
        first.writer.write(b"x" * 40_000)
        await asyncio.sleep(0.05)
        assert (await second.data(b"x" * 40_000)).startswith("452 4.3.1")
        first.writer.write(END)
        assert (await first.reply()).startswith("250")


async def test_recipients_with_another_next_hop_are_put_off(gate_for, sink):
    elsewhere = tenant("globex", 2, "127.0.0.1:1")
    async with gate_for(elsewhere) as gate, client_of(gate) as client:
        replies = await client.envelope("info@acme.example", "info@globex.example")
        assert replies[-2].startswith("250")
        assert replies[-1].startswith("452 4.5.3")
        assert (await client.data(mail_bytes() + b".\r\n")).startswith("250")
    assert sink.recipients() == ["info@acme.example"]


async def test_more_recipients_than_the_limit_are_put_off(gate_for, sink):
    async with gate_for(limits=limits(recipients=2)) as gate, client_of(gate) as client:
        names = ("info@acme.example", "info@acme.example", "ceo@acme.example", "cfo@acme.example")
        replies = await client.envelope(*names)
        assert [reply[:9] for reply in replies[2:]] == ["250 2.1.5"] * 3 + ["452 4.5.3"]
        await client.data(mail_bytes() + b".\r\n")
    assert sink.recipients() == ["ceo@acme.example", "info@acme.example"]


@pytest.mark.parametrize(
    ("commands", "last"),
    [
        (["BOGUS"] * 5, "421 4.7.0"),
        (["RCPT TO:<nobody@acme.example>"] * 5, "421 4.7.0"),
        (["NOOP"] * 11, "421 4.7.0"),
        (["RSET"] * 11, "421 4.7.0"),
        (["EHLO x"] * 11, "421 4.7.0"),
    ],
)
async def test_a_flood_of_commands_is_ended(gate_for, sink, commands, last):
    bounds = limits(errors=3, idle_commands=10)
    async with gate_for(limits=bounds) as gate, client_of(gate) as client:
        await client.command("EHLO x")
        await client.command("MAIL FROM:<a@b.example>")
        replies = [await client.command(command) for command in commands]
        assert next(reply for reply in replies if reply.startswith("421")).startswith(last)
        assert await client.reply() == ""


@pytest.mark.parametrize("name", ["info", "box{}"])
async def test_who_names_recipients_without_end_is_cut(gate_for, sink, name):
    """The same one again and again, or ever new ones beyond the limit: neither is an error."""
    bounds = limits(recipients=2)
    many = tenant("many", 5, sink.hop, "info", *(f"box{number}" for number in range(13)))
    async with gate_for(many, limits=bounds) as gate, client_of(gate) as client:
        await client.command("EHLO x")
        await client.command("MAIL FROM:<a@b.example>")
        named = (name.format(number) for number in range(13))
        replies = [await client.command(f"RCPT TO:<{each}@many.example>") for each in named]
        assert {reply[:3] for reply in replies[:12]} <= {"250", "452"}
        assert replies[12].startswith("421 4.7.0")
        assert await client.reply() == ""


async def test_a_gate_without_policy_does_not_answer_for_ever(gate_for):
    bounds = limits(mails=3)
    async with gate_for(limits=bounds) as gate, client_of(gate) as client:
        gate.gate.keeper.current = None
        await client.command("EHLO x")
        replies = [await client.command("MAIL FROM:<a@b.example>") for _ in range(4)]
        assert [reply[:3] for reply in replies] == ["451", "451", "451", "421"]


async def test_a_command_line_has_an_end(gate_for, sink):
    async with gate_for() as gate, client_of(gate) as client:
        assert (await client.command(b"EHLO " + b"x" * 100_000)).startswith("500 5.5.2")
        assert await client.reply() == ""


async def test_connections_are_capped_for_one_address_and_in_all(gate_for, sink):
    async with gate_for(limits=limits(connections_per_ip=2)) as gate:
        first, second = await gate.connect(), await gate.connect()
        third = await gate.connect()
        assert third.banner.startswith("421 4.7.0")
        first.close()
        await asyncio.sleep(0.05)
        fourth = await gate.connect()
        assert fourth.banner.startswith("220")
        for client in (second, third, fourth):
            client.close()
    async with gate_for(limits=limits(connections=1)) as gate:
        first, second = await gate.connect(), await gate.connect()
        assert second.banner.startswith("421 4.3.2")
        first.close()
        second.close()


async def test_a_client_that_trickles_a_mail_is_cut(gate_for, sink):
    bounds = limits(data_grace_s=0.2, data_min_bytes_s=1000)
    async with gate_for(limits=bounds) as gate, client_of(gate) as client:
        await client.envelope("info@acme.example")
        await client.command("DATA")
        while not client.reader._buffer:  # writing on would reset the connection under the reply
            client.writer.write(b"x")
            await asyncio.sleep(0.03)
        assert (await client.reply()).startswith("421 4.4.2")


async def test_no_time_limit_of_the_front_reaches_into_a_commit(gate_for, sink):
    class Slow:
        name = "slow"

        async def scan(self, raw, facts, envelope):
            await asyncio.sleep(0.5)
            from tests.seg_bridge.gate.parts import SubjectEngine

            return await SubjectEngine().scan(raw, facts, envelope)

    bounds = limits(command_s=0.2, data_idle_s=0.2)
    async with gate_for(limits=bounds, engines=[Slow()]) as gate:
        assert (await gate.send(mail_bytes())).startswith("250")


async def test_a_stopping_gate_finishes_what_it_began(gate_for, sink):
    release, asked = asyncio.Event(), asyncio.Event()

    class Waiting:
        name = "waiting"

        async def scan(self, raw, facts, envelope):
            asked.set()
            await release.wait()
            from tests.seg_bridge.gate.parts import SubjectEngine

            return await SubjectEngine().scan(raw, facts, envelope)

    gate = gate_for(engines=[Waiting()])
    await gate.__aenter__()
    sending = asyncio.create_task(gate.send(mail_bytes()))
    await asked.wait()
    stopping = asyncio.create_task(gate.__aexit__())
    await asyncio.sleep(0.05)
    release.set()
    assert (await sending).startswith("250")
    await stopping
    assert gate.outcomes() == {"info@acme.example": "delivered"}


@pytest.mark.parametrize(
    "argument", ["ADDR=nonsense", "COLOUR=red", "ADDR", "HELO=a+0Ab", "ADDR=1.2.3.4+0D"]
)
async def test_xclient_with_nonsense_is_refused(gate_for, sink, argument):
    async with gate_for() as gate, client_of(gate) as client:
        assert (await client.command(f"XCLIENT {argument}")).startswith("501")


async def test_xclient_is_unknown_where_it_is_not_switched_on(gate_for, sink):
    async with gate_for(takes_xclient=False) as gate, client_of(gate) as client:
        assert "XCLIENT" not in await client.command("EHLO replay")
        assert (await client.command("XCLIENT ADDR=198.51.100.7")).startswith("500")


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        (["MAIL FROM:<a@b.example>"], "503"),
        (["EHLO x", "RCPT TO:<info@acme.example>"], "503"),
        (["EHLO x", "DATA"], "503"),
        (["EHLO x", "MAIL FROM:<a@b.example>", "DATA"], "503"),
        (["EHLO x", "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>"], "503"),
        (["EHLO"], "501"),
        (["EHLO x", "MAIL <a@b.example>"], "501"),
        (["EHLO x", "MAIL FROM:"], "501"),
        (["EHLO x", "AUTH PLAIN AGEAYg=="], "500"),
        (["EHLO x", "BDAT 10"], "500"),
        (["EHLO x", "STARTTLS"], "500"),
        (["VRFY info@acme.example"], "252"),
        (["HELO x", "MAIL FROM:<a@b.example>", "RSET", "DATA"], "503"),
        (["QUIT"], "221"),
    ],
)
async def test_commands_out_of_order_or_unknown_are_refused(gate_for, sink, commands, code):
    async with gate_for() as gate, client_of(gate) as client:
        replies = [await client.command(command) for command in commands]
        assert replies[-1].startswith(code)


async def test_a_gate_without_policy_answers_451(tmp_path):
    from tests.seg_bridge.gate.parts import RunningGate

    async with RunningGate(tmp_path / "empty") as gate:
        assert (await gate.send(mail_bytes())).startswith("451 4.3.5")


async def test_many_mails_go_through_one_connection_and_many_at_once(gate_for, sink):
    async with gate_for() as gate:

        async def send_ten(number):
            async with client_of(gate) as client:
                for each in range(10):
                    raw = mail_bytes(f"mail {number} {each}")
                    assert (await client.send(raw, "info@acme.example")).startswith("250")

        await asyncio.gather(*(send_ten(number) for number in range(5)))
        assert len(gate.observations()) == 50
    assert len({header_values(mail.data, "Subject")[0] for mail in sink.mails}) == 50
