"""A sign of life of a process that serves nobody on a port: a file, touched when work was done.

``BAILEY_ALIVE`` names the file; where it is not set nothing is written.  Who asks:
``python -m console.healthy``.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

VARIABLE = "BAILEY_ALIVE"
NOT_OFTENER_THAN_S = 1.0

_given_at_s = 0.0


def forget() -> None:
    """At the start: what an earlier process of this container did says nothing of this one."""
    if path := os.environ.get(VARIABLE):
        Path(path).unlink(missing_ok=True)


def give() -> None:
    """Some work was just done to its end.  What can't be written is missed by whoever asks."""
    global _given_at_s  # noqa: PLW0603 -- one file for each process
    path = os.environ.get(VARIABLE)
    now_s = time.monotonic()
    if not path or now_s - _given_at_s < NOT_OFTENER_THAN_S:
        return
    _given_at_s = now_s
    with contextlib.suppress(OSError):
        Path(path).touch()
