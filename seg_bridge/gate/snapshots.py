"""The policy that is in force, on disk and in memory.

The last good snapshot stays in force whatever comes: a bad signature, another gate's snapshot or
an older one is refused, said so in the log, and told to ingest with the next question
(``trouble``), so that people hear of it.  After a restart the one on disk counts at once; where
that one is damaged, the one before it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_bridge.gate.files import keep_previous, make_folder, previous_of, replace_file
from seg_bridge.gate.policy import BadSnapshot, PolicySnapshot, load_signed

log = logging.getLogger(__name__)

WATCH_EVERY_S = 0.3
# Where what is on disk cannot be followed: it is said in the log each time.
WATCH_AGAIN_S = 5.0


class SnapshotKeeper:
    """``trouble``: one of ``policy.TROUBLES``, "" where the newest policy is followed."""

    def __init__(self, path: Path, *, gate: str, secret: bytes) -> None:
        self._path = path
        self._gate = gate
        self._secret = secret
        self.current: PolicySnapshot | None = None
        self.trouble = ""
        # Of the file that was read: one that replaces it before the watch begins is seen, too.
        self._seen: tuple[int, int] | None = None
        make_folder(path.parent)

    def load(self) -> None:
        """Takes up the snapshot on disk; without a good one the gate has no policy."""
        self._seen = self._stamp()
        self.current = self._read(self._path)
        if self.current is None:
            self.current = self._read(previous_of(self._path))
            if self.current is not None:
                log.error("the policy before it is followed: version %s", self.current.version)

    def replace(self, signed: Mapping[str, Any]) -> None:
        """Durable, then in force.  Raises ``BadSnapshot`` or ``OSError``; the old one stays."""
        try:
            snapshot = self._check(load_signed(signed, self._secret))
            if self.current is not None and snapshot.made_at < self.current.made_at:
                raise BadSnapshot(
                    f"version {snapshot.version} is older than the one in force", code="older"
                )
            keep_previous(self._path)
            replace_file(self._path, json.dumps(signed).encode("ascii"))
        except BadSnapshot as error:
            self.trouble = error.code
            raise
        except OSError:
            self.trouble = "disk"
            raise
        self.current, self.trouble = snapshot, ""

    def _read(self, path: Path) -> PolicySnapshot | None:
        try:
            return self._check(load_signed(path.read_bytes(), self._secret))
        except FileNotFoundError:
            log.warning("no policy in %s", path.name)
            self.trouble = self.trouble or "missing"
        except BadSnapshot as error:
            log.error("the policy in %s is not followed: %s", path.name, error)
            self.trouble = self.trouble or error.code
        except OSError as error:
            log.error("%s cannot be read: %s", path.name, error)
            self.trouble = self.trouble or "disk"
        return None

    async def watch(self) -> None:
        """Follows, for ever, what another process of the gate has put on disk."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            if (stamp := self._stamp()) == self._seen:
                continue
            if self.follow_disk():
                self._seen = stamp
            else:
                await asyncio.sleep(WATCH_AGAIN_S)

    def follow_disk(self) -> bool:
        """Takes up what is on disk where it is good and not older than what is in force; else that
        stays, as it does in the process that was given the policy.  False: look again.
        """
        if self.current is None:
            self.load()
            return self.current is not None
        found = self._read(self._path)
        if found is None or found.made_at < self.current.made_at:
            return False
        self.current, self.trouble = found, ""
        return True

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _check(self, snapshot: PolicySnapshot) -> PolicySnapshot:
        if snapshot.gate != self._gate:
            raise BadSnapshot(f"the snapshot is for gate {snapshot.gate}", code="other_gate")
        return snapshot
