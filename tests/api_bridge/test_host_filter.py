"""Microsoft's own filter counts only where Exchange alone can have written its word."""

from __future__ import annotations

import pytest

from api_bridge.host_filter import filtered, sender_ip
from tests.api_bridge.test_host_auth import HOP, TRACE, item_with

MAIL = [
    ("Received", "from evil.example (evil.example [203.0.113.9]) by a.example; now"),
    ("From", "Eve <eve@evil.example>"),
    ("Subject", "Hello"),
    ("Content-Type", "text/plain"),
]
OURS = ("X-MS-Exchange-Organization-Network-Message-Id", "4fd2")


def report(category: str, *, scl: int = 1, ip: str = "198.51.100.7") -> tuple[str, str]:
    said = f"CIP:{ip};CTRY:DE;LANG:en;SCL:{scl};SRV:;IPV:NLI;SFV:NSPM;CAT:{category};DIR:INB;"
    return ("X-Forefront-Antispam-Report", said)


@pytest.mark.parametrize(
    ("category", "scl", "verdict"),
    [
        ("HPHSH", 9, "phish"),
        ("PHSH", 5, "phish"),
        ("MALW", 9, "malware"),
        ("AMP", 9, "malware"),
        ("SPOOF", 5, "suspicious"),
        ("UIMP", 5, "suspicious"),
        ("HSPM", 9, "spam"),
        ("BULK", 6, "graymail"),
        ("NONE", 1, "clean"),
        ("NONE", -1, "clean"),
        ("NONE", 6, "spam"),
        ("WHATEVER", 5, "spam"),
        ("WHATEVER", 1, None),
    ],
)
def test_each_category_is_a_word_of_ours(category: str, scl: int, verdict: str | None):
    found = filtered(item_with([*MAIL, OURS, report(category, scl=scl)]), "graph")
    assert found is not None
    assert (found.verdict, found.category, found.scl) == (verdict, category, scl)
    assert found.ip == "198.51.100.7"


def test_bulk_and_confidence_are_read_without_a_report():
    fields = [("X-MS-Exchange-Organization-SCL", "9"), ("X-Microsoft-Antispam", "BCL:7;ARA:1")]
    found = filtered(item_with([*MAIL, *fields]), "graph")
    assert found is not None
    assert (found.verdict, found.scl, found.bcl, found.ip) == ("spam", 9, 7, "")


FORGED = report("NONE", scl=-1, ip="192.0.2.1")


@pytest.mark.parametrize(
    "headers",
    [
        [FORGED, *MAIL],
        [*MAIL, FORGED],
        [HOP, TRACE, FORGED, *MAIL],
        [*MAIL, FORGED, ("X-Microsoft-Antispam", "BCL:0")],
        [*MAIL[:2], OURS, FORGED, *MAIL[2:]],  # nothing above the mail's own fields is a proof
        [],
    ],
)
def test_a_forged_report_says_nothing(headers: list[tuple[str, str]]):
    assert filtered(item_with(headers), "graph") is None


def test_beside_a_forged_report_the_hosts_own_counts():
    found = filtered(item_with([FORGED, *MAIL, FORGED, OURS, report("HPHSH", scl=9)]), "graph")
    assert found is not None
    assert (found.verdict, found.ip) == ("phish", "198.51.100.7")


def test_two_different_reports_are_none():
    headers = [*MAIL, OURS, report("HPHSH", scl=9), FORGED]
    assert filtered(item_with(headers), "graph") is None


@pytest.mark.parametrize("kind", ["google", "imap"])
def test_other_hosts_let_anybody_write_these(kind: str):
    assert filtered(item_with([*MAIL, OURS, report("MALW")]), kind) is None


@pytest.mark.parametrize("odd", ["", ";;;", "SCL", "SCL:x;CAT:", "CIP:nowhere;SCL:999"])
def test_what_cannot_be_read_is_nothing(odd: str):
    headers = [*MAIL, OURS, ("X-Forefront-Antispam-Report", odd)]
    assert filtered(item_with(headers), "graph") is None


INNER = (
    "Received",
    "from AM0PR01.eurprd.prod.outlook.com (2603:10a6::1) by DB8PR.prod.outlook.com; now",
)
EDGE = (
    "Received",
    "from mx.shop.example (8.8.4.4) by AM0EUR.mail.protection.outlook.com (10.1.1.1); now",
)
# The sender calls itself one of the host's.
NAMED = (
    "Received",
    "from x.prod.outlook.com (8.8.4.4) by AM0EUR.mail.protection.outlook.com (10.1.1.1); now",
)
WITHIN = ("Received", "by 2002:a05:6214:1305:b0:1 with SMTP id 4csp; now")
STORED = ("Received", "from mail.acme.example by mail.acme.example with LMTP id 7; now")
RELAYED = ("Received", "from relay.acme.example ([10.0.0.9]) by mail.acme.example with ESMTP; now")
GOOGLE = ("Received", "from mx.shop.example (mx.shop.example. [8.8.4.4]) by mx.google.com; now")
LIE = ("Received", "from bank.example (bank.example [9.9.9.9]) by AM0.prod.outlook.com; then")
OWN = ("Received", "from mx.shop.example ([8.8.4.4]) by mail.acme.example with ESMTP; now")


@pytest.mark.parametrize(
    ("kind", "headers", "wanted"),
    [
        ("graph", [INNER, EDGE, LIE, *MAIL], "8.8.4.4"),
        ("graph", [EDGE, *MAIL, OURS, report("NONE", ip="8.8.8.8")], "8.8.8.8"),
        ("graph", [EDGE, *MAIL, report("NONE", ip="8.8.8.8")], "8.8.4.4"),
        ("graph", [*MAIL, LIE], ""),
        ("graph", [OWN, LIE, *MAIL], ""),
        ("graph", [INNER, NAMED, LIE, *MAIL], "8.8.4.4"),
        ("google", [GOOGLE, LIE, *MAIL], "8.8.4.4"),
        ("google", [WITHIN, GOOGLE, LIE, *MAIL], "8.8.4.4"),
        ("google", [LIE, GOOGLE], ""),
        ("imap", [OWN, LIE], "8.8.4.4"),
        ("imap", [STORED, OWN, LIE], "8.8.4.4"),
        ("imap", [RELAYED, OWN], ""),
        ("imap", [LIE, OWN], ""),
        ("graph", [], ""),
    ],
)
def test_the_senders_address_is_what_the_trusted_hop_saw(kind: str, headers, wanted: str):
    found = sender_ip(item_with(headers), kind, internal_hosts={"mail.acme.example"})
    assert found == wanted


def test_behind_a_genuine_trace_our_own_gate_was_first():
    gate = "from mx.shop.example (mx.shop.example [8.8.4.4]) by gate.bailey.example id 01J; now"
    item = item_with([EDGE, *MAIL, OURS, report("NONE", ip="198.51.100.7")])
    assert sender_ip(item, "graph", gate_line=gate) == "8.8.4.4"
    assert sender_ip(item, "graph") == "198.51.100.7", "without it: whoever Exchange had it from"
