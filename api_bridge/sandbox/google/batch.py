"""Several calls in one: multipart/mixed, each part a whole HTTP request.

Source: developers.google.com/gmail/api/guides/batch, read 2026-11: at most 100 calls, answers may
come in any order and are found by ``Content-ID: <response-…>``.
"""

import email.parser
import email.policy
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.message import Message
from urllib.parse import urlsplit

from api_bridge.sandbox.google.call import bad_request
from api_bridge.sandbox.web import Request, Response, read_query

LARGEST = 100


async def answer_batch(
    request: Request, dispatch: Callable[[Request], Awaitable[Response]]
) -> Response:
    """The last part is answered first: order means nothing.  Raises GoogleError."""
    parts = _parts(request)
    if not 0 < len(parts) <= LARGEST:
        raise bad_request(f"The batch request must hold 1 to {LARGEST} calls.")
    answers = []
    for part in reversed(parts):
        response = await dispatch(_sub_request(request, part))
        answers.append(_part_answer(str(part.get("Content-ID", "")), response))
    boundary = f"batch_{uuid.uuid4().hex}"
    body = b"".join(f"--{boundary}\r\n".encode() + each + b"\r\n" for each in answers)
    body += f"--{boundary}--\r\n".encode()
    return Response(200, body, {"content-type": f"multipart/mixed; boundary={boundary}"})


def _parts(request: Request) -> list[Message]:
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    whole = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(head + request.body)
    inner = whole.get_payload()
    if not isinstance(inner, list):
        raise bad_request("The batch request could not be parsed.", "parseError")
    return [part for part in inner if isinstance(part, Message)]


def _sub_request(request: Request, part: Message) -> Request:
    """``GET /gmail/v1/… HTTP/1.1``, headers, body.  Its own Authorization counts, if it has one."""
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    first, _, rest = raw.lstrip().partition(b"\n")
    words = first.decode("latin-1").split()
    if len(words) < 2:
        raise bad_request("A part of the batch is no HTTP request.", "parseError")
    said = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(rest)
    headers = {name.lower(): str(value) for name, value in said.items()}
    headers.setdefault("authorization", request.headers.get("authorization", ""))
    payload = said.get_payload(decode=True)
    target = urlsplit(words[1])
    return replace(
        request, method=words[0].upper(), path=target.path, query=read_query(target.query),
        headers=headers, body=payload.strip() if isinstance(payload, bytes) else b"",
    )  # fmt: skip


def _part_answer(content_id: str, response: Response) -> bytes:
    head = ["Content-Type: application/http"]
    if content_id:
        head.append(f"Content-ID: <response-{content_id.strip('<>')}>")
    inner = [f"HTTP/1.1 {response.status} Answer"]
    inner += [f"{name}: {value}" for name, value in response.headers.items()]
    inner.append(f"Content-Length: {len(response.body)}")
    text = "\r\n".join([*head, "", *inner, "", ""])
    return text.encode() + response.body
