"""What a starting gate makes of the spool that an earlier one left."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import pytest

from seg_bridge.gate import spool as spool_module
from seg_bridge.gate.hop import HopAnswer, OutgoingMail
from seg_bridge.gate.policy import PolicySnapshot
from seg_bridge.gate.spool import Spool, SpoolTimes
from seg_bridge.gate.spool_entry import SpoolEntry
from tests.seg_bridge.gate.parts import snapshot_of, tenant, until

INFO, CEO = "info@acme.example", "CEO@Acme.example"
ULID_TEXT = "01KAZ0000000000000000000AA"


def spool(
    folder: Path,
    relay: Any = None,
    journal: Any = None,
    policy: PolicySnapshot | None = None,
    returner: Any = None,
) -> Spool:
    """Without relay and journal: neither is asked before a copy is tried."""
    return Spool(
        folder,
        journal=cast(Any, journal),
        relay=cast(Any, relay),
        source="gate:gate1",
        snapshot=lambda: policy,
        times=SpoolTimes(first_retry_s=0.01),
        returner=cast(Any, returner),
    )


def entry(*recipients: str, tenant_id: int = 1) -> SpoolEntry:
    return SpoolEntry(
        name=f"{ULID_TEXT}.{tenant_id - 1}",
        ulid=ULID_TEXT,
        tenant_id=tenant_id,
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


class Relay:
    """``hangs``: the client for whom nobody answers; ``fails``: of whom there is a bug, once."""

    def __init__(self, *, hangs: str = "", fails: str = "") -> None:
        self.hangs, self.fails = hangs, fails
        self.sent: list[str] = []

    async def send(self, way: Any, mail: OutgoingMail) -> dict[str, HopAnswer]:
        (recipient,) = mail.recipients
        if recipient == self.hangs:
            await asyncio.sleep(3600)
        if recipient == self.fails:
            self.fails = ""
            raise KeyError("a bug")
        self.sent.append(recipient)
        return {recipient: HopAnswer("accepted", "250 ok")}


class Journal:
    def __init__(self) -> None:
        self.records: list[Any] = []

    async def append(self, record: Any) -> None:
        self.records.append(record)


@pytest.mark.parametrize("trouble", ["hangs", "fails"])
async def test_one_clients_mail_host_holds_up_no_other(tmp_path: Path, trouble: str):
    globex = "info@globex.example"
    relay, journal = Relay(**{trouble: globex}), Journal()
    policy = snapshot_of(tenant("acme", 1, "127.0.0.1:25"), tenant("globex", 2, "127.0.0.1:26"))
    waiting = spool(tmp_path, relay, journal, policy)
    for each in (entry(globex, tenant_id=2), entry(INFO)):
        waiting.put(each, b"mail")
        waiting.activate(each)
    running = asyncio.create_task(waiting.run())
    try:
        expected = {INFO} if trouble == "hangs" else {INFO, globex}
        await until(lambda: set(relay.sent) == expected)
        assert len(journal.records) == len(expected)
        left = waiting.entry(entry(globex, tenant_id=2).name)
        assert (left is not None) == (trouble == "hangs")
        if left is not None:
            assert "being tried" in await waiting.order(left, "remove", by="Ana")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Returner:
    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send_back(self, entry: SpoolEntry, data: bytes) -> str:
        self.sent.append(entry.name)
        return ""


async def test_nothing_is_returned_that_could_still_be_delivered_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    returner, journal = Returner(), Journal()
    waiting = spool(tmp_path, journal=journal, returner=returner)
    waiting.put(entry(INFO), b"mail")
    waiting.activate(entry(INFO))
    (kept,) = waiting.entries()
    with monkeypatch.context() as disk:
        disk.setattr(spool_module, "replace_file", refusing)
        with pytest.raises(OSError, match="no space"):
            await waiting.order(kept, "return", by="Ana")
    assert (returner.sent, journal.records, waiting.entries()) == ([], [], [kept])
    assert await waiting.order(kept, "return", by="Ana") == ""
    assert (returner.sent, waiting.entries()) == ([kept.name], [])


def refusing(path: Path, data: bytes) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")
