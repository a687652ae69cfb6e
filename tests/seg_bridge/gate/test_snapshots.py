"""The last good policy stays in force, over restarts too, and the gate says what is wrong."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seg_bridge.gate import snapshots
from seg_bridge.gate.policy import BadSnapshot, sign_snapshot
from seg_bridge.gate.snapshots import SnapshotKeeper
from tests.seg_bridge.gate.parts import SECRET, block, snapshot_of, tenant

MADE_AT = datetime(2026, 11, 22, tzinfo=UTC)


def signed(version: str = "v1", *, minutes: int = 0, secret: bytes = SECRET, **changes: Any):
    rule = block("eve@evil.example")
    policy = tenant("acme", 1, "127.0.0.1:25", rules=(rule,))
    snapshot = snapshot_of(policy, version=version, made_at=MADE_AT + timedelta(minutes=minutes))
    return sign_snapshot({**snapshot.as_json(), **changes}, secret)


def keeper(folder: Path, *, gate: str = "gate1") -> SnapshotKeeper:
    found = SnapshotKeeper(folder / "snapshot.json", gate=gate, secret=SECRET)
    found.load()
    return found


def version_of(found: SnapshotKeeper) -> str | None:
    return found.current.version if found.current else None


def test_a_restart_without_the_console_follows_what_is_on_disk_at_once(tmp_path: Path):
    first = keeper(tmp_path)
    assert (version_of(first), first.trouble) == (None, "missing")
    first.replace(signed())
    again = keeper(tmp_path)
    assert (version_of(again), again.trouble) == ("v1", "")
    assert again.current is not None
    assert again.current.tenants[0].rules[0].value == "eve@evil.example"


@pytest.mark.parametrize(
    ("bad", "trouble"),
    [
        (signed("v2", minutes=1, secret=b"x" * 32), "signature"),
        ({"snapshot": {"version": "v2"}}, "unreadable"),
        (signed("v2", minutes=1, format=99), "newer_format"),
        (signed("v2", minutes=1, gate="gate2"), "other_gate"),
        (signed("v2", minutes=-1), "older"),
        (signed("v2", minutes=1, tenants=[{"tenant_id": "x"}]), "unreadable"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_named_and_the_last_good_one_stays(
    tmp_path: Path, bad: Any, trouble: str
):
    found = keeper(tmp_path)
    found.replace(signed())
    with pytest.raises(BadSnapshot):
        found.replace(bad)
    assert (version_of(found), found.trouble) == ("v1", trouble)
    assert version_of(keeper(tmp_path)) == "v1"
    found.replace(signed("v3", minutes=2))
    assert (version_of(found), found.trouble) == ("v3", "")


def test_a_disk_that_fails_keeps_the_old_policy_and_is_told(tmp_path: Path, monkeypatch):
    found = keeper(tmp_path)
    found.replace(signed())

    def fails(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots, "replace_file", fails)
    with pytest.raises(OSError, match="No space"):
        found.replace(signed("v2", minutes=1))
    assert (version_of(found), found.trouble) == ("v1", "disk")


@pytest.mark.parametrize(
    ("damage", "trouble"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(b""), "unreadable"),
        (lambda path: path.write_bytes(b"\xff{"), "unreadable"),
        (lambda path: path.write_text(path.read_text().replace("eve@", "bob@")), "signature"),
    ],
)
def test_a_damaged_policy_on_disk_gives_way_to_the_one_before_it(
    tmp_path: Path, damage: Any, trouble: str
):
    found = keeper(tmp_path)
    found.replace(signed())
    found.replace(signed("v2", minutes=1))
    damage(tmp_path / "snapshot.json")
    again = keeper(tmp_path)
    assert (version_of(again), again.trouble) == ("v1", trouble)
    again.replace(signed("v2", minutes=1))
    assert (version_of(again), again.trouble) == ("v2", "")


def test_where_both_are_damaged_there_is_no_policy_and_the_first_trouble_is_told(tmp_path: Path):
    found = keeper(tmp_path)
    for minutes in (0, 1):
        found.replace(signed(minutes=minutes))
    for path in tmp_path.glob("snapshot.json*"):
        path.write_text(json.dumps(signed(secret=b"x" * 32)))
    again = keeper(tmp_path)
    assert (version_of(again), again.trouble) == (None, "signature")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"\xff{"),
        lambda path: path.write_text(json.dumps(signed("v9", minutes=9, secret=b"x" * 32))),
        lambda path: path.write_text(json.dumps(signed("v0", minutes=-9))),
        lambda path: path.rename(path.with_name("gone")) and path.mkdir(),
    ],
)
def test_another_process_keeps_what_it_follows_where_the_disk_has_no_better(
    tmp_path: Path, damage: Any
):
    """A disk that fails for a moment, or runs out of open files, leaves no process without."""
    first = keeper(tmp_path)
    first.replace(signed())
    first.replace(signed("v2", minutes=1))
    other, path = keeper(tmp_path), tmp_path / "snapshot.json"
    damage(path)
    assert not other.follow_disk()
    assert version_of(other) == "v2"
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    first.replace(signed("v3", minutes=2))
    assert other.follow_disk()
    assert (version_of(other), other.trouble) == ("v3", "")


async def test_another_process_follows_what_came_before_it_began_to_watch(tmp_path: Path):
    first = keeper(tmp_path)
    other = keeper(tmp_path)
    first.replace(signed())
    watching = asyncio.create_task(other.watch())
    try:
        for _ in range(100):
            if version_of(other) == "v1":
                break
            await asyncio.sleep(0.02)
    finally:
        watching.cancel()
    assert version_of(other) == "v1"
