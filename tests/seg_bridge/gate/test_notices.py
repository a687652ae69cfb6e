"""Bailey's own mail at the client's gate: it passes, and nothing that only looks like it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from incidents.mail.headers import header_values
from incidents.mail.own_notice import NOTICE_HEADER, seal_notice
from incidents.words import MatrixAction
from tests.seg_bridge.gate.parts import TRACE_KEY, block, mail_bytes

TO = "info@acme.example"


def sealed(raw: bytes, to: str = TO, *, ago: timedelta = timedelta()) -> bytes:
    at = datetime.now(UTC) - ago
    value = seal_notice(raw, key_id="k1", key=TRACE_KEY, tenant_id=1, recipient=to, at=at)
    return f"{NOTICE_HEADER}: {value}\r\n".encode() + raw


@pytest.mark.parametrize("subject", ["phish 9", "silent", "malware 20"])
async def test_a_sealed_notice_passes_whatever_engines_and_lists_say(gate_for, sink, subject):
    policy = {"rules": (block("ann@sender.example"),), "on_not_scanned": MatrixAction.HOLD}
    async with gate_for(**policy) as gate:
        assert (await gate.send(sealed(mail_bytes(subject)))).startswith("250")
        (seen,) = gate.observations()
        assert (seen["action"], seen["verdict"], seen["engine"]) == ("delivered", "clean", "seal")
        assert seen["rule"].startswith("Bailey's own notice")
    (mail,) = sink.mails
    # Nobody who gets it can show it to another gate.
    assert header_values(mail.data, NOTICE_HEADER) == []


@pytest.mark.parametrize(
    "raw",
    [
        mail_bytes("phish 9"),
        sealed(mail_bytes("phish 9")).replace(b"A line", b"A link"),
        sealed(mail_bytes("phish 9"), "ceo@acme.example"),
        sealed(mail_bytes("phish 9"), ago=timedelta(days=6)),
        sealed(mail_bytes("hello")).replace(b"Subject: hello", b"Subject: phish 9"),
        NOTICE_HEADER.encode() + b": v1\r\n" + mail_bytes("phish 9"),
    ],
)
async def test_what_only_looks_like_one_is_held_as_any_mail(gate_for, sink, raw):
    async with gate_for() as gate:
        await gate.send(raw)
        assert gate.outcomes() == {TO: "held"}
    assert sink.mails == []


async def test_a_notice_that_is_sent_on_to_others_is_any_mail(gate_for, sink):
    async with gate_for() as gate:
        await gate.send(sealed(mail_bytes("phish 9")), TO, "ceo@acme.example")
        assert set(gate.outcomes().values()) == {"held"}
