"""Who may submit mail, what is asked of it, and what becomes of it."""

import asyncio
import base64
import json
import ssl
import subprocess

import dkim
import pytest

from incidents.mail.headers import header_values
from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.mail_hosts import MailHosts
from seg_bridge.gate.outbound.terms import SigningKey
from tests.seg_bridge.engines.dns import TableLookup
from tests.seg_bridge.gate.outbound.parts import (
    CEO,
    HOST_IP,
    LOGIN,
    SECRET,
    plain,
    signing_key,
    submitted,
)
from tests.seg_bridge.gate.parts import SECRET as GATE_SECRET
from tests.seg_bridge.gate.parts import Ingest, SmtpClient, block, tenant, until


async def test_mail_of_a_known_host_goes_out_and_is_on_record(outbound_gate, sink):
    async with outbound_gate() as gate:
        reply = await gate.submit(
            submitted(more="X-Bailey-Trace: v1; forged\r\n"), "Bob+AbC@other.example"
        )
        assert reply.startswith("250")
        (mail,) = sink.mails
        assert mail.mail_from == CEO
        assert mail.recipients == ["Bob+AbC@other.example"], "other people's case is kept"
        assert b"X-Bailey-" not in mail.data
        assert b"with ESMTP id" in mail.data
        (seen,) = gate.observations()
        assert (seen["direction"], seen["recipient"]) == ("outbound", "bob+abc@other.example")
        assert (seen["action"], seen["verdict"], seen["tenant_id"]) == ("delivered", "clean", 1)
        assert seen["detail"]["sent_by"] == {
            "mailbox": CEO,
            "visible": CEO,
            "by": f"host {HOST_IP}",
            "dkim": "",
        }


async def test_what_was_begun_is_in_the_journal_before_the_next_hop_has_it(outbound_gate, sink):
    async with outbound_gate() as gate:
        await gate.submit(submitted())
        assert [record["kind"] for record in gate.records()] == ["begun", "done"]


@pytest.mark.parametrize(
    ("sender", "client_ip", "code"),
    [
        pytest.param(CEO, "198.51.100.1", "530 5.7.0", id="unknown host"),
        pytest.param("eve@evil.example", HOST_IP, "550 5.7.1 eve@evil", id="foreign domain"),
        pytest.param("info@globex.example", HOST_IP, "550 5.7.1 info@globex", id="other client"),
        pytest.param("nobody@acme.example", HOST_IP, "550 5.7.1 nobody@acme", id="no mailbox"),
    ],
)
async def test_only_a_clients_own_mailboxes_send(outbound_gate, sink, sender, client_ip, code):
    globex = tenant("globex", 2, "127.0.0.1:9")
    async with outbound_gate(globex) as gate:
        reply = await gate.submit(submitted(), sender=sender, client_ip=client_ip)
        assert reply.startswith(code)
        assert not sink.mails
        assert not gate.records()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(submitted(sender="ceo@bank.example"), id="foreign"),
        pytest.param(submitted(sender="info@globex.example"), id="other client's"),
        pytest.param(submitted(more="From: <ceo@bank.example>\r\n"), id="two"),
        pytest.param(b"Subject: x\r\n\r\nx\r\n", id="none"),
    ],
)
async def test_the_visible_sender_is_the_clients_own(outbound_gate, sink, raw):
    async with outbound_gate(tenant("globex", 2, "127.0.0.1:9")) as gate:
        assert (await gate.submit(raw)).startswith("550 5.7.1 The visible sender")
        assert not sink.mails


async def test_one_host_of_two_clients_sends_for_the_senders_own(outbound_gate, terms_for, sink):
    globex = tenant("globex", 2, "127.0.0.1:9", outbound=terms_for())
    async with outbound_gate(globex) as gate:
        sender = "ceo@globex.example"
        assert (await gate.submit(submitted(sender=sender), sender=sender)).startswith("250")
        assert [each["tenant_id"] for each in gate.observations()] == [2]
        assert (await gate.submit(submitted(), sender="")).startswith("550 5.7.1 The null sender")


async def test_a_hosts_null_sender_counts_as_the_visible_one(outbound_gate, sink):
    async with outbound_gate() as gate:
        assert (await gate.submit(submitted("Away"), sender="")).startswith("250")
        assert gate.observations()[0]["detail"]["sent_by"]["mailbox"] == CEO


