"""Outlook items that people report: read as the mail they were made of."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from incidents.mail import read_mail
from incidents.userreports import outlook
from incidents.userreports.outlook import NoItem, mail_of_item
from incidents.userreports.reading import read_report
from tests.incidents.userreports.mails import report
from tests.incidents.userreports.outlook_items import compound_file, item

INFO = "info@acme.example"
CAME = (
    "Received: from evil.example by mx.acme.example;\r\n Thu, 19 Nov 2026 08:00:00 +0000\r\n"
    "From: Billing <pay@evil.example>\r\nTo: info@acme.example\r\n"
    "Subject: =?utf-8?b?UmVjaG51bmcgw7w=?=\r\nMessage-ID: <7@evil.example>\r\n"
    'Content-Type: multipart/mixed;\r\n boundary="x"\r\nMIME-Version: 1.0\r\n'
)
OUTLOOK = "application/vnd.ms-outlook"


def test_the_header_is_as_it_came_and_the_body_is_made_anew():
    raw = item(
        {"007D": CAME, "1000": "Pay here: https://pay.evil.example/1 €"},
        html=b"<a href='https://pay.evil.example/2'>Pay</a>",
    )
    facts = read_mail(mail_of_item(raw))
    assert (facts.internet_message_id, facts.subject) == ("<7@evil.example>", "Rechnung ü")
    assert facts.sender is not None
    assert facts.sender.address == "pay@evil.example"
    assert "€" in facts.text
    assert {link.url for link in facts.links} == {
        "https://pay.evil.example/1",
        "https://pay.evil.example/2",
    }
    assert dict(facts.headers)["Received"].startswith("from evil.example")
    assert facts.problems == ()


def test_one_that_never_travelled_is_named_by_its_properties():
    at = datetime(2026, 11, 19, 8, tzinfo=UTC)
    names = {
        "0C1A": 'Kim "K" Li',
        "5D01": "kim@acme.example",
        "0E04": INFO,
        "0037": "Büro\r\nBcc: x",
    }
    facts = read_mail(
        mail_of_item(item({**names, "1000": "Hello", "1035": "<1@a.example>"}, sent_at=at))
    )
    assert facts.sender is not None
    assert facts.sender.address == "kim@acme.example"
    assert (facts.subject, facts.sent_at) == ("Büro Bcc: x", at)
    assert (facts.internet_message_id, facts.text.strip()) == ("<1@a.example>", "Hello")


@pytest.mark.parametrize(
    "raw",
    [
        b"x",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 100,
        item({"1000": "x"})[:700],
        compound_file({"other": b"x"}),
        item({"1000": "x" * 6000}),
    ],
    ids=["no file", "broken", "cut", "no mail", "too big"],
)
def test_anything_else_is_no_item(raw: bytes, monkeypatch):
    monkeypatch.setattr(outlook, "MOST_TEXT_BYTES", 10_000)
    with pytest.raises(NoItem):
        mail_of_item(raw)


def test_a_reported_item_is_a_report_of_its_mail():
    raw = item({"007D": CAME, "1000": "Pay here"})
    found = read_report(
        report(INFO, kind=OUTLOOK, name="Invoice.msg", encoded=base64.encodebytes(raw))
    )
    (original,) = found.originals
    assert original.facts.internet_message_id == "<7@evil.example>"
    assert found.problem == "made_anew"


def test_one_that_cannot_be_read_is_named():
    found = read_report(report(INFO, b"x", kind=OUTLOOK, name="a.msg"))
    assert (found.originals, found.problem) == ((), "msg")
