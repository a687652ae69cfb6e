"""What the mail host found itself: its topmost header, and nothing that came with the mail."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from api_bridge.connectors import Item, Ref
from api_bridge.host_auth import host_auth
from incidents.words import Place

FAILED = (
    "spf=fail (sender IP is 198.51.100.7) smtp.mailfrom=shop.example; dkim=pass (signature was"
    " verified) header.d=shop.example;dmarc=pass action=none header.from=shop.example;compauth=pass"
    " reason=100"
)
RESULT = ("Authentication-Results", FAILED)
TRACE = ("X-Bailey-Trace", "v1; k=1")
OURS = ("Authentication-Results", "gate.bailey.example; spf=pass smtp.mailfrom=shop.example")
HOP = ("Received", "from gate.bailey.example by mail.protection.outlook.com; now")
FOUND = {"spf": "fail", "dkim": "pass", "dmarc": "pass", "ip": "198.51.100.7"}


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([HOP, RESULT, HOP, TRACE, OURS, HOP], FOUND),
        ([HOP, ("authentication-results", FAILED), HOP], FOUND),
        ([HOP, ("Authentication-Results", "spf=pass smtp.mailfrom=a.example")], {"spf": "pass"}),
        (
            [("Authentication-Results", "spf=none (sender IP is 2001:DB8::7) smtp.helo=a.example")],
            {"spf": "none", "ip": "2001:db8::7"},
        ),
        ([("Authentication-Results", "spf=fail (sender IP is <b>)")], {"spf": "fail"}),
        ([HOP, TRACE, OURS, HOP, RESULT], {}),  # it came with the mail
        ([HOP, OURS, HOP, RESULT], {}),  # the same where the trace was taken off
        ([("Authentication-Results", "")], {}),
        ([], {}),
    ],
)
def test_only_what_stands_above_the_mail_as_it_came_is_the_hosts_own(headers, found):
    assert host_auth(item_with(headers)) == found


def item_with(headers) -> Item:
    return Item(
        ref=Ref("box", "1"),
        received_at=datetime(2026, 11, 22, tzinfo=UTC),
        folder_id="inbox",
        place=Place.INBOX,
        headers=tuple(headers),
    )


GOOGLE = (
    "Authentication-Results",
    "mx.google.com; dkim=pass header.i=@shop.example; spf=softfail (google.com: domain of"
    " transitioning a@shop.example does not designate 198.51.100.7 as permitted sender)"
    " smtp.mailfrom=a@shop.example; dmarc=fail (p=NONE) header.from=shop.example",
)


@pytest.mark.parametrize(
    ("kind", "headers", "found"),
    [
        (
            "google",
            [HOP, GOOGLE, TRACE, OURS],
            {"spf": "softfail", "dkim": "pass", "dmarc": "fail", "ip": "198.51.100.7"},
        ),
        ("google", [RESULT, GOOGLE], {}),
        ("google", [TRACE, GOOGLE], {}),
        ("graph", [GOOGLE], {}),
        ("imap", [RESULT], {}),
    ],
)
def test_each_kind_of_host_is_known_by_its_own_name(kind, headers, found):
    assert host_auth(item_with(headers), kind) == found
