"""The policy that is in force, on disk and in memory.

The last good snapshot stays in force whatever comes: a bad signature, another gate's snapshot or
an older one is refused and said so in the log.  After a restart the one on disk counts at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_bridge.gate.files import make_folder, replace_file
from seg_bridge.gate.policy import BadSnapshot, PolicySnapshot, load_signed

log = logging.getLogger(__name__)

WATCH_EVERY_S = 0.3


class SnapshotKeeper:
    def __init__(self, path: Path, *, gate: str, secret: bytes) -> None:
        self._path = path
        self._gate = gate
        self._secret = secret
        self.current: PolicySnapshot | None = None
        make_folder(path.parent)

    def load(self) -> None:
        """Takes up the snapshot on disk; without a good one the gate has no policy."""
        try:
            self.current = self._check(load_signed(self._path.read_bytes(), self._secret))
        except FileNotFoundError:
            log.warning("no policy on disk yet")
        except BadSnapshot as error:
            log.error("the policy on disk is not followed: %s", error)

    def replace(self, signed: Mapping[str, Any]) -> None:
        """Durable, then in force.  Raises ``BadSnapshot`` or ``OSError``; the old one stays."""
        snapshot = self._check(load_signed(signed, self._secret))
        if self.current is not None and snapshot.made_at < self.current.made_at:
            raise BadSnapshot(f"version {snapshot.version} is older than the one in force")
        replace_file(self._path, json.dumps(signed).encode("ascii"))
        self.current = snapshot

    async def watch(self) -> None:
        """Follows, for ever, what another process of the gate has put on disk."""
        seen = self._stamp()
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            if (stamp := self._stamp()) != seen:
                seen = stamp
                self.load()

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _check(self, snapshot: PolicySnapshot) -> PolicySnapshot:
        if snapshot.gate != self._gate:
            raise BadSnapshot(f"the snapshot is for gate {snapshot.gate}")
        return snapshot
