"""Speaking with ingest: every request signed, every failure one kind of error.

``IngestClient`` serves gate (async) and shipper (through ``asyncio.run``) alike.
"""

from __future__ import annotations

import json
import ssl
from types import TracebackType
from typing import Any, Self

import httpx

from seg_bridge.gate.signing import sign_request

REQUEST_TIMEOUT_S = 30.0


class IngestError(Exception):
    """Not answered, or not as agreed: try again later.  ``status`` None: no answer at all."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class IngestClient:
    def __init__(
        self,
        *,
        url: str,
        gate: str,
        secret: bytes,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._gate = gate
        self._secret = secret
        # Nothing of the environment: a proxy variable must not see what gates say.
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=REQUEST_TIMEOUT_S,
            trust_env=False,
            transport=transport,
            verify=_trust(url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        content_type: str = "application/json",
        timeout_s: float = REQUEST_TIMEOUT_S,
        accepted: tuple[int, ...] = (200,),
    ) -> httpx.Response:
        """Raises ``IngestError`` for every answer whose status is not ``accepted``."""
        request = self._http.build_request(method, target, content=body, timeout=timeout_s)
        # What is signed is the target as httpx sends it, not as we wrote it.
        sent_target = request.url.raw_path.decode("ascii")
        request.headers["Content-Type"] = content_type
        request.headers.update(
            sign_request(
                gate=self._gate, method=method, target=sent_target, body=body, secret=self._secret
            )
        )
        try:
            response = await self._http.send(request)
        except httpx.HTTPError as error:
            raise IngestError(f"ingest did not answer: {error!r}") from error
        if response.status_code not in accepted:
            text = f"ingest answered {response.status_code} to {method} {target}"
            raise IngestError(text, status=response.status_code)
        return response


def _trust(url: str) -> ssl.SSLContext:
    """Whom to believe.  Reading all authorities takes a tenth of a second: not for plain HTTP,
    where this context, which trusts nobody, is never asked.
    """
    if url.startswith("https:"):
        return ssl.create_default_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def json_object(response: httpx.Response) -> dict[str, Any]:
    """Raises ``IngestError`` for an answer that is no JSON object."""
    try:
        data = json.loads(response.content)
    except ValueError as error:
        raise IngestError("ingest's answer is not JSON") from error
    if not isinstance(data, dict):
        raise IngestError("ingest's answer is not a JSON object")
    return data
