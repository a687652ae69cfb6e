"""The traps of SMTP, one table for both fronts: the embedded one, and Postfix with the milter.

What may differ is the wording and which of two right codes is used, not what becomes of the mail.
"""

import asyncio
import contextlib
import socket
import struct
import time

import pytest
from typing_extensions import override

from incidents.mail.headers import header_values
from seg_bridge.gate.limits import FrontLimits
from tests.seg_bridge.gate.parts import Sink, SmtpClient, SubjectEngine, mail_bytes, tenant, until

END = b"\r\n.\r\n"
SMUGGLED = b"EHLO x\r\nMAIL FROM:<eve@evil.example>\r\nRCPT TO:<ceo@acme.example>\r\nDATA\r\n"
INFO = "info@acme.example"


class Front:
    """A gate and where its clients connect."""

    def __init__(self, name, gate, address):
        self.name, self.gate, self.address = name, gate, address

    async def connect(self, source="127.0.0.1"):
        return await SmtpClient.connect(*self.address, source=source)

    @contextlib.asynccontextmanager
    async def client(self):
        client = await self.connect()
        try:
            yield client
        finally:
            client.close()

    async def send(self, raw, *recipients, sender="ann@sender.example"):
        async with self.client() as client:
            return await client.send(raw, *(recipients or (INFO,)), sender=sender)


@pytest.fixture(params=["embedded", "postfix"])
def kind(request):
    return request.param


@pytest.fixture
async def sink(kind, request):
    host = request.getfixturevalue("postfix_host") if kind == "postfix" else None
    async with Sink(port=host.next_hop_port if host else 0) as running:
        yield running


@pytest.fixture
def front_for(kind, request):
    """``async with front_for(…)``: options as ``gate_for`` has them."""

    @contextlib.asynccontextmanager
    async def make(*others, **changes):
        if kind == "postfix":
            host = request.getfixturevalue("postfix_host")
            changes.pop("limits", None)
            behind = request.getfixturevalue("behind_postfix")
            async with behind(*others, **changes) as gate:
                yield Front(kind, gate, ("127.0.0.1", host.port))
            return
        async with request.getfixturevalue("gate_for")(*others, **changes) as gate:
            yield Front(kind, gate, gate.gate.address)

    return make


async def all_mails(sink, count=1):
    await until(lambda: len(sink.mails) >= count)
    return sink.mails


# 1-9: one mail in, one mail out


@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\r\n.\0\r\n",
        b"\r\n\0.\r\n",
        b"\r\r\n.\r\r\n",
    ],
)
async def test_one_mail_in_is_one_mail_out(front_for, sink, end):
    hidden = b"Subject: second\r\n\r\nsmuggled\r\n"
    async with front_for() as front, front.client() as client:
        await client.envelope(INFO)
        reply = await client.data(mail_bytes() + b"first" + end + SMUGGLED + hidden + b".\r\n")
        assert reply.startswith("250")
        assert len({each["trace_ulid"] for each in front.gate.observations()}) == 1
        (mail,) = await all_mails(sink)
    assert mail.mail_from == "ann@sender.example"
    assert b"\0" not in mail.data
    assert mail.data.count(b"\r") == mail.data.count(b"\n") == mail.data.count(b"\r\n")
    assert b"smuggled" in mail.data


# 10: early talkers


