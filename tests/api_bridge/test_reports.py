"""Whose report counts: from inside, or proven by the gate of its trace, or by the mail host."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from api_bridge.connectors import Item, Ref
from api_bridge.known import Profile
from api_bridge.reports import trust_of
from incidents.mail.facts import Address, AuthResult, MailFacts
from incidents.mail.trace import Trace
from incidents.words import Direction, Place

AT = datetime(2026, 11, 22, tzinfo=UTC)
HOP = ("Received", "from a by mail.protection.outlook.com; now")
PASSED = ("Authentication-Results", "dkim=pass header.d=acme.example; dmarc=pass")
FAILED = ("Authentication-Results", "spf=pass; dmarc=fail action=none header.from=acme.example")
PROFILE = Profile(
    tenant_id=1,
    protected_since=None,
    own_domains=("acme.example",),
    people=(),
    vendor_domains=frozenset(),
    history_known=True,
    keys={},
)
TRACE = Trace(key_id="k", tenant_id=1, ulid="0" * 26, at=AT, message_id_hash="", fingerprint="")
GATE_PASS = AuthResult("gate", "dmarc", "pass", "acme.example")


def trust(sender: str = "info@acme.example", **changes: Any) -> str:
    known: dict[str, Any] = {
        "direction": Direction.INBOUND,
        "trace": None,
        "trace_state": "none_expected",
        "profile": PROFILE,
        "kind": "graph",
    }
    headers, results = changes.pop("headers", ()), changes.pop("results", ())
    facts = MailFacts(
        size_bytes=1,
        raw_sha256="",
        sender=Address(sender) if sender else None,
        auth_results=tuple(results),
    )
    item = Item(
        ref=Ref("box", "1"),
        received_at=AT,
        folder_id="inbox",
        place=Place.INBOX,
        headers=tuple(headers),
    )
    return trust_of(item, facts, **(known | changes)).value


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"direction": Direction.INTERNAL}, "own"),
        # Another kind of mail host: anybody can write this header.
        ({"headers": [HOP, PASSED], "kind": "imap"}, "forged"),
        ({"headers": [HOP, PASSED], "kind": "google"}, "forged"),
        ({"direction": Direction.INTERNAL, "sender": "eve@evil.example"}, "outside"),
        ({"sender": ""}, "outside"),
        ({"sender": "eve@evil.example", "headers": [HOP, PASSED]}, "outside"),
        ({"sender": "info@sub.acme.example", "headers": [HOP, PASSED]}, "outside"),
        ({"headers": [HOP, PASSED]}, "own"),
        ({"headers": [HOP, FAILED]}, "forged"),
        ({}, "forged"),
        ({"trace": TRACE, "trace_state": "valid", "results": [GATE_PASS]}, "own"),
        # Behind the gateway the mail host may have judged the gateway.
        ({"trace": TRACE, "trace_state": "valid", "headers": [HOP, PASSED]}, "forged"),
        (
            {
                "trace": TRACE,
                "trace_state": "valid",
                "results": [AuthResult("gate", "dmarc", "pass", "evil.example")],
            },
            "forged",
        ),
        (
            {
                "trace": TRACE,
                "trace_state": "valid",
                "results": [AuthResult("gate", "spf", "pass", "acme.example")],
            },
            "forged",
        ),
        ({"trace_state": "invalid", "headers": [HOP, PASSED]}, "forged"),
        ({"trace_state": "missing", "headers": [HOP, PASSED]}, "own"),
    ],
)
def test_who_counts(changes: dict[str, Any], says: str):
    assert trust(**changes) == says
