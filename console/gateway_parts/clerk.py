"""Postfix's clerk: ``python -m console.gateway_parts.clerk FOLDER``, as root, beside its Postfix.

The gate has no right on the queue, and must not have one: the clerk lists the queue for it and does
one of five things with one mail, as the notes on the desk say (seg_bridge/gate/desk.py).  Wishes
come from the gate's account, so nothing of them is believed but a queue id and one of five words.
https://www.postfix.org/postsuper.1.html and postqueue.1.html (3.7, read 2026-11-29).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seg_bridge.gate.desk import ACTIONS, QUEUE_ID, WISH_ID, Desk

LIST_EVERY_S = 5.0
LOOK_EVERY_S = 0.2
MOST_MAILS = 2000
MOST_COUNTED = 100_000
ANSWERS_KEPT_S = 86_400.0
TIMEOUT_S = 20.0
_WISH_BYTES = 1000
_SBIN = "/usr/sbin"
# -f also lets go on what is on hold: nothing is returned from there.
_POSTSUPER = {"hold": "-h", "free": "-H", "remove": "-d", "return": "-f"}
_DONE = re.compile(r"(?:Deleted|Placed on hold|Released from hold|Force-expired): (\d+) message")
_WORDS = {
    "retry": "tried again",
    "hold": "put on hold",
    "free": "let go on",
    "remove": "taken out of the queue",
    "return": "returned to its sender",
}


class Clerk:
    def __init__(self, postfix: Path) -> None:
        self._etc = postfix / "etc"
        self.desk = Desk(postfix)
        self._listed_at_s = 0.0

    def run(self) -> None:
        """For ever."""
        while True:
            try:
                if self.step():
                    self._listed_at_s = 0.0  # what has changed is told at once
                if time.monotonic() - self._listed_at_s >= LIST_EVERY_S:
                    self.list_queue()
                    self._listed_at_s = time.monotonic()
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                sys.stderr.write(f"clerk: {error}\n")
                time.sleep(1.0)
            time.sleep(LOOK_EVERY_S)

    def step(self) -> bool:
        """Answers every wish; False: there was none.  Raises ``OSError``."""
        wishes = [path for path in self.desk.wishes.glob("*.json") if WISH_ID.match(path.stem)]
        fresh = [path for path in wishes if not (self.desk.answers / path.name).exists()]
        waiting = self._queue_ids() if fresh else set()
        for path in fresh:
            wish = _read_wish(path)
            if wish is None:
                continue  # half written: it is whole the next time
            ok, detail = self._do(*wish, waiting)
            self._write(self.desk.answers / path.name, {"ok": ok, "detail": detail})
        self._forget_old()
        return bool(fresh)

    def list_queue(self) -> None:
        """Raises ``OSError`` or ``subprocess.SubprocessError``."""
        mails: list[dict[str, Any]] = []
        left_out = 0
        for line in self._listing():
            if len(mails) >= MOST_MAILS:
                left_out += 1
                continue
            # Whole: Postfix takes 200 recipients at most, and the gate must see whose they are.
            mails.append(json.loads(line))
        self._write(self.desk.queue, {"mails": mails, "left_out": left_out})

    def _listing(self) -> list[bytes]:
        """A line of JSON for each mail."""
        with subprocess.Popen(
            (f"{_SBIN}/postqueue", "-c", str(self._etc), "-j"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as listing:
            assert listing.stdout is not None
            lines: list[bytes] = []
            for line in listing.stdout:
                lines.append(line if len(lines) < MOST_MAILS else b"")
                if len(lines) >= MOST_COUNTED:
                    listing.kill()
                    break
        return lines

    def _queue_ids(self) -> set[str]:
        return {json.loads(line)["queue_id"] for line in self._listing() if line}

    def _do(self, action: str, queue_id: str, waiting: set[str]) -> tuple[bool, str]:
        if queue_id not in waiting:
            return False, "This mail is no longer in the queue."
        if action != "retry":
            said = self._run("postsuper", _POSTSUPER[action], queue_id)
            found = _DONE.search(said)
            if found is None or found[1] == "0":
                return False, said[-300:] or "Postfix did nothing with it."
        if action in ("retry", "return", "free"):
            # Else it waits for its next turn, which may be an hour away.
            self._run("postqueue", "-i", queue_id)
        return True, _WORDS[action]

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            (f"{_SBIN}/{program}", "-c", str(self._etc), *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        return (done.stdout + done.stderr).strip()

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        """For the gate's account alone: who writes to whom is nobody else's business."""
        owner = self.desk.wishes.stat()
        scratch = path.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            json.dump(content, file)
        scratch.replace(path)

    def _forget_old(self) -> None:
        for path in self.desk.answers.glob("*.json"):
            if time.time() - path.stat().st_mtime > ANSWERS_KEPT_S:
                path.unlink(missing_ok=True)


def _read_wish(path: Path) -> tuple[str, str] | None:
    """Action and queue id; None for anything that is not exactly that."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            data = json.loads(file.read(_WISH_BYTES))
        action, queue_id = str(data["do"]), str(data["queue_id"])
        if action in ACTIONS and QUEUE_ID.match(queue_id):
            return action, queue_id
    return None


def main(argv: Sequence[str]) -> int:
    clerk = Clerk(Path(argv[0]))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    clerk.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
