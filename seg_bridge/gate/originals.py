"""Original bytes at the gate: held mail, and what a client's policy says to keep.

``originals/<tenant id>/<ulid>.eml`` until the shipper has stored it with the evidence; then the
file is removed, or renamed to ``.stored`` while the mail is held, so that a release needs no
console.  The shipper removes ``.stored`` after the retention time; the gate on release or denial.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from pathlib import Path

from seg_bridge.gate.failpoints import failpoint
from seg_bridge.gate.files import make_folder, replace_file, sync_folder, write_synced

_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\Z")


class Originals:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)

    def keep(self, tenant_id: int, ulid: str, raw: bytes) -> None:
        """Durable on return.  Raises ``OSError``."""
        path = self._path(tenant_id, ulid, ".eml")
        make_folder(path.parent)
        try:
            write_synced(path, raw)
            failpoint("originals.after_bytes")
            sync_folder(path.parent)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        failpoint("originals.after_sync")

    def read(self, tenant_id: int, ulid: str) -> bytes | None:
        """None: no longer here."""
        for suffix in (".eml", ".stored"):
            try:
                return self._path(tenant_id, ulid, suffix).read_bytes()
            except FileNotFoundError:
                continue
        return None

    def drop(self, tenant_id: int, ulid: str) -> None:
        """The mail was not answered for.  Repeats do nothing."""
        self._path(tenant_id, ulid, ".eml").unlink(missing_ok=True)

    def unshipped(self, tenant_id: int, ulid: str) -> bytes | None:
        """The bytes if the shipper has not settled them yet."""
        try:
            return self._path(tenant_id, ulid, ".eml").read_bytes()
        except FileNotFoundError:
            return None

    def settle(self, tenant_id: int, ulid: str, *, held_for: Collection[str]) -> None:
        """The evidence store has the bytes: keep them for these recipients, or let them go."""
        path = self._path(tenant_id, ulid, ".eml")
        if not held_for:
            path.unlink(missing_ok=True)
        elif path.exists():
            replace_file(path.with_suffix(".held"), json.dumps(sorted(held_for)).encode())
            # no failpoint: the shipper has its own behind this, and a repeat does the same
            path.rename(path.with_suffix(".stored"))

    def let_go(self, tenant_id: int, ulid: str, recipients: Collection[str]) -> None:
        """Nothing is held for these any more; the bytes go with the last of them.

        What the shipper has not settled stays: it is evidence that is not stored yet.
        """
        stored = self._path(tenant_id, ulid, ".stored")
        held = stored.with_suffix(".held")
        if not stored.exists() or not held.exists():
            return
        left = set(json.loads(held.read_bytes())) - set(recipients)
        if left:
            replace_file(held, json.dumps(sorted(left)).encode())
        else:
            stored.unlink(missing_ok=True)
            held.unlink(missing_ok=True)

    def drop_unrecorded(self, recorded: Collection[tuple[int, str]]) -> int:
        """Removes bytes of mails that were never answered for; returns how many.

        Call before the first mail.  A file that the journal does not know and the shipper has not
        settled belongs to a mail whose sender saw no 250 and has kept it.
        """
        dropped = 0
        for path in self._folder.glob("*/*.eml"):
            if (int(path.parent.name), path.stem) not in recorded:
                path.unlink(missing_ok=True)
                dropped += 1
        return dropped

    def drop_older(self, before_s: float) -> int:
        """Removes stored bytes last written before this time (Unix seconds); returns how many."""
        old = [path for path in self._folder.glob("*/*.stored") if path.stat().st_mtime < before_s]
        for path in old:
            path.unlink(missing_ok=True)
            path.with_suffix(".held").unlink(missing_ok=True)
        return len(old)

    def _path(self, tenant_id: int, ulid: str, suffix: str) -> Path:
        # The ulid may come from a command: it must not name a file elsewhere.
        if not _ULID.match(ulid):
            raise ValueError(f"not a ulid: {ulid!r}")
        return self._folder / str(int(tenant_id)) / f"{ulid}{suffix}"


def sha256_hex(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
