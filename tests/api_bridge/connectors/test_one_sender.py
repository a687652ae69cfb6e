"""One sender in every layer, or nobody's (PROMISES 20): what the gate reads, what comes back out of
Graph's properties, and what Gmail's raw form says, of the cases that espoofer collects.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from api_bridge.connectors import Item, Ref
from api_bridge.connectors.google import mapping
from api_bridge.connectors.graph.rebuild import rebuild_mail
from api_bridge.sandbox.mime import header_fields
from incidents.mail import read_mail
from incidents.mail.facts import Address
from incidents.words import Place
from seg_bridge.gate.outgoing import normalise
from tests.hostile.vectors import AMBIGUOUS_FROM

AT = datetime(2026, 11, 22, tzinfo=UTC)
SHOWN = Address("a@sender.example", "", "a@sender.example")


def as_relayed(lines: tuple[bytes, ...]) -> bytes:
    raw = b"\r\n".join(lines) + b"\r\nTo: bob@acme.example\r\nSubject: x\r\n\r\nHello\r\n"
    return normalise(raw)


def at_graph(raw: bytes) -> Address | None:
    """Graph shows one sender whatever the header says; the header is what counts."""
    item = Item(
        ref=Ref("u", "i"),
        received_at=AT,
        folder_id="f",
        place=Place.INBOX,
        headers=tuple(header_fields(raw)),
        sender=SHOWN,
        text="Hello",
    )
    return read_mail(rebuild_mail(item)).sender


def at_gmail(raw: bytes) -> Address | None:
    data = {"id": "1", "raw": base64.urlsafe_b64encode(raw).decode(), "labelIds": ["INBOX"]}
    item = mapping.item_of(data, "bob@acme.example", "", AT)
    assert item is not None
    assert read_mail(item.raw).sender == item.sender
    return item.sender


@pytest.mark.parametrize("lines", [*AMBIGUOUS_FROM, (b"From: Ann <a@sender.example>",)])
def test_every_layer_reads_the_same_sender_or_none(lines):
    raw = as_relayed(lines)
    gate = read_mail(raw).sender
    assert read_mail(b"\r\n".join(lines) + b"\r\n\r\nHello").sender == gate
    assert (gate is None) == (lines in AMBIGUOUS_FROM)
    assert [at_graph(raw), at_gmail(raw)] == [gate, gate]