@pytest.mark.parametrize(
    ("subject", "policy", "code", "outcome"),
    [
        ("clean", {}, "250", "delivered"),
        ("graymail 9", {"matrix": {Verdict.GRAYMAIL: MatrixAction.HOLD}}, "250", "delivered"),
        ("phish 9", {}, "250", "held"),
        ("suspicious 9", {}, "250", "held"),
        ("phish 9", {"matrix": {Verdict.PHISH: MatrixAction.DELIVER}}, "250", "held"),
        ("phish 9", {"matrix": {Verdict.PHISH: MatrixAction.REJECT}}, "550", "rejected"),
        ("malware 1", {}, "250", "held"),
        ("phish 2", {}, "250", "delivered"),
        ("silent", {}, "451", "deferred"),
        ("silent", {"on_not_scanned": MatrixAction.TAG}, "250", "held"),
        ("silent", {"on_not_scanned": MatrixAction.DELIVER}, "250", "delivered"),
        ("clean", {"rules": (block(CEO),)}, "250", "delivered"),
    ],
)
async def test_what_becomes_of_a_verdict(outbound_gate, sink, subject, policy, code, outcome):
    async with outbound_gate(policy=policy) as gate:
        assert (await gate.submit(submitted(subject))).startswith(code)
        assert gate.outcomes() == {"bob@other.example": outcome}
        assert bool(sink.mails) is (outcome == "delivered")
        assert bool(gate.originals()) is (outcome == "held")


def mx_of(sink, broken=()):
    """DNS that names the sink for two domains; a third takes no mail."""
    table = {("other.example", "MX"): ("10 mx.other.example",), ("more.example", "MX"): ()}
    table |= {("mx.other.example", "A"): ("127.0.0.1",), ("more.example", "A"): ("127.0.0.1",)}
    table |= {("null.example", "MX"): ("0 .",)}
    lookup = TableLookup(table, frozenset(broken))
    return {"mail_hosts": MailHosts(lookup, port=sink.port, to_loopback=True)}


async def test_without_a_next_mail_server_each_recipients_mx_gets_its_copy(outbound_gate, sink):
    async with outbound_gate(next_hop="", settings=mx_of(sink)) as gate:
        reply = await gate.submit(submitted(), "bob@other.example", "eve@MORE.example")
        assert reply.startswith("250"), reply
        assert sorted(mail.recipients for mail in sink.mails) == [
            ["bob@other.example"],
            ["eve@MORE.example"],
        ]
        hops = {seen["recipient"]: seen["detail"]["next_hop"] for seen in gate.observations()}
        assert hops["bob@other.example"] == f"mx.other.example:{sink.port}"


@pytest.mark.parametrize(
    ("recipient", "broken", "reply"),
    [
        ("bob@null.example", (), "550 5.0.0"),
        ("bob@nowhere.example", (), "550 5.0.0"),
        ("bob@other.example", ("*",), "451 4.4.0"),
        ("bob@other.example", ("mx.other.example",), "451 4.4.0"),
    ],
)
async def test_no_mail_host_is_for_good_and_silent_dns_is_not(
    outbound_gate, sink, recipient, broken, reply
):
    async with outbound_gate(next_hop="", settings=mx_of(sink, broken)) as gate:
        assert (await gate.submit(submitted(), recipient)).startswith(reply)
        assert not sink.mails


async def test_what_silent_dns_holds_up_waits_and_names_its_domain(outbound_gate, sink):
    async with outbound_gate(next_hop="", settings=mx_of(sink, {"more.example"})) as gate:
        reply = await gate.submit(submitted(), "bob@other.example", "eve@more.example")
        assert reply.startswith("250"), reply
        assert [mail.recipients for mail in sink.mails] == [["bob@other.example"]]
        (path,) = gate.settings.spool_folder.glob("*.json")
        entry = json.loads(path.read_text())
        assert entry["recipients"] == ["eve@more.example"]
        assert entry["last_reply"].startswith("451 4.4.3 DNS did not say")


@pytest.mark.parametrize(
    ("replies", "code", "outcome"),
    [
        ({".": "451 later"}, "451", "deferred"),
        ({".": "550 no"}, "550", "rejected"),
        ({"banner": "421 away"}, "451", "deferred"),
    ],
)
async def test_the_next_hops_answer_is_the_senders(outbound_gate, sink, replies, code, outcome):
    sink.replies.update(replies)
    async with outbound_gate() as gate:
        assert (await gate.submit(submitted())).startswith(code)
        assert gate.outcomes() == {"bob@other.example": outcome}


