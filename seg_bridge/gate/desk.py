"""Where gate and Postfix's clerk leave each other notes, for the gate has no right on the queue.

The clerk (console/gateway_parts/clerk.py) runs as root beside Postfix.  Below ``postfix/desk``:

``queue.json``           what is in the queue, written by the clerk every few seconds
``wishes/<id>.json``     ``{"do", "queue_id"}``, written by the gate and by nobody else
``answers/<id>.json``    ``{"ok", "detail"}``, written by the clerk, once for each wish

An answer stays for a day: who asks again with the same id gets the same answer, and nothing is done
twice.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg_bridge.gate.files import replace_file

QUEUE_ID = re.compile(r"[0-9A-Za-z]{5,20}\Z")
WISH_ID = re.compile(r"[0-9a-f-]{36}\Z")
ACTIONS = ("retry", "hold", "free", "remove", "return")
ANSWER_WITHIN_S = 25.0
# Older than this the clerk is not there, and nobody knows what is in the queue.
STALE_AFTER_S = 60.0
NO_CLERK = "Postfix's clerk does not answer. Does the gateway run?"


@dataclass(frozen=True, slots=True)
class Listed:
    """One mail as ``postqueue -j`` lists it.  ``arrived_at_s`` is Unix seconds; ``recipients`` are
    address and why it waits.
    """

    queue_id: str
    where: str
    sender: str
    size_bytes: int
    arrived_at_s: float
    recipients: tuple[tuple[str, str], ...]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Listed:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        return cls(
            queue_id=str(data["queue_id"]),
            where=str(data["queue_name"]),
            sender=str(data["sender"]),
            size_bytes=int(data["message_size"]),
            arrived_at_s=float(data["arrival_time"]),
            recipients=tuple(
                (str(each["address"]), str(each.get("delay_reason", "")))
                for each in data["recipients"]
            ),
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """``left_out``: so many mails more are in the queue than are told of."""

    mails: tuple[Listed, ...]
    left_out: int = 0


class Desk:
    """The gate's side.  ``postfix`` is the instance's folder."""

    def __init__(self, postfix: Path) -> None:
        self.folder = postfix / "desk"
        self.wishes = self.folder / "wishes"
        self.answers = self.folder / "answers"
        self.queue = self.folder / "queue.json"

    def read(self) -> Listing | None:
        """None: the clerk has told nothing, or not for a while.  Raises ``OSError``."""
        try:
            if time.time() - self.queue.stat().st_mtime > STALE_AFTER_S:
                return None
            data = json.loads(self.queue.read_bytes())
            return Listing(
                tuple(Listed.from_json(each) for each in data["mails"]), int(data["left_out"])
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return None  # half of another time's file: the next one comes in seconds

    async def ask(self, wish_id: str, *, do: str, queue_id: str) -> tuple[bool, str]:
        """What the clerk did, and its words.  Raises ``OSError``."""
        wish, answer = self.wishes / f"{wish_id}.json", self.answers / f"{wish_id}.json"
        if (known := _read_answer(answer)) is not None:
            return known
        replace_file(wish, json.dumps({"do": do, "queue_id": queue_id}).encode("ascii"))
        until_s = time.monotonic() + ANSWER_WITHIN_S
        while time.monotonic() < until_s:
            if (known := _read_answer(answer)) is not None:
                wish.unlink(missing_ok=True)
                return known
            await asyncio.sleep(0.1)
        wish.unlink(missing_ok=True)
        known = _read_answer(answer)
        return known or (False, NO_CLERK)


def _read_answer(path: Path) -> tuple[bool, str] | None:
    try:
        data = json.loads(path.read_bytes())
        return bool(data["ok"]), str(data["detail"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
