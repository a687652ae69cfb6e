"""How each child shows that it is ready."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable

from console.launch.process import Process

_READY_LINE = re.compile(r"^ready\b", re.MULTILINE)
_WORKER_READY = re.compile(r"celery@\S+ ready")


def answers_http(host: str, port: int, path: str) -> Callable[[Process], bool]:
    """200 on `path`; its database and broker answer, too, if the page says so."""

    def is_ready(_: Process) -> bool:
        link = http.client.HTTPConnection(host, port, timeout=2)
        try:
            link.request("GET", path)
            return link.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()

    return is_ready


def says_ready(process: Process) -> bool:
    """A line `ready` in its output."""
    return _READY_LINE.search(process.log_since_start()) is not None


def worker_is_ready(process: Process) -> bool:
    return _WORKER_READY.search(process.log_since_start()) is not None


def lives(process: Process, for_s: float = 1.5) -> bool:
    """Still there after a while: for those that serve nobody and say nothing."""
    return time.monotonic() - process.started_at > for_s
