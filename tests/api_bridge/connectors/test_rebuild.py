"""A mail put together again: its own headers in order, nothing smuggled in."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest

from api_bridge.connectors import Item, Ref
from api_bridge.connectors.graph.rebuild import AttachedFile, rebuild_mail
from incidents.mail.facts import Address
from incidents.words import Place

BARE = Item(
    ref=Ref("u", "i"),
    received_at=datetime(2026, 11, 22, tzinfo=UTC),
    folder_id="f",
    place=Place.INBOX,
)


def item(**fields):
    return replace(BARE, **fields)


def read(raw):
    return message_from_bytes(raw, policy=default)


HEADERS = (
    ("Received", "from b by c; Sun, 22 Nov 2026 10:00:02 +0000"),
    ("Authentication-Results", "mx.example; spf=pass"),
    ("Received", "from a by b; Sun, 22 Nov 2026 10:00:01 +0000"),
    ("X-Bailey-Trace", "v1; k1; 1; 01J; t; h; f; mac"),
    ("X-MS-Exchange-Organization-AuthAs", "Internal"),
    ("From", "Ann <ann@sender.example>"),
    ("Content-Type", "multipart/alternative; boundary=old"),
    ("Content-Transfer-Encoding", "7bit"),
)


def test_headers_stand_in_their_order_and_only_the_form_is_ours():
    mail = read(rebuild_mail(item(headers=HEADERS, html="<p>hallo</p>")))
    kept = [pair for pair in mail.items() if pair[0] in {name for name, _ in HEADERS[:6]}]
    assert kept == list(HEADERS[:6])
    assert mail.get_all("Content-Type") == ['text/html; charset="utf-8"']
    assert mail.get_content().strip() == "<p>hallo</p>"


def test_a_mail_without_headers_gets_them_from_its_fields():
    sender = Address("boss@acme.example", 'The "Boss", Jr.', "boss@acme.example")
    raw = rebuild_mail(
        item(
            sender=sender,
            to=(Address("a@acme.example"), Address("b@acme.example", "B")),
            subject="Grüße",
            internet_message_id="<1@acme.example>",
            sent_at=datetime(2026, 11, 22, 9, tzinfo=UTC),
            text="hallo",
        )
    )
    mail = read(raw)
    assert mail["from"].addresses[0].addr_spec == "boss@acme.example"
    assert mail["from"].addresses[0].display_name == 'The "Boss", Jr.'
    assert [to.addr_spec for to in mail["to"].addresses] == ["a@acme.example", "b@acme.example"]
    assert (mail["message-id"], mail.get_content().strip()) == ("<1@acme.example>", "hallo")


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\r\n\r\n", "\x00\r\n"])
def test_nothing_in_a_value_starts_a_header_or_the_body(end):
    evil = f"hello{end}X-Evil: yes{end}{end}<script>"
    raw = rebuild_mail(
        item(
            headers=(("Subject", evil), ("X-A: b\r\nX-Evil", "yes"), ("", "x")),
            text="body",
        ),
        [AttachedFile(name=evil, content=b"x", content_type=evil, content_id=evil)],
    )
    mail = read(raw)
    assert "X-Evil" not in mail
    assert all("X-Evil" not in part for part in mail.walk())
    assert mail.get_body(("plain",)).get_content().strip() == "body"


def test_attachments_come_back_byte_for_byte():
    content = bytes(range(256)) * 300
    inner = b"From: x@y.example\r\nSubject: inner\r\n\r\nhello\r\n"
    mail = read(
        rebuild_mail(
            item(html="<p>see"),
            [
                AttachedFile(name="a.bin", content=content),
                AttachedFile(
                    name="l.png",
                    content=b"png",
                    content_type="image/png",
                    content_id="<logo@x>",
                    is_inline=True,
                ),
                AttachedFile(name="mail", content=inner, is_mail=True),
            ],
        )
    )
    first, second, third = mail.iter_attachments()
    assert (first.get_filename(), first.get_content()) == ("a.bin", content)
    assert (second["content-id"], second.get_content_disposition()) == ("<logo@x>", "inline")
    assert third.get_content()["subject"] == "inner"


def test_the_same_item_gives_the_same_bytes():
    files = [AttachedFile(name="a", content=b"a")]
    assert rebuild_mail(item(text="x"), files) == rebuild_mail(item(text="x"), files)


def test_very_long_headers_are_folded_and_read_back_whole():
    value = " ".join(f"<{number}@long.example>" for number in range(500))
    raw = rebuild_mail(item(headers=(("References", value),)))
    assert max(map(len, raw.split(b"\r\n"))) < 998
    assert " ".join(read(raw)["references"].split()) == value
