"""Many reads in one call: how Google's batches are written and taken apart.  Pure.

Source: developers.google.com/gmail/api/guides/batch, read 2026-11-22.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from typing import Any
from urllib.parse import quote

from api_bridge.connectors.google import units
from api_bridge.errors import BridgeError, Temporary, Unexpected
from api_bridge.http import Reply, error_code, refusal, retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One read of a batch, below ``/users/{mailbox}``; ``cost`` in quota units."""

    mailbox_id: str
    path: str
    cost: int = units.GET_MESSAGE


def batch_body(asks: Mapping[int, Ask], bearers: Mapping[str, str], boundary: str) -> bytes:
    parts = [
        f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <{number}>\r\n\r\n"
        f"GET /gmail/v1/users/{quote(ask.mailbox_id, safe='@')}{ask.path} HTTP/1.1\r\n"
        f"Authorization: Bearer {bearers[ask.mailbox_id]}\r\nAccept: application/json\r\n\r\n"
        for number, ask in asks.items()
    ]
    return ("\r\n".join(parts) + f"\r\n--{boundary}--\r\n").encode()


def batch_answers(reply: Reply) -> dict[str, Mapping[str, Any] | BridgeError]:
    """By the number of the ask.  Parts are cut at the boundary at the head of a line: within a body
    none can stand there, whatever the mail says, because JSON writes no line end inside a text.
    """
    kind = Message()
    kind["Content-Type"] = reply.headers.get("content-type", "")
    boundary = kind.get_boundary()
    if not boundary:
        raise Temporary("The answer to the batch is not whole.", code="cut_answer")
    found: dict[str, Mapping[str, Any] | BridgeError] = {}
    line = b"\r\n--" + boundary.encode("ascii", "replace")
    for part in (b"\r\n" + reply.content).split(line)[1:-1]:
        head, _, rest = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        outer = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(head)
        name = str(outer.get("Content-ID", "")).strip("<>").removeprefix("response-")
        inner, _, body = rest.partition(b"\r\n\r\n")
        found[name] = _answer(inner, body)
    return found


def _answer(head: bytes, body: bytes) -> Mapping[str, Any] | BridgeError:
    line, _, fields = head.lstrip().partition(b"\n")
    words = line.decode("latin-1").split()
    if len(words) < 2 or not words[1].isdigit():
        return Temporary("The batch left out an answer.", code="cut_answer")
    status = int(words[1])
    if not 200 <= status < 300:
        said = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(fields)
        headers = {name.lower(): str(value) for name, value in said.items()}
        wait_s = retry_after_s(headers, datetime.now(UTC))
        return refusal(status, error_code(body), wait_s, is_safe=True)
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return Temporary("The answer is not whole.", code="cut_answer")
    return data if isinstance(data, dict) else Unexpected("The answer is no JSON object.")
