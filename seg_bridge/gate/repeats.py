"""What is done already with a mail that its sender will repeat, because it has heard no 250.

A mail whose recipients have different fates goes on in steps: copies sent apart, others held.
Where a later step fails, the sender is put off and repeats the whole mail; what an earlier step did
must not be done again.  ``repeats/<key>.json`` has, for each such mail, the recipients that are
done.

The key is made of sender, direction and all of the mail's bytes (Message-ID and Date included), so
that what is taken for a repeat is one.  All processes of a gate read the same folder.  What a gate
did just before it died is noted from its journal when it starts (``recovery.py``).
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from seg_bridge.gate.files import make_folder, replace_file

log = logging.getLogger(__name__)

# As long as senders go on trying (RFC 5321, section 4.5.4.1: four to five days).
KEEP_PUT_OFF_S = 6 * 86_400.0
# Where our 250 may not have been heard: the first tries are within minutes.
KEEP_ANSWERED_S = 4 * 3600.0
MOST_MAILS = 10_000
_SWEEP_EVERY = 500
_KEY = re.compile(r"[0-9a-f]{64}\Z")


def repeat_key(direction: str, mail_from: str, raw: bytes) -> str:
    """Of one mail, whoever its recipients are: a sender may repeat it for some of them."""
    content = hashlib.sha256(raw).hexdigest()
    return hashlib.sha256("\0".join((direction, mail_from, content)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class DoneBefore:
    """``copies``: recipient → ulid of the try that settled it.  ``until_s`` is Unix seconds."""

    copies: dict[str, str]
    until_s: float


class Repeats:
    def __init__(
        self, folder: Path, *, now: Callable[[], float] = time.time, most: int = MOST_MAILS
    ) -> None:
        self._folder = folder
        self._now = now
        self._most = most
        self._unsaved: dict[str, DoneBefore] = {}
        self._noted = 0
        make_folder(folder)

    def done_before(self, key: str) -> dict[str, str]:
        """Recipient → ulid of the try that settled it; {}: the mail is new."""
        known = self._read(key)
        return dict(known.copies) if known is not None else {}

    def note(self, key: str, ulid: str, recipients: Iterable[str], *, keep_s: float) -> None:
        """Durable on return; where the disk fails, as long as this process lives."""
        before = self._read(key)
        copies = {**(before.copies if before else {}), **dict.fromkeys(recipients, ulid)}
        if not copies:
            return
        until_s = max(self._now() + keep_s, before.until_s if before else 0.0)
        known = self._unsaved[key] = DoneBefore(copies, until_s)
        try:
            replace_file(self._path(key), json.dumps([copies, until_s]).encode("ascii"))
        except OSError as error:
            log.error("what is done of a mail that will be repeated is not on disk: %s", error)
            self._forget_oldest_unsaved()
        else:
            if self._unsaved.get(key) is known:
                del self._unsaved[key]
            self._noted += 1
            if self._noted % _SWEEP_EVERY == 0:
                self.sweep()

    def sweep(self) -> None:
        """Forgets what is too old, and the oldest where there is too much.  Never raises."""
        try:
            found = sorted((path.stat().st_mtime, path) for path in self._folder.glob("*.json"))
        except OSError as error:
            log.warning("repeats are not swept: %s", error)
            return
        too_many = max(0, len(found) - self._most)
        for number, (_, path) in enumerate(found):
            if number < too_many or self._load(path) is None:
                path.unlink(missing_ok=True)

    def _read(self, key: str) -> DoneBefore | None:
        return self._unsaved.get(key) or self._load(self._path(key))

    def _load(self, path: Path) -> DoneBefore | None:
        """None: nothing is known, or it is too old to be about a repeat."""
        try:
            copies, until_s = json.loads(path.read_bytes())
            known = DoneBefore({str(to): str(ulid) for to, ulid in copies.items()}, float(until_s))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            # Then the whole mail is done again: a copy too many, none too few.
            log.error("%s cannot be read: %r", path.name, error)
            return None
        return known if known.until_s > self._now() else None

    def _forget_oldest_unsaved(self) -> None:
        while len(self._unsaved) > self._most:
            del self._unsaved[next(iter(self._unsaved))]

    def _path(self, key: str) -> Path:
        if not _KEY.match(key):
            raise ValueError(f"not a mail's key: {key!r}")
        return self._folder / f"{key}.json"
