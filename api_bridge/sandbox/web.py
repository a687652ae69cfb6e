"""Requests and answers of the sandbox, and the thin ASGI layer below them.

Graph's addresses need a router of their own anyway (keywords without case beside ids with case,
``users('x')`` beside ``users/x``, sub-requests of ``$batch`` through the same door), so no
framework is used.
"""

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``path`` is still percent-encoded, header names are in small letters, ``base_url`` is the
    address under which the caller reached us.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    client_host: str

    @property
    def segments(self) -> list[str]:
        return [unquote(segment) for segment in self.path.split("/") if segment]

    def first(self, name: str) -> str | None:
        """The value of a query parameter; its name counts without case."""
        return next((v for n, v in self.query if n.lower() == name.lower()), None)

    def json(self) -> Any:
        """Raises ValueError."""
        return json.loads(self.body)


@dataclass(slots=True)
class Response:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    is_dropped: bool = False  # the connection is closed instead of an answer
    is_truncated: bool = False  # half of the body is sent, then the connection is closed


App = Callable[[Request], Awaitable[Response]]


def json_response(content: object, status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, body, {"content-type": "application/json", **named})


def text_response(text: str, status: int = 200, kind: str = "text/plain") -> Response:
    return Response(status, text.encode(), {"content-type": f"{kind}; charset=utf-8"})


def read_query(query: str) -> tuple[tuple[str, str], ...]:
    return tuple(parse_qsl(query, keep_blank_values=True))


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def asgi(app: App) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The ASGI application for one App."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = await _read(scope, receive)
        response = Response(413) if request is None else await app(request)
        await _answer(scope, send, response)

    return serve


async def _read(scope: Scope, receive: Receive) -> Request | None:
    """None: the body is larger than we take."""
    chunks, size = [], 0
    while True:
        event = await receive()
        chunk = event.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
        if not event.get("more_body"):
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1")
               for name, value in scope["headers"]}  # fmt: skip
    raw_path = scope.get("raw_path") or scope["path"].encode()
    return Request(
        method=scope["method"],
        path=raw_path.decode("latin-1").split("?")[0],
        query=read_query(scope["query_string"].decode("latin-1")),
        headers=headers,
        body=b"".join(chunks),
        base_url=f"{scope['scheme']}://{headers.get('host', 'localhost')}",
        client_host=(scope.get("client") or ("", 0))[0],
    )


async def _answer(scope: Scope, send: Send, response: Response) -> None:
    if response.is_dropped:
        scope["state"]["transport"].abort()
        await asyncio.sleep(0)  # let the server see that the connection is gone
        return
    headers = {"content-length": str(len(response.body)), **response.headers}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    if response.status in (204, 304):
        pairs = [pair for pair in pairs if pair[0] not in (b"content-length", b"content-type")]
    await send({"type": "http.response.start", "status": response.status, "headers": pairs})
    if response.is_truncated:
        half = response.body[: len(response.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        scope["state"]["transport"].close()  # after what was written
        await asyncio.sleep(0)
        return
    await send({"type": "http.response.body", "body": response.body})
