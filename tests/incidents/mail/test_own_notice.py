"""The seal on Bailey's own mail: it holds for these words to this mailbox, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from incidents.mail.own_notice import NOTICE_HEADER, SEALED_FIELDS, is_own_notice, seal_notice
from incidents.mail.trace import Trace, sign_trace

KEY, NOW = bytes(range(32)), datetime(2026, 11, 30, 8, tzinfo=UTC)
TO = "info@acme.example"
PLAIN = (
    b"From: Keep mail security <bailey@keep.example>\r\nTo: info@acme.example\r\n"
    b"Subject: 2 mails are held\r\n back for you\r\nMessage-ID: <1@keep.example>\r\n"
    b"Date: Mon, 30 Nov 2026 08:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: text/plain; charset="utf-8"\r\n\r\nHeld back:\r\n  Invoice=20\r\n'
)


def seal(raw: bytes = PLAIN, to: str = TO, key: bytes = KEY, at: datetime = NOW) -> bytes:
    value = seal_notice(raw, key_id="k1", key=key, tenant_id=1, recipient=to, at=at)
    return f"{NOTICE_HEADER}: {value}\r\n".encode() + raw


def holds(raw: bytes, *, to: tuple[str, ...] = (TO,), tenant_id: int = 1, now: datetime = NOW):
    return is_own_notice(raw, keys={"k1": KEY}, tenant_id=tenant_id, recipients=to, now=now)


def swap(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        assert old in raw
        return raw.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    "on_the_way",
    [
        lambda raw: raw,
        lambda raw: b"Received: from a by b; now\r\nReturn-Path: <x@y.example>\r\n" + raw,
        lambda raw: raw.replace(b"\r\n", b"\n"),
        lambda raw: raw + b"\r\n\r\n",
        swap(b"are held\r\n back", b"are held back"),
        swap(b"; k=k1;", b";\r\n\tk=k1;"),
        swap(b"X-Bailey-Notice", b"x-bailey-notice"),
        swap(b"Held back:\r\n", b"Held back: \r\n"),
    ],
)
def test_it_holds_after_what_mail_servers_do(on_the_way: Callable[[bytes], bytes]):
    assert holds(on_the_way(seal()))


@pytest.mark.parametrize(
    "forge",
    [
        swap(b"Invoice", b"Click me"),
        swap(b"  Invoice=20\r\n", b"  Invoice=20\r\nhttps://evil.example\r\n"),
        swap(b"Subject: 2 mails", b"Subject: 3 mails"),
        swap(b"bailey@keep.example", b"eve@evil.example"),
        swap(b"To: info@", b"To: ceo@"),
        swap(b"text/plain", b"text/html"),
        lambda raw: b"From: Eve <eve@evil.example>\r\n" + raw,
        lambda raw: b"Subject : Pay now\r\n" + raw,
        # Not a field of its own, and still read as one by somebody.
        lambda raw: b"no field at all\r\n" + raw,
        lambda raw: raw.replace(b"\r\n\r\n", b"\r\nReply-To: eve@evil.example\r\n\r\n", 1),
        lambda raw: raw.split(b"\r\n")[0] + b"\r\n" + raw,
        swap(b"t=1;", b"t=2;"),
        swap(b"k=k1", b"k=k2"),
        swap(b"v1; ", b"v2; "),
        lambda raw: PLAIN,
        lambda raw: NOTICE_HEADER.encode() + b": forged\r\n" + PLAIN,
    ],
)
def test_whatever_is_read_of_the_mail_is_sealed(forge: Callable[[bytes], bytes]):
    assert not holds(forge(seal()))


@pytest.mark.parametrize("name", SEALED_FIELDS)
def test_no_sealed_field_can_be_added(name: str):
    assert not holds(f"{name.title()}: x\r\n".encode() + seal())


@pytest.mark.parametrize(
    "asked",
    [
        {"to": ("ceo@acme.example",)},
        {"to": (TO, "ceo@acme.example")},
        {"to": ()},
        {"tenant_id": 2},
        {"now": NOW + timedelta(days=5, seconds=1)},
        {"now": NOW - timedelta(minutes=11)},
    ],
)
def test_it_is_for_one_mailbox_of_one_client_and_for_some_days(asked):
    assert not holds(seal(), **asked)


def test_another_providers_key_and_a_trace_seal_nothing():
    assert not holds(seal(key=b"k" * 32))
    trace = sign_trace(Trace("k1", 1, "01JD4Z7Y8M2Q3R4S5T6V7W8X9Y", NOW), KEY)
    assert not holds(f"{NOTICE_HEADER}: {trace}\r\n".encode() + PLAIN)
    assert holds(seal(to="Info@Acme.example"))
    with pytest.raises(ValueError, match="32 bytes"):
        seal(key=b"short")
