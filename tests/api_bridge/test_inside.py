"""Only marks that no sender from outside can set make a mail internal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api_bridge.connectors import Item, Ref
from api_bridge.inside import is_from_inside
from incidents.words import Place

OWN = "from [10.0.0.7] (helo=pc) by mail.acme.example with {} id 1; Mon, 30 Nov 2026 10:00:00 +0000"
HANDED_ON = "from mail.acme.example by mail.acme.example with LMTP id 2; Mon, 30 Nov 2026 10:00:01"
FOREIGN = "from pc by mx.evil.example with ESMTPSA id 3; Mon, 30 Nov 2026 09:59:00 +0000"


def item(*headers: tuple[str, str]) -> Item:
    return Item(
        ref=Ref("m", "i"),
        received_at=datetime.now(UTC),
        folder_id="",
        place=Place.INBOX,
        headers=headers,
    )


def received(*values: str) -> Item:
    return item(*(("Received", value) for value in values))


@pytest.mark.parametrize(
    ("kind", "mail", "is_inside"),
    [
        ("graph", replace(item(), is_internal=True), True),
        ("google", replace(item(), is_internal=True), True),
        ("graph", item(), False),
        ("graph", received(OWN.format("ESMTPSA")), False),
        # Anybody may write Exchange's header to an IMAP server.
        ("imap", item(("X-MS-Exchange-Organization-AuthAs", "Internal")), False),
        ("imap", received(OWN.format("ESMTPSA")), True),
        ("imap", received(HANDED_ON, OWN.format("ESMTPA")), True),
        ("imap", received(HANDED_ON, OWN.format("ESMTPS")), False),
        # What stands below the line of entry came with the mail.
        ("imap", received(HANDED_ON, OWN.format("ESMTPS"), OWN.format("ESMTPSA")), False),
        ("imap", received(FOREIGN, OWN.format("ESMTPSA")), False),
        ("imap", received(HANDED_ON), False),
        ("imap", received(), False),
    ],
)
def test_where_a_mail_was_written(kind, mail, is_inside):
    assert is_from_inside(mail, kind, ("mail.acme.example",)) is is_inside


def test_without_names_of_its_own_no_mail_of_an_imap_server_is_internal():
    assert not is_from_inside(received(OWN.format("ESMTPSA")), "imap")
