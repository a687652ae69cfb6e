"""A subscriber's webhook: keeps what it is sent, and misbehaves when it is told to."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

WAIT_S = 8.0


class Receiver:
    def __init__(self) -> None:
        self.posts: queue.Queue[list[dict[str, Any]]] = queue.Queue()
        self.handshakes: list[str] = []
        self.is_valid = True  # answers handshakes as it must
        self.refusals = 0  # how many posts it answers with 503 first
        self.proofs: list[str] = []  # the last post's validation tokens
        self.url = ""

    def next(self, wait_s: float = WAIT_S) -> list[dict[str, Any]]:
        """What the next POST carried."""
        return self.posts.get(timeout=wait_s)

    def collect(self, count: int, wait_s: float = WAIT_S) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        while len(items) < count:
            items += self.next(wait_s)
        return items

    def is_quiet(self, for_s: float = 0.7) -> bool:
        try:
            self.posts.get(timeout=for_s)
        except queue.Empty:
            return True
        return False


def handler_for(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1  # head and body in one packet

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            tokens = parse_qs(urlsplit(self.path).query).get("validationToken")
            if tokens:
                receiver.handshakes.append(tokens[0])
                self._answer(200, tokens[0].encode() if receiver.is_valid else b"something else")
            elif receiver.refusals:
                receiver.refusals -= 1
                self._answer(503, b"")
            else:
                content = json.loads(body)
                receiver.proofs = content.get("validationTokens", [])
                receiver.posts.put(content.get("value", [content]))
                self._answer(202, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "text/plain")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(receiver))
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/graph?secret=1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