async def test_what_the_hop_put_off_for_some_follows_later(tmp_path, outbound_gate, sink):
    from seg_bridge.gate.spool import SpoolTimes

    sink.replies["RCPT TO:<Late@other.example>"] = "450 later"
    times = SpoolTimes(first_retry_s=0.05)
    async with outbound_gate(settings={"spool_times": times}) as gate:
        reply = await gate.submit(submitted(), "bob@other.example", "Late@other.example")
        assert reply.startswith("250")
        sink.replies.clear()
        await until(lambda: gate.outcomes()["late@other.example"] == "delivered")
        assert sink.recipients() == ["Late@other.example", "bob@other.example"]
        assert {each["direction"] for each in gate.observations()} == {"outbound"}


async def test_a_gate_behind_postfix_takes_outbound_mail_itself(tmp_path, outbound_gate, sink):
    async with outbound_gate(settings={"milter": tmp_path / "milter.sock"}) as gate:
        assert (await gate.submit(submitted())).startswith("250")
        assert gate.outcomes() == {"bob@other.example": "delivered"}, "not queued by Postfix"


async def test_held_mail_is_released_to_the_way_out_signed(outbound_gate, sink, rsa_key):
    ingest = Ingest()
    gate = outbound_gate(keys=(signing_key(rsa_key[0]),), settings={"ingest": ingest})
    async with gate:
        assert (await gate.submit(submitted("phish 9"))).startswith("250 2.0.0 Ok: held")
        (held,) = gate.observations()
        ingest.commands.append(
            {
                "seq": 1,
                "id": "0190d3a0-0000-7000-8000-000000000002",
                "kind": "release",
                "tenant_id": 1,
                "ulid": held["trace_ulid"],
                "recipients": ["bob@other.example"],
                "evidence": held["evidence"],
                "direction": "outbound",
                "released_by": "Ana",
            }
        )
        await until(lambda: gate.outcomes() == {"bob@other.example": "delivered"})
        (mail,) = sink.mails
        assert mail.data.startswith(b"DKIM-Signature:")
        assert b"X-Bailey-" not in mail.data
        assert gate.observations()[-1]["direction"] == "outbound"


# Logins


async def logged_in(gate, *commands):
    """The replies to EHLO and these commands, in development on loopback."""
    client = await gate.submission()
    try:
        return [await client.command(each) for each in ("EHLO x", *commands)]
    finally:
        client.close()


def coded(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("commands", "codes"),
    [
        ([f"AUTH PLAIN {plain()}"], ["235"]),
        (["AUTH PLAIN", plain()], ["334", "235"]),
        (["AUTH LOGIN", coded(LOGIN), coded(SECRET)], ["334", "334", "235"]),
        ([f"AUTH LOGIN {coded(LOGIN.upper())}", coded(SECRET)], ["334", "235"]),
        ([f"AUTH PLAIN {plain(secret='wrong')}"], ["535"]),
        ([f"AUTH PLAIN {plain(name='nobody')}"], ["535"]),
        (["AUTH PLAIN", "*"], ["334", "501"]),
        (["AUTH PLAIN !"], ["501"]),
        ([f"AUTH PLAIN {coded('no zero bytes')}"], ["501"]),
        (["AUTH CRAM-MD5"], ["504"]),
        ([f"AUTH PLAIN {plain()}", f"AUTH PLAIN {plain()}"], ["235", "503"]),
        ([f"AUTH PLAIN {plain(secret='wrong')}"] * 3, ["535", "535", "421"]),
        (["STARTTLS"], ["502"]),
    ],
)
async def test_a_login(outbound_gate, commands, codes):
    async with outbound_gate() as gate:
        replies = await logged_in(gate, *commands)
        assert "AUTH PLAIN LOGIN" in replies[0]
        assert [reply[:3] for reply in replies[1:]] == codes


async def test_who_is_logged_in_sends_from_anywhere_for_that_client_only(outbound_gate, sink):
    globex = tenant("globex", 2, "127.0.0.1:9")
    async with outbound_gate(globex) as gate:
        client = await gate.submission("198.51.100.1")
        await client.command("EHLO x")
        assert (await client.command(f"AUTH PLAIN {plain()}")).startswith("235")
        assert (await client.send(submitted(), "bob@other.example", sender=CEO)).startswith("250")
        assert (await client.command("MAIL FROM:<info@globex.example>")).startswith("550")
        client.close()
        assert gate.observations()[0]["detail"]["sent_by"]["by"] == f"login {LOGIN}"


