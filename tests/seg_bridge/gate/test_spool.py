"""What a starting gate makes of the spool that an earlier one left."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import pytest

from seg_bridge.gate.spool import Spool, SpoolEntry, SpoolTimes

INFO, CEO = "info@acme.example", "CEO@Acme.example"
ULID_TEXT = "01KAZ0000000000000000000AA"


def spool(folder: Path) -> Spool:
    nothing = cast(Any, None)  # neither is asked before a copy is tried
    return Spool(
        folder,
        journal=nothing,
        relay=nothing,
        source="gate:gate1",
        snapshot=lambda: None,
        times=SpoolTimes(),
    )


def entry(*recipients: str) -> SpoolEntry:
    return SpoolEntry(
        name=f"{ULID_TEXT}.0",
        ulid=ULID_TEXT,
        tenant_id=1,
        internet_message_id="1@x.example",
        sha256="0" * 64,
        mail_from="ann@sender.example",
        recipients=recipients,
        is_smtputf8=False,
        is_8bit=False,
        spooled_at_s=0.0,
        due_at_s=0.0,
    )


def left(folder: Path) -> Spool:
    first = spool(folder)
    first.put(entry(INFO, CEO), b"mail")
    first.activate(entry(INFO, CEO))
    return spool(folder)


@pytest.mark.parametrize(
    ("followed_up", "recipients"),
    [
        ((), (INFO, CEO)),
        ({f"{ULID_TEXT}/ceo@acme.example"}, (INFO,)),
        ({f"{ULID_TEXT}/{INFO}", f"{ULID_TEXT}/ceo@acme.example"}, None),
    ],
)
def test_a_copy_whose_end_is_on_record_is_not_sent_again(
    tmp_path: Path, followed_up: Collection[str], recipients: tuple[str, ...] | None
):
    again = left(tmp_path)
    again.recover(set(), followed_up)
    found = [each.recipients for each in again.entries()]
    assert found == ([recipients] if recipients else [])
    assert bool(list(tmp_path.iterdir())) == bool(recipients)


@pytest.mark.parametrize("torn", [b"", b'{"name": "01KA', b"{}"])
def test_half_a_change_of_an_entry_does_not_take_its_place(tmp_path: Path, torn: bytes):
    """A gate that dies over ``name.json.new`` has ``name.json`` still, and its journal names it."""
    again = left(tmp_path)
    (tmp_path / f"{ULID_TEXT}.0.json.new").write_bytes(torn)
    again.recover({ULID_TEXT})
    assert [each.recipients for each in again.entries()] == [(INFO, CEO)]
    assert not list(tmp_path.glob("*.new"))
