"""The cloud's own reader of mail: hostile mail costs little and stops nothing."""

import json
import time
from pathlib import Path

import pytest

from api_bridge.sandbox import mime

NESTED = b"".join(
    b'Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n' % (n, n) for n in range(190)
)  # fmt: skip
HOSTILE = {
    "multiparts in multiparts": NESTED + b"\r\nx\r\n" + b"line\r\n" * 100_000,
    "mails in mails": b"Content-Type: message/rfc822\r\n\r\n" * 5_000 + b"x",
    "a header of two megabytes": b"Subject: " + b"a" * 2_000_000 + b"\r\n\r\nb",
    "many headers": b"X: y\r\n" * 400_000 + b"\r\nb",
    "many addresses": b"From: " + b"a," * 100_000 + b"\r\n\r\nb",
    "open comments": b"From: " + b"(" * 100_000 + b"\r\n\r\nb",
    "encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\r\n\r\nb",
    "deep html": b"Content-Type: text/html\r\n\r\n" + b"<div>" * 100_000,
    "deep tables": b"Content-Type: text/html\r\n\r\n" + b"<table><tr><td>" * 40_000,
    "parameters": b"Content-Type: text/plain; " + b"a=b; " * 100_000 + b"\r\n\r\nb",
    "a slow charset": b"Content-Type: text/plain; charset=punycode\r\n\r\n-" + b"9" * 300_000,
    "an unknown charset": b"Content-Type: text/plain; charset=\xff\r\n\r\nx",
    "a charset that is no text": b"Content-Type: text/plain; charset=base64\r\n\r\nx",
    "lone surrogates": b"Subject: =?utf-16?b?2AA=?= \xed\xa0\x80\r\nFrom: \xed\xa0\x80\r\n\r\n\xed",
    "a date out of time": b"Date: Sun, 22 Nov 99999 10:00:00 +0000\r\n\r\nx",
    "nothing": b"",
    "zeros": b"\0" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_is_read_in_time_and_can_be_written_as_json(name: str):
    raw, started = HOSTILE[name], time.process_time()
    mail = mime.read_mail(raw)
    shown = mime.safe_html(mail.body), mime.text_of_html(mail.body)
    names = [part.name for part in mime.attachments(raw)]
    spent_s = time.process_time() - started
    json.dumps([mail.subject, mail.people, mail.body, shown, names]).encode()
    mail.body.encode()
    assert spent_s < 3


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b"X-Org-A: 1\r\nB: 2\r\n\r\nX-Org-A: body", b"B: 2\r\n\r\nX-Org-A: body"),
        (b"B: 2\nx-org-c:\n folded\n\tmore\nD: 3\n\nbody", b"B: 2\nD: 3\n\nbody"),
        (b"B: 2\r\nX-Org: 1", b"B: 2\r\nX-Org: 1"),
        (b"B: X-Org-A: no\r\n\r\n", b"B: X-Org-A: no\r\n\r\n"),
        (b"X-Org-A: only\r\n", b""),
    ],
)
def test_headers_are_taken_out_and_all_other_bytes_stay(raw: bytes, left: bytes):
    assert mime.without_headers(raw, "X-Org-") == left


@pytest.mark.parametrize(
    ("head", "importance"),
    [("Importance: High", "high"), ("X-Priority: 1 (Highest)", "high"), ("X-Priority: 5", "low"),
     ("X-Priority: 3", "normal"), ("Importance: odd", "normal"), ("A: b", "normal")],
)  # fmt: skip
def test_importance_is_read_from_either_header(head: str, importance: str):
    assert mime.read_mail(f"{head}\r\n\r\nx".encode()).importance == importance


def test_answers_belong_to_the_conversation_of_the_first_mail():
    first = mime.read_mail(b"Message-ID: <1@x>\r\nSubject: Offer\r\n\r\n")
    answer = mime.read_mail(
        b"Message-ID: <2@x>\r\nReferences: <1@x> <9@x>\r\nSubject: Re: O\r\n\r\n"
    )
    other = mime.read_mail(b"Message-ID: <3@x>\r\nSubject: Offer\r\n\r\n")
    assert first.conversation == answer.conversation != other.conversation


@pytest.mark.shared
def test_every_torture_mail_is_read(corpus_dir: Path):
    mails = [path for path in (corpus_dir.parent / "torture").rglob("*") if path.is_file()]
    assert len(mails) > 100
    for path in mails:
        raw, started = path.read_bytes(), time.process_time()
        mail = mime.read_mail(raw)
        mime.attachments(raw)
        json.dumps([mail.subject, mail.people, mime.safe_html(mail.body)]).encode()
        assert time.process_time() - started < 3, path.name
