"""Gate and shipper as processes that a test can kill, and an ingest that they reach by HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from typing_extensions import override

from tests.seg_bridge.gate.parts import Ingest

ROOT = Path(__file__).resolve().parents[3]
START_S = 20.0


def memory_folder() -> str | None:
    """A kill takes no page from the kernel, so the crash tests need no real disk and its waiting;
    None: where there is no such folder, the usual one.
    """
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@dataclass
class Running:
    """One process.  ``port`` is where a gate listens."""

    pid: int
    port: int = 0

    def is_alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """Gone on return."""
        deadline = time.monotonic() + START_S
        while self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            assert time.monotonic() < deadline
            time.sleep(0.002)


class Zygote:
    """The process that forks them; see ``zygote.py``.  ``log``: where what they say is kept; None:
    it is shown.
    """

    def __init__(self, *, log: Path | None = None) -> None:
        self._log = log

    def __enter__(self) -> Zygote:
        with self._log.open("wb") if self._log else contextlib.nullcontext() as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.seg_bridge.gate.zygote"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self._scratch = tempfile.TemporaryDirectory(dir=memory_folder())
        self._count = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate("")
        self._scratch.cleanup()

    def deaths(self) -> set[str]:
        """The failpoints that killed so far."""
        return set(self.deaths_in_order())

    def deaths_in_order(self) -> list[str]:
        found = sorted(Path(self._scratch.name).glob("*.died"), key=lambda path: int(path.stem))
        return [path.read_text() for path in found]

    def start(
        self, what: str, folder: Path, url: str, spec: str = "", **more: Any
    ) -> Running | None:
        """None: it died before it was ready, as a failpoint may want."""
        self._count += 1
        ready = Path(self._scratch.name) / str(self._count)
        order = {"what": what, "folder": str(folder), "url": url, "spec": spec, **more}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**order, "ready": str(ready)}) + "\n")
        self._process.stdin.flush()
        running = Running(int(self._process.stdout.readline()))
        deadline = time.monotonic() + START_S
        while not ready.exists():
            if not running.is_alive():
                return None
            assert time.monotonic() < deadline, "the process neither started nor died"
            time.sleep(0.002)
        running.port = int(ready.read_text())
        return running


@dataclass
class HttpIngest:
    """``Ingest`` behind a real socket, in a thread."""

    ingest: Ingest = field(default_factory=Ingest)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> HttpIngest:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = httpx.Request(
                    self.command,
                    f"http://ingest.example{self.path}",
                    headers=dict(self.headers.items()),
                    content=body,
                )
                with outer.lock:
                    response = outer.ingest.answer(request)
                content = response.content
                self.send_response(response.status_code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = _answer

            @override
            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            @override
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that was killed hangs up: that is what the tests are for."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"
