"""The Received chain and the Authentication-Results that count."""

from datetime import UTC, datetime

import pytest

from incidents.mail import read_mail
from incidents.mail.authres import parse_auth_results
from incidents.mail.received import parse_received
from tests.incidents.mail.mails import plain_mail


@pytest.mark.parametrize(
    ("value", "by", "from_name", "from_ip", "helo", "protocol"),
    [
        (
            "from mail.a.example (host.a.example [192.0.2.1]) by mx.b.example (Postfix) with ESMTPS"
            " id 4X; Mon, 2 Nov 2026 10:00:00 +0100 (CET)",
            "mx.b.example", "host.a.example", "192.0.2.1", "mail.a.example", "ESMTPS",
        ),
        (
            "from unknown (HELO mail.a.example) (192.0.2.1) by b.example with SMTP;"
            " 2 Nov 2026 09:00:00 -0000",
            "b.example", "", "192.0.2.1", "mail.a.example", "SMTP",
        ),
        (
            "from AB.prod.example (2001:db8::1) by CD.prod.example (2001:db8::2) with Microsoft"
            " SMTP Server (version=TLS1_3, cipher=X) id 15.20; Mon, 2 Nov 2026 09:00:00 +0000",
            "cd.prod.example", "", "2001:db8::1", "ab.prod.example", "MICROSOFT",
        ),
        (
            "from [IPv6:2001:db8::5] (unknown) by b.example; Mon, 2 Nov 2026 09:00:00 +0000",
            "b.example", "", "2001:db8::5", "[ipv6:2001:db8::5]", "",
        ),
        ("by b.example (Postfix, from userid 0) id 7; Mon, 2 Nov 2026 09:00:00 +0000",
         "b.example", "", "", "", ""),
    ],
)  # fmt: skip
def test_hops_are_read_in_their_many_forms(value, by, from_name, from_ip, helo, protocol):
    hop = parse_received(value)
    assert (hop.by, hop.from_name, hop.from_ip, hop.helo, hop.protocol) == (
        by, from_name, from_ip, helo, protocol,
    )  # fmt: skip
    assert hop.received_at == datetime(2026, 11, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", ";", "(" * 5_000, "from", "from by with ; ;", "\x00" * 100])
def test_a_broken_hop_is_empty(value):
    assert parse_received(value).received_at is None


def test_hops_are_newest_first():
    raw = (
        b"Received: from c by d.example; Mon, 2 Nov 2026 09:00:02 +0000\r\n"
        b"Received: from a by b.example; Mon, 2 Nov 2026 09:00:01 +0000\r\n" + plain_mail()
    )
    assert [hop.by for hop in read_mail(raw).hops] == ["d.example", "b.example"]


OWN = b"Authentication-Results: mx.acme.example; spf=fail smtp.mailfrom=x@evil.example\r\n"
FORGED = b"Authentication-Results: MX.acme.example; spf=pass smtp.mailfrom=acme.example\r\n"
OTHER = b"Authentication-Results: mx.other.example; dmarc=pass header.from=acme.example\r\n"
HOP = b"Received: from a by b.example; Mon, 2 Nov 2026 09:00:00 +0000\r\n"


def results(raw: bytes, *own_ids: str) -> list[tuple[str, str, str]]:
    found = read_mail(raw + plain_mail(), own_authserv_ids=own_ids).auth_results
    return [(each.method, each.result, each.domain) for each in found]


def test_only_results_of_our_own_hosts_count():
    assert results(OTHER + OWN, "mx.acme.example") == [("spf", "fail", "evil.example")]
    assert results(OTHER + OWN) == []


def test_results_below_the_newest_hop_are_forged_or_old():
    assert results(OWN + HOP + FORGED, "mx.acme.example") == [("spf", "fail", "evil.example")]
    assert results(HOP + OWN + HOP + FORGED, "mx.acme.example") == [("spf", "fail", "evil.example")]


def test_headers_without_a_name_count_only_when_asked_for():
    nameless = (
        b"Authentication-Results: spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=a.example\r\n"
    )
    assert results(nameless, "") == [("spf", "pass", "a.example")]
    assert results(nameless, "mx.acme.example") == []


@pytest.mark.parametrize(
    "value",
    [
        'mx.example; spf=pass smtp.mailfrom="x; dmarc=pass header.from=acme.example"',
        "mx.example; spf=pass (; dmarc=pass header.from=acme.example)",
        "mx.example; spf=pass (; dmarc=pass header.from=acme.example",
        r'mx.example; spf=pass reason="\"; dmarc=pass header.from=acme.example"',
    ],
)
def test_a_result_cannot_be_injected_through_quotes_or_comments(value):
    assert "dmarc" not in {each.method for each in parse_auth_results(value)}


@pytest.mark.parametrize(
    "domain",
    ["acme.example(.evil.example", "acme.example'.evil.example", "acme.example\x00x", "a b"],
)
def test_a_domain_with_foreign_characters_is_no_domain(domain):
    found = parse_auth_results(f'mx.example; dkim=pass header.d="{domain}"')
    assert [each.domain for each in found] == [""]