@pytest.mark.parametrize("early", [b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n", b"GET / HTTP/1.1\r\n"])
async def test_who_talks_before_the_banner_is_refused(front_for, sink, early):
    """One early EHLO alone only the embedded front can tell: Postfix's banner does not wait."""
    async with front_for(limits=FrontLimits(greet_wait_s=0.5)) as front:
        reader, writer = await asyncio.open_connection(*front.address)
        writer.write(early)
        said = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert said.splitlines()[-1][:3] in (b"554", b"221", b"521")


# 11, 12: long lines and long headers


async def test_lines_of_any_length_pass_unchanged(front_for, sink):
    body = b"".join(b"x" * size + b"\r\n" for size in (2_000, 20_000, 900_000))
    raw = b"X-Long: " + b"y" * 50_000 + b"\r\n" + mail_bytes(body="") + body
    async with front_for() as front:
        assert (await front.send(raw)).startswith("250")
        (mail,) = await all_mails(sink)
    assert mail.data.endswith(raw)


async def test_a_header_field_of_150_kb_costs_no_mail(front_for, sink, kind):
    """Postfix cuts a field at 60,000 bytes where a milter looks on, whatever header_size_limit
    says; the rest of the mail stays as it is.
    """
    rest = mail_bytes(body="the end\r\n")
    async with front_for() as front:
        assert (await front.send(b"X-Long: " + b"y" * 150_000 + b"\r\n" + rest)).startswith("250")
        (mail,) = await all_mails(sink)
    field = (b"X-Long: " + b"y" * 150_000)[: 60_000 if kind == "postfix" else None]
    assert mail.data.endswith(field + b"\r\n" + rest)


# 13: SMTPUTF8 and 8BITMIME


async def test_smtputf8_and_8bitmime_go_on(front_for, sink):
    raw = mail_bytes(body="Grüße\r\n")
    async with front_for() as front, front.client() as client:
        await client.command("EHLO x")
        start = "MAIL FROM:<änn@sender.example> BODY=8BITMIME SMTPUTF8 SIZE=100"
        assert (await client.command(start)).startswith("250")
        await client.command(f"RCPT TO:<{INFO}>")
        assert (await client.data(raw + b".\r\n")).startswith("250")
        assert front.gate.observations()[0]["detail"]["mail_from"] == "änn@sender.example"
        (mail,) = await all_mails(sink)
    assert mail.mail_from == "änn@sender.example"
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(mail.options.split())
    assert mail.data.endswith(raw)


async def test_an_address_beyond_ascii_needs_smtputf8(front_for, sink):
    async with front_for() as front, front.client() as client:
        await client.command("EHLO x")
        await client.command("MAIL FROM:<ann@sender.example>")
        assert (await client.command("RCPT TO:<bjørn@acme.example>"))[:3] in ("550", "553")


# 14: the null sender


async def test_the_null_sender_is_taken_and_goes_on_as_such(front_for, sink):
    async with front_for() as front:
        assert (await front.send(mail_bytes(), sender="")).startswith("250")
        assert front.gate.observations()[0]["detail"]["mail_from"] == ""
        (mail,) = await all_mails(sink)
    assert mail.mail_from == ""


# 15: more recipients than anybody needs


async def test_more_recipients_than_the_limit_are_put_off(front_for, sink):
    names = [f"box{number}" for number in range(210)]
    many = tenant("many", 5, sink.hop, *names)
    async with front_for(many) as front, front.client() as client:
        replies = await client.envelope(*(f"{name}@many.example" for name in names))
        codes = [reply[:3] for reply in replies[2:]]
        assert codes == ["250"] * 200 + ["452"] * 10


# 16: size


async def test_a_mail_that_says_it_is_too_big_is_refused_at_once(front_for, sink):
    async with front_for() as front, front.client() as client:
        await client.command("EHLO x")
        reply = await client.command("MAIL FROM:<a@b.example> SIZE=99999999999")
        assert reply.startswith("552")


async def test_a_mail_that_is_too_big_is_refused(front_for, sink):
    async with front_for() as front, front.client() as client:
        await client.envelope(INFO)
        assert (await client.data((b"x" * 998 + b"\r\n") * 43_000 + b".\r\n")).startswith("552")
    assert sink.mails == []


# 17-19: recipients that are none


@pytest.mark.parametrize(
    "recipient",
    [
        "info%other.example@acme.example",
        "other.example!info@acme.example",
        '"info@other.example"@acme.example',
        '"info"@acme.example',
        "info@[127.0.0.1]",
        "postmaster",
        "@relay.example:info@acme.example",
        "x" * 300 + "@acme.example",
        "info@acme.example@other.example",
        "nobody@acme.example",
        "info@unknown.example",
        "info@sub.acme.example",
        "",
    ],
)
async def test_a_recipient_that_is_not_exactly_a_mailbox_is_refused(front_for, sink, recipient):
    async with front_for() as front, front.client() as client:
        await client.envelope()
        reply = await client.command(f"RCPT TO:<{recipient}>")
        assert reply[:3] in ("550", "554", "501", "553")


@pytest.mark.parametrize(
    "local",
    [
        *("info%other.example", "other.example!info", '"info@other.example"', '"info"'),
        *("x" * 300, "in..fo", ".info", "in(fo)", "in:fo"),
    ],
)
async def test_a_recipient_that_two_servers_could_read_differently_is_refused_though_it_is_listed(
    front_for, sink, local
):
    """A mail host that takes every address makes every address known."""
    odd = tenant("odd", 7, sink.hop, local, "info")
    async with front_for(odd) as front, front.client() as client:
        replies = await client.envelope(f"{local}@odd.example", "info@odd.example")
        assert [reply[:3] for reply in replies[3:]] == ["250"]
        assert replies[2][:3] in ("550", "554", "501", "553")


# 20: senders that carry a command


@pytest.mark.parametrize(
    "sender",
    [
        b"a@b.example\nRCPT TO:<ceo@acme.example>",
        b"a\0@b.example",
        b'"a\r b"@b.example',
        b"a@b@c.example",
        b"nodomain",
        b"a b@b.example",
    ],
)
async def test_a_sender_that_two_servers_could_read_differently_is_refused(front_for, sink, sender):
    async with front_for() as front, front.client() as client:
        await client.command("EHLO x")
        replies = [await client.command(b"MAIL FROM:<" + sender + b">\r\n")]
        if replies[0].startswith("250"):
            replies.append(await client.command(f"RCPT TO:<{INFO}>"))
        assert replies[-1][:3] in ("500", "501", "503", "550", "553", "421")
        assert front.gate.observations() == []


# 21: floods


@pytest.mark.parametrize("command", ["BOGUS", "RCPT TO:<nobody@acme.example>", "NOOP"])
async def test_a_flood_of_commands_is_ended(front_for, sink, command):
    async with front_for() as front, front.client() as client:
        await client.command("EHLO x")
        await client.command("MAIL FROM:<ann@sender.example>")
        for _ in range(140):
            reply = await client.command(command)
            if reply.startswith("421") or not reply:
                break
        assert reply.startswith("421")
        assert await client.reply() == ""


async def test_a_web_browser_is_sent_away(front_for, sink):
    async with front_for() as front, front.client() as client:
        reply = await client.command(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reply[:3] in ("221", "554")
        assert await client.reply() == ""


# 22: parameters


@pytest.mark.parametrize("parameter", ["SIZE=x", "BODY=BOGUS", "COLOUR=red"])
async def test_parameters_are_known_or_refused(front_for, sink, parameter):
    async with front_for() as front, front.client() as client:
        await client.command("EHLO x")
        reply = await client.command(f"MAIL FROM:<a@b.example> {parameter}")
        assert reply[:3] in ("501", "555", "502", "504")


async def test_delivery_notices_are_asked_of_the_next_hop_or_of_nobody(front_for, sink, kind):
    sink.extensions = (*sink.extensions, "DSN")
    async with front_for() as front, front.client() as client:
        await client.command("EHLO x")
        start = await client.command("MAIL FROM:<ann@sender.example> RET=HDRS ENVID=q1")
        if kind == "embedded":
            assert start.startswith("555")
            return
        assert start.startswith("250")
        await client.command(f"RCPT TO:<{INFO}> NOTIFY=FAILURE")
        assert (await client.data(mail_bytes() + b".\r\n")).startswith("250")
        (mail,) = await all_mails(sink)
    assert {"RET=HDRS", "ENVID=q1"} <= set(mail.options.split())


# 23: commands smuggled in before TLS


async def test_plain_text_behind_starttls_is_never_obeyed(front_for, sink, kind):
    async with front_for() as front, front.client() as client:
        await client.command("EHLO x")
        first = await client.command(b"STARTTLS\r\nMAIL FROM:<eve@evil.example>\r\n")
        if kind == "embedded":
            assert first.startswith("500")
            return
        assert first[:3] in ("220", "554", "503")
        if first.startswith("220"):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.reader.readline(), 0.3)
        assert front.gate.observations() == []


# 24: slow and silent clients


async def test_a_client_that_trickles_a_command_is_cut(front_for, sink):
    bounds = FrontLimits(greet_wait_s=0.01, command_s=0.5)
    async with front_for(limits=bounds) as front, front.client() as client:
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while not client.reader._buffer and not client.reader.at_eof():
                client.writer.write(b"N")
                await asyncio.sleep(0.05)
        assert (await client.reply()).startswith("421")
        assert time.monotonic() - started < 6


async def test_a_client_that_falls_silent_in_mid_mail_is_cut(front_for, sink):
    bounds = FrontLimits(greet_wait_s=0.01, data_idle_s=0.5)
    async with front_for(limits=bounds) as front, front.client() as client:
        await client.envelope(INFO)
        assert (await client.data(b"Subject: x\r\n"))[:3] == "421"
        assert front.gate.observations() == []


async def test_a_client_that_trickles_a_mail_is_cut(front_for, sink):
    """Never silent for long, and never done: a byte now and then keeps no place for ever."""
    bounds = FrontLimits(greet_wait_s=0.01, data_idle_s=5.0, data_grace_s=0.5)
    async with front_for(limits=bounds) as front, front.client() as client:
        await client.envelope(INFO)
        assert (await client.command("DATA")).startswith("354")
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while not client.reader._buffer and not client.reader.at_eof():
                assert time.monotonic() - started < 10
                client.writer.write(b"x")
                await asyncio.sleep(0.05)
        assert (await client.reply()).startswith("421")
        assert front.gate.observations() == []


# 25: connections


async def test_connections_of_one_address_are_capped(front_for, sink):
    async with front_for(limits=FrontLimits(greet_wait_s=0.01, connections_per_ip=20)) as front:
        # Not 127.0.0.1: who may say XCLIENT is trusted by Postfix with more.
        clients = await asyncio.gather(*(front.connect("127.0.0.2") for _ in range(25)))
        other = await front.connect("127.0.0.3")
        try:
            codes = [client.banner[:3] for client in clients]
            assert codes.count("220") == 20
            assert codes.count("421") == 5
            assert other.banner.startswith("220")
        finally:
            for client in (*clients, other):
                client.close()


# 26: the answer is the commit


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
async def test_a_client_that_hangs_up_cancels_no_commit(front_for, sink, how):
    release, asked = asyncio.Event(), asyncio.Event()

    class Waiting(SubjectEngine):
        @override
        async def scan(self, raw, facts, envelope):
            asked.set()
            await release.wait()
            return await super().scan(raw, facts, envelope)

    async with front_for(engines=[Waiting()]) as front, front.client() as client:
        await client.envelope(INFO)
        await client.command("DATA")
        client.writer.write(mail_bytes() + b".\r\n")
        await asked.wait()
        if how == "reset":
            line = client.writer.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how != "half_close":
            client.close()
        else:
            client.writer.write_eof()
        await asyncio.sleep(0.05)
        release.set()
        await until(lambda: front.gate.outcomes() == {INFO: "delivered"})
    assert len(sink.mails) == 1


# And: what follows a mail, an open relay, a circle


async def test_what_follows_the_end_of_a_mail_is_the_next_command(front_for, sink):
    async with front_for() as front, front.client() as client:
        await client.envelope(INFO)
        reply = await client.data(mail_bytes() + b".\r\nNOOP\r\n")
        assert reply.startswith("250 2.0.0 Ok: ")
        assert (await client.reply()) == "250 2.0.0 Ok"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_the_end_is_found_however_the_bytes_arrive(front_for, sink, size):
    wire = mail_bytes() + b"..x\r\n.\r\n"
    async with front_for() as front, front.client() as client:
        await client.envelope(INFO)
        await client.command("DATA")
        for start in range(0, len(wire), size):
            client.writer.write(wire[start : start + size])
            if size < 10:
                await asyncio.sleep(0)
        assert (await client.reply()).startswith("250")
        (mail,) = await all_mails(sink)
    assert mail.data.endswith(b"\r\n.x\r\n")


async def test_an_empty_mail_is_a_mail(front_for, sink):
    async with front_for() as front, front.client() as client:
        await client.envelope(INFO)
        assert (await client.data(b".\r\n")).startswith("250")
        assert front.gate.outcomes() == {INFO: "held"}


async def test_a_mail_that_goes_in_a_circle_is_refused(front_for, sink):
    raw = b"".join(b"Received: by hop%d.example\r\n" % n for n in range(60)) + mail_bytes()
    async with front_for() as front:
        assert (await front.send(raw)).startswith("554 5.4")


async def test_xclient_names_the_sending_host(front_for, sink):
    async with front_for() as front, front.client() as client:
        assert "XCLIENT NAME ADDR" in await client.command("EHLO replay")
        reply = await client.command(
            "XCLIENT ADDR=198.51.100.7 HELO=mail.real.example NAME=x.example"
        )
        assert reply.startswith("220")
        assert (await client.send(mail_bytes(), INFO)).startswith("250")
        detail = front.gate.observations()[0]["detail"]
        assert detail["client_ip"] == "198.51.100.7"
        (mail,) = await all_mails(sink)
    assert any("[198.51.100.7]" in value for value in header_values(mail.data, "Received"))
