"""Header edits touch only the lines they name."""

import dkim
import pytest

from incidents.mail.headers import (
    drop_headers,
    header_values,
    prepend_headers,
    scan_block,
    tag_subject,
)
from tests.incidents.mail.mails import plain_mail

ODD = (
    b"Received: from a\r\n\tby b;\r\n Mon\r\nX-Bailey-Trace: v1;\r\n  forged\r\n"
    b"Subject:no blank\r\nx-bailey-TRACE : again\r\nFrom: a@b.example\r\n\r\n"
    b"X-Bailey-Trace: in the body\r\n\x00\xff\r\rz"
)


def test_dropping_a_header_keeps_every_other_byte():
    assert drop_headers(ODD, ["X-Bailey-Trace"]) == (
        b"Received: from a\r\n\tby b;\r\n Mon\r\nSubject:no blank\r\n"
        b"From: a@b.example\r\n\r\nX-Bailey-Trace: in the body\r\n\x00\xff\r\rz"
    )


def test_dropping_what_is_not_there_changes_nothing():
    assert drop_headers(ODD, ["X-Other"]) is ODD


def test_dropping_finds_the_header_behind_more_fields_than_reading_keeps():
    many = b"".join(b"X-%d: y\n" % number for number in range(3_000))
    assert drop_headers(many + b"X-Bailey-Trace: z\n\nbody", ["x-bailey-trace"]) == many + b"\nbody"


def test_dropping_finds_the_header_behind_a_line_that_is_no_field():
    raw = b"From: a@b.example\r\nthis is no field\r\nX-Bailey-Trace: z\r\n\r\nbody"
    assert drop_headers(raw, ["X-Bailey-Trace"]) == (
        b"From: a@b.example\r\nthis is no field\r\n\r\nbody"
    )


def test_prepended_headers_stand_on_top_with_the_line_ends_of_the_mail():
    assert prepend_headers(b"A: b\r\n\r\nx\ny", [("X-One", "1"), ("X-Two", "2")]) == (
        b"X-One: 1\r\nX-Two: 2\r\nA: b\r\n\r\nx\ny"
    )
    assert prepend_headers(b"A: b\n\nx\r\ny", [("X-One", "1")]) == b"X-One: 1\nA: b\n\nx\r\ny"


@pytest.mark.parametrize("value", ["a\r\nBcc: x", "a\nb", "a\rb", "a\x00b", "ä", "a\x0bb"])
def test_a_value_cannot_bring_a_header_of_its_own(value):
    with pytest.raises(ValueError, match="X-One"):
        prepend_headers(b"A: b\r\n\r\n", [("X-One", value)])


@pytest.mark.parametrize("name", ["", "X One", "X:", "X\r\nY", "Ä"])
def test_a_name_is_a_token(name):
    with pytest.raises(ValueError, match="name"):
        prepend_headers(b"A: b\r\n\r\n", [(name, "1")])


def test_a_long_value_is_folded_and_reads_back_the_same():
    value = " ".join(f"word{number}" for number in range(600))
    raw = prepend_headers(b"A: b\r\n\r\n", [("X-Long", value)])
    assert max(map(len, raw.split(b"\r\n"))) < 998
    assert header_values(raw, "x-long") == [value]


def test_edits_leave_a_dkim_signature_valid():
    key, record = _key_and_record()
    mail = plain_mail(body="Line one \r\n\r\n.\r\nlast\r\n\r\n\r\n")
    signature = dkim.sign(mail, b"s", b"sender.example", key, include_headers=[b"from", b"subject"])
    signed = b"X-Bailey-Trace: forged\r\n" + signature + mail
    edited = prepend_headers(drop_headers(signed, ["X-Bailey-Trace"]), [("X-Bailey-Trace", "v1")])
    assert dkim.verify(edited, dnsfunc=lambda name, timeout=5: record)
    assert edited.partition(b"\r\n\r\n")[2] == mail.partition(b"\r\n\r\n")[2]
    broken = dkim.verify(tag_subject(edited, "[x]"), dnsfunc=lambda name, timeout=5: record)
    assert not broken  # so the check above can fail


def _key_and_record():
    import base64

    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def test_tagging_the_subject_keeps_its_bytes():
    raw = b"Subject: =?utf-8?q?caf=C3=A9?=\r\n more\r\nA: b\r\n\r\nSubject: no"
    assert tag_subject(raw, "[SPAM]") == (
        b"Subject: [SPAM] =?utf-8?q?caf=C3=A9?=\r\n more\r\nA: b\r\n\r\nSubject: no"
    )
    assert tag_subject(b"A: b\n\nx", "[SPAM]") == b"Subject: [SPAM]\nA: b\n\nx"


def test_values_are_unfolded_and_topmost_first():
    assert header_values(b"A: 1\r\n\t2\r\nb: x\r\na : 3\r\n\r\nA: 4", "A") == ["1\t2", "3"]


def test_a_body_that_begins_without_a_blank_line_is_body():
    block = scan_block(b"From: a@b.example\r\nSubject: x\r\nDear all,\r\nnote: be early\r\n\r\nBye")
    assert [each.key for each in block.fields] == ["from", "subject"]
    assert block.body_start == len(b"From: a@b.example\r\nSubject: x\r\n")
    assert "no_blank_line" in block.problems