async def test_no_secret_is_in_log_or_journal(outbound_gate, caplog):
    caplog.set_level("DEBUG")
    async with outbound_gate() as gate:
        client = await gate.submission()
        await client.command("EHLO x")
        await client.command(f"AUTH PLAIN {plain(secret='wrong-secret')}")
        await client.command(f"AUTH PLAIN {plain()}")
        await client.send(submitted(), "bob@other.example", sender=CEO)
        client.close()
        written = "".join(map(str, gate.records())) + caplog.text
        for secret in (SECRET, plain(), "wrong-secret", plain(secret="wrong-secret")):
            assert secret not in written


@pytest.fixture
def tls_gate(outbound_gate, tmp_path):
    key, pem = tmp_path / "key.pem", tmp_path / "submission.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", pem),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    pem.write_bytes(key.read_bytes() + pem.read_bytes())
    settings = {
        "submission_tls": pem,
        "submissions": ("127.0.0.1", 0),
        "takes_xclient": False,
    }
    return outbound_gate(settings=settings, hosts=("127.0.0.1",)), pem


async def secured(client, pem):
    context = ssl.create_default_context(cafile=str(pem))
    assert (await client.command("STARTTLS")).startswith("220")
    await client.writer.start_tls(context, server_hostname="localhost")


async def test_a_login_goes_through_tls(tls_gate, sink):
    gate, pem = tls_gate
    async with gate:
        client = await gate.submission()
        greeting = await client.command("EHLO x")
        assert "STARTTLS" in greeting
        assert "AUTH" not in greeting
        assert (await client.command(f"AUTH PLAIN {plain()}")).startswith("538")
        await secured(client, pem)
        assert (await client.command("MAIL FROM:<ceo@acme.example>")).startswith("503")
        greeting = await client.command("EHLO x")
        assert "AUTH PLAIN LOGIN" in greeting
        assert "STARTTLS" not in greeting
        assert (await client.command(f"AUTH PLAIN {plain()}")).startswith("235")
        big = submitted() + b"x" * 70 + b"\r\n" * 20_000
        assert (await client.send(big, "bob@other.example", sender=CEO)).startswith("250")
        client.close()
        assert gate.observations()[0]["detail"]["tls"].startswith("TLSv1.")
        assert b"with ESMTPSA id" in sink.mails[0].data


async def test_a_login_goes_through_tls_from_the_first_byte(tls_gate, sink):
    gate, pem = tls_gate
    context = ssl.create_default_context(cafile=str(pem))
    async with gate:
        address = gate.gate.submissions_address
        assert address != gate.gate.submission_address
        stream = await asyncio.open_connection(*address, ssl=context, server_hostname="localhost")
        client = SmtpClient(*stream)
        assert (await client.reply()).startswith("220")
        greeting = await client.command("EHLO x")
        assert "AUTH PLAIN LOGIN" in greeting
        assert "STARTTLS" not in greeting
        assert (await client.command("STARTTLS")).startswith("503")
        assert (await client.command(f"AUTH PLAIN {plain()}")).startswith("235")
        assert (await client.send(submitted(), "bob@other.example", sender=CEO)).startswith("250")
        client.close()
        assert gate.observations()[0]["detail"]["tls"].startswith("TLSv1.")
        assert b"with ESMTPSA id" in sink.mails[0].data


async def test_nothing_is_smuggled_behind_starttls(tls_gate):
    gate, _ = tls_gate
    async with gate:
        client = await gate.submission()
        await client.command("EHLO x")
        reply = await client.command(b"STARTTLS\r\nMAIL FROM:<ceo@acme.example>\r\n")
        assert reply.startswith("501 5.5.1 Nothing may follow STARTTLS")
        assert await client.reply() == ""
        client.close()


async def test_a_revoked_login_ends_the_conversation(outbound_gate, terms_for, sink):
    from dataclasses import replace
    from datetime import UTC, datetime

    from seg_bridge.gate.policy import sign_snapshot
    from tests.seg_bridge.gate.parts import snapshot_of

    async with outbound_gate() as gate:
        client = await gate.submission("198.51.100.1")
        await client.command("EHLO x")
        assert (await client.command(f"AUTH PLAIN {plain()}")).startswith("235")
        acme = replace(gate.tenants[0], outbound=terms_for(logins={}))
        newer = snapshot_of(acme, version="v2", made_at=datetime(2026, 11, 23, tzinfo=UTC))
        gate.gate.keeper.replace(sign_snapshot(newer.as_json(), GATE_SECRET))
        assert (await client.command(f"MAIL FROM:<{CEO}>")).startswith("421 4.7.0 This login")
        client.close()


# Signing


