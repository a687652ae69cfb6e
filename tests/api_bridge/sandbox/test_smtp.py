"""Mail comes in by SMTP."""

import smtplib

import pytest

from tests.api_bridge.sandbox.running import Company, simple_mail

HOSTILE = (
    b"From: a@sender.example.net\r\nX-MS-Exchange-Organization-AuthAs: Internal\r\n"
    b"x-ms-exchange-organization-scl:\r\n -1\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n"
    b"X-Odd:\tvalue with trailing blanks  \r\nX-Eight: \xe9\xff\r\n\r\n"
    b"X-MS-Exchange-Organization-InBody: stays\r\n..dots\r\n.\x20\r\nbare \n line\r\n"
    + b"y" * 5000 + b"\r\n\r\n"
)  # fmt: skip


def test_a_mail_arrives_unchanged_below_one_received_line_without_the_providers_headers(
    company: Company,
):
    company.receive("ana", raw=HOSTILE)
    mail = company.mails("ana")[0]
    raw = company.graph.get(f"users/{company.mail('ana')}/messages/{mail['id']}/$value").content
    head, _, rest = raw.partition(b"\r\n")
    assert head.startswith(b"Received: from sender.example.net ([127.0.0.1]) by mail.sandbox")
    assert rest.startswith(b" id ")
    expected = HOSTILE.replace(b"X-MS-Exchange-Organization-AuthAs: Internal\r\n", b"").replace(
        b"x-ms-exchange-organization-scl:\r\n -1\r\n", b""
    )
    assert rest.partition(b"\r\n")[2] == expected
    assert mail["subject"] == "café"


@pytest.mark.parametrize(
    ("address", "reply"),
    [
        ("someone@elsewhere.example", b"5.4.1"),
        ("nobody@{domain}", b"5.1.10"),
        ("guest@{domain}", b"5.1.10"),
    ],
)
def test_unknown_domains_and_recipients_are_refused_with_550(
    company: Company, address: str, reply: bytes
):
    company.cloud.admin("PUT", f"tenants/{company.tenant_id}", {
        "domain": company.domain,
        "users": [{"id": company.tenant_id, "mail": f"guest@{company.domain}",
                   "has_mailbox": False}],
    })  # fmt: skip
    with company.cloud.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("a@sender.example.net")
        code, text = smtp.rcpt(address.format(domain=company.domain))
    assert (code, text[:6].strip()) == (550, reply)


def test_known_recipients_of_a_mail_get_it_once_even_if_others_are_refused(company: Company):
    raw = simple_mail("all", subject="Round", message_id="<round@x>")
    with company.cloud.smtp() as smtp:
        refused = smtp.sendmail("a@x.example", [
            company.mail("ana"), company.mail("ana").upper(), f"ana+tag@{company.domain}",
            company.mail("bo"), f"nobody@{company.domain}",
        ], raw)  # fmt: skip
    assert list(refused) == [f"nobody@{company.domain}"]
    assert len(company.mails("ana")) == len(company.mails("bo")) == 1


def test_smtp_451_makes_the_sender_try_again_and_nothing_is_delivered(company: Company):
    company.cloud.admin("POST", "faults", {"kind": "smtp_451", "match": company.mail("ana")}, 201)
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        company.receive("ana")
    assert refusal.value.smtp_code == 451
    assert company.mails("ana") == []
    company.receive("ana")
    assert len(company.mails("ana")) == 1


def test_smtp_down_closes_connections_until_it_is_used_up(company: Company):
    company.cloud.admin("POST", "faults", {"kind": "smtp_down", "count": 2}, 201)
    for _ in range(2):
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            company.receive("ana")
    company.receive("ana")
    assert len(company.mails("ana")) == 1
