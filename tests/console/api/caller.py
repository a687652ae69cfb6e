"""A program that calls the API with a token."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.test import Client


class Caller:
    def __init__(self, token: str) -> None:
        self.token = token

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = "",
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
        query: dict[str, str] | None = None,
    ) -> Any:
        """The answer; a 500 is one too.  ``body``: JSON values, or text and bytes as they are."""
        path = f"{path}?{urlencode(query)}" if query else path
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        sent |= {"Idempotency-Key": key} if key else {}
        raw = (
            body if isinstance(body, str | bytes) else json.dumps(body if body is not None else {})
        )
        client = Client(raise_request_exception=False)
        return client.generic(
            method,
            f"/api/v1/{path}",
            raw if method not in ("GET", "DELETE") else "",
            content_type=content_type,
            headers={**sent, **(headers or {})},
        )

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def post(self, path: str, body: Any = None, *, key: str = "") -> Any:
        return self.ask("POST", path, body, key=key)


def assert_problem(answer: Any, *statuses: int) -> None:
    """A refusal is a document as RFC 9457 says, and its members agree with the status."""
    assert answer.status_code in statuses, (answer.status_code, answer.content[:500])
    assert answer["Content-Type"] == "application/problem+json", answer.content[:200]
    said = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= set(said), said
    assert said["status"] == answer.status_code
    assert all(isinstance(said[name], str) and said[name] for name in ("type", "title", "code"))
