"""What a report says, and what is attached to it; read in the child that can be killed."""

from __future__ import annotations

import base64
import io
import zipfile
from datetime import UTC, datetime

import pytest

from incidents.userreports import reading
from incidents.userreports.alerts import report_of_alert
from incidents.userreports.child import MOST_BYTES
from incidents.userreports.letter import said_by
from incidents.userreports.reading import read_report
from incidents.userreports.taking import reports_of
from tests.incidents.userreports.mails import lure, report

INFO = "info@acme.example"
AT = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("3|Invoice", "phish"),
        ("1| Invoice", "junk"),
        ("2|Invoice", "not_junk"),
        ("Phishing: Invoice", "phish"),
        ("junk:Invoice", "junk"),
        ("Not junk: Invoice", "not_junk"),
        ("4|Invoice", "unsure"),
        ("Invoice 3|4", "unsure"),
        ("", "unsure"),
    ],
)
def test_the_button_says_it_first(subject: str, said: str):
    assert said_by(subject) == said


@pytest.mark.parametrize(
    ("kind", "name", "is_encoded"),
    [
        ("message/rfc822", "", False),
        ("message/rfc822", "a.eml", True),
        ("application/octet-stream", "Invoice.EML", True),
    ],
)
def test_each_way_to_attach_a_mail_gives_its_bytes(kind: str, name: str, is_encoded: bool):
    mail = lure(INFO)
    encoded = base64.encodebytes(mail) if is_encoded else b""
    found = read_report(report(INFO, mail, kind=kind, name=name, encoded=encoded))
    (original,) = found.originals
    assert original.raw.strip() == mail.strip()
    assert original.facts.internet_message_id == "<1@evil.example>"
    assert (found.said, found.words, found.problem) == ("phish", "This looks odd.", "")


def test_several_mails_are_several_reports():
    two = report(INFO, lure(INFO)).replace(
        b"--b--", b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + lure("x@y.example") + b"--b--"
    )
    taken = reports_of(read_report(two), source_key="k", reported_at=AT, trust="own")
    assert [each.source_key for each in taken] == ["k/0", "k/1"]


def _zip_bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"0" * 50_000_000)
    return packed.getvalue()


def _with_file(data: bytes) -> bytes:
    head = lure(INFO, b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="in"\r\n')
    return head + (
        b"--in\r\nContent-Type: application/zip; name=a.zip\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(data) + b"--in--\r\n"
    )


def test_a_bomb_inside_of_the_attached_mail_is_named_and_harms_nobody():
    (original,) = read_report(report(INFO, _with_file(_zip_bomb()))).originals
    (file,) = original.facts.attachments
    assert "bomb" in file.flags
    deep = lure(INFO)
    for n in range(60):
        deep = b"Content-Type: message/rfc822\r\nX-N: %d\r\n\r\n" % n + deep
    found = read_report(report(INFO, deep))
    assert found.originals[0].facts.problems or found.facts.problems
    assert len(read_report(report(INFO, lure(INFO))).originals) == 1


def test_attached_mail_beyond_the_limit_is_left_out_and_said():
    big = lure(INFO) + b"x" * MOST_BYTES
    found = read_report(report(INFO, big))
    assert (found.originals, found.problem) == ((), "too_big")


@pytest.mark.parametrize("answer", [None, {}, {"mails": [{"facts": "[]"}], "problem": ""}, "x"])
def test_what_the_child_answers_is_not_trusted(answer: object):
    assert reading._attached(answer) == ((), "unreadable")


def test_hostile_text_is_storable():
    subject = "3|=?utf-8?b?AAAA?= x"
    taken = reports_of(
        read_report(report(INFO, lure(INFO).replace(b"4711", b"\x00\xff"), subject=subject)),
        source_key="k",
        reported_at=AT,
        trust="own",
    )
    assert "\x00" not in taken[0].subject + str(taken[0].original) + taken[0].original_subject


def test_an_alert_of_google_is_a_report_of_the_recipient():
    told = report_of_alert(
        alert_id="a1", message_id="1@evil.example", recipient=INFO, reported_at=AT
    )
    assert (told.way, told.reporter, told.said) == ("gmail", INFO, "phish")
    assert told.original_id == "<1@evil.example>"
    with pytest.raises(ValueError, match="time zone"):
        report_of_alert(
            alert_id="a",
            message_id="",
            recipient=INFO,
            reported_at=AT.replace(tzinfo=None),
        )