async def test_mail_is_signed_in_its_clients_name(outbound_gate, sink, rsa_key):
    private, public = rsa_key
    async with outbound_gate(keys=(signing_key(private),)) as gate:
        raw = submitted("Grüße") + b".dot\r\n\r\n\r\n"
        assert (await gate.submit(raw)).startswith("250")
        (mail,) = sink.mails
        asked = []

        def answer(name, timeout=5):
            asked.append(name)
            return b"v=DKIM1; k=rsa; p=" + public

        assert dkim.verify(mail.data, dnsfunc=answer)
        assert asked == [b"b1._domainkey.acme.example."]
        assert not dkim.verify(mail.data.replace(b"A line", b"A lie"), dnsfunc=answer)
        sent_by = gate.observations()[0]["detail"]["sent_by"]
        assert sent_by["dkim"] == "b1._domainkey.acme.example"


@pytest.mark.parametrize("secret", [GATE_SECRET, b"another gate's secret of 32 bytes"])
async def test_a_key_that_does_not_fit_sends_nothing_unsigned(outbound_gate, sink, rsa_key, secret):
    key = signing_key(rsa_key[0], secret=secret, domain="other.example")
    key = SigningKey(domain="acme.example", selector="b1", sealed=key.sealed)
    async with outbound_gate(keys=(key,)) as gate:
        assert (await gate.submit(submitted())).startswith("451")
        assert not sink.mails


async def test_a_snapshot_holds_no_private_key(outbound_gate, rsa_key):
    private = rsa_key[0]
    async with outbound_gate(keys=(signing_key(private),)) as gate:
        on_disk = gate.settings.snapshot_file.read_text()
        assert "PRIVATE KEY" not in on_disk
        assert private.splitlines()[3].decode() not in on_disk
        await asyncio.sleep(0)


async def test_inbound_mail_knows_no_logins(outbound_gate):
    """The two listeners do not share what they let in."""
    async with outbound_gate() as gate:
        client = await SmtpClient.connect(*gate.gate.address)
        assert "AUTH" not in await client.command("EHLO x")
        assert (await client.command(f"AUTH PLAIN {plain()}")).startswith("500")
        client.close()


BARE = f"From: <{CEO}>\r\nTo: bob@other.example\r\nSubject: {{}}\r\n{{}}\r\nA line.\r\n"
THERE = "Message-ID: <own@acme.example>\r\n", "DATE: whenever\r\n"


@pytest.mark.parametrize("given", [(), THERE[:1], THERE[1:], THERE])
async def test_date_and_message_id_are_added_where_they_are_missing(
    outbound_gate, sink, rsa_key, given
):
    """Before the signature, which holds for them; what is there stays as it is (RFC 6409, 8)."""
    private, public = rsa_key
    async with outbound_gate(keys=(signing_key(private),)) as gate:
        raw = BARE.format("Scan", "".join(given)).encode()
        assert (await gate.submit(raw)).startswith("250")
        assert (await gate.submit(raw)).startswith("250")
        told = [seen["internet_message_id"] for seen in gate.observations()]
    first, second = sink.mails
    record = b"v=DKIM1; k=rsa; p=" + public
    for mail in (first, second):
        head = mail.data.partition(b"\r\n\r\n")[0].lower()
        assert (head.count(b"\r\ndate:"), head.count(b"\r\nmessage-id:")) == (1, 1)
        for field in given:
            assert field.encode() in mail.data
        assert dkim.verify(mail.data, dnsfunc=lambda name, timeout=5: record)
        signed = header_values(mail.data, "DKIM-Signature")[0].lower().replace("\r\n", "")
        assert "date" in signed
        assert "message-id" in signed
    ids = [header_values(mail.data, "Message-ID")[0] for mail in (first, second)]
    assert told == ids, "our record names the mail as its reader will"
    assert (ids[0] == ids[1]) is (THERE[0] in given), "the same bytes twice are two mails"


async def test_a_held_mail_keeps_the_id_that_it_was_given(outbound_gate):
    async with outbound_gate() as gate:
        assert (await gate.submit(BARE.format("phish 9", "").encode())).startswith("250")
        (seen,) = gate.observations()
        (kept,) = gate.originals()
        assert seen["internet_message_id"]
        assert header_values(kept.read_bytes(), "Message-ID") == [seen["internet_message_id"]]


async def test_mail_that_comes_in_gets_neither(outbound_gate, sink):
    async with outbound_gate(tenant("globex", 2, sink.hop)) as gate:
        raw = BARE.format("Hello", "").encode()
        assert (await gate.send(raw, "info@globex.example")).startswith("250")
    (mail,) = sink.mails
    assert header_values(mail.data, "Date") == header_values(mail.data, "Message-ID") == []
