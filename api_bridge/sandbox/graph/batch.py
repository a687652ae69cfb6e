"""``$batch``: up to twenty calls in one.

Source: learn.microsoft.com/graph/json-batching, read 2026-11: answers come in any order (here
the last call's first, so that nobody relies on one), the whole is 200 whatever the parts say,
a part that depends on a failed one is 424, bodies that are not JSON come as base64.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from api_bridge.sandbox.graph.call import bad_request
from api_bridge.sandbox.web import Request, Response, json_response, read_query

LARGEST = 20
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


async def answer_batch(
    request: Request, dispatch: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Raises GraphError."""
    parts = _parts(request)
    answers: dict[str, dict[str, Any]] = {}
    is_dropped = is_truncated = False
    for part in parts:
        if any(answers[need]["status"] >= 400 for need in part.get("dependsOn") or ()):
            response = _failed_dependency()
        else:
            response = await dispatch(_sub_request(request, part))
        is_dropped = is_dropped or response.is_dropped
        is_truncated = is_truncated or response.is_truncated
        answers[part["id"]] = _part_answer(part["id"], response)
    whole = json_response({"responses": list(reversed(answers.values()))})
    # There is one connection for all: what breaks one part's answer breaks the whole.
    whole.is_dropped, whole.is_truncated = is_dropped, is_truncated
    return whole


def _parts(request: Request) -> list[dict[str, Any]]:
    try:
        content = request.json()
    except ValueError as error:
        raise bad_request("Unable to read JSON request payload.") from error
    parts = content.get("requests") if isinstance(content, dict) else None
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise bad_request("Invalid batch payload format.")
    if not 1 <= len(parts) <= LARGEST:
        raise bad_request(f"Number of batch request steps exceeds the maximum value of {LARGEST}.")
    seen: set[str] = set()
    for part in parts:
        part_id, url = part.get("id"), part.get("url")
        if not isinstance(part_id, str) or not part_id or part_id in seen:
            raise bad_request("Each request of a batch needs an id of its own.")
        if part.get("method", "").upper() not in METHODS or not isinstance(url, str):
            raise bad_request(f"The request '{part_id}' needs a method and a relative url.")
        if part.get("body") is not None and not part.get("headers"):
            raise bad_request(f"The request '{part_id}' has a body and needs its content-type.")
        # A request may wait only for those before it: no circles.
        if not set(part.get("dependsOn") or []) <= seen:
            raise bad_request(f"The request '{part_id}' depends on one that does not come before.")
        seen.add(part_id)
    return parts


def _sub_request(request: Request, part: Mapping[str, Any]) -> Request:
    path, _, query = part["url"].partition("?")
    version = request.path.strip("/").split("/")[0]
    headers = {name.lower(): str(value) for name, value in (part.get("headers") or {}).items()}
    headers["authorization"] = request.headers.get("authorization", "")
    body, content = part.get("body"), b""
    if body is not None:
        is_json = "json" in headers.get("content-type", "")
        content = json.dumps(body).encode() if is_json else str(body).encode()
    return replace(
        request, method=part["method"].upper(), path=f"/{version}/{path.lstrip('/')}",
        query=read_query(query), headers=headers, body=content,
    )  # fmt: skip


def _part_answer(part_id: str, response: Response) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": part_id, "status": response.status}
    kind = response.headers.get("content-type", "")
    kept = {"content-type": "Content-Type", "retry-after": "Retry-After", "location": "Location"}
    answer["headers"] = {kept[n.lower()]: v for n, v in response.headers.items()
                         if n.lower() in kept}  # fmt: skip
    if response.body:
        is_json = kind.startswith("application/json")
        answer["body"] = (
            json.loads(response.body) if is_json else base64.b64encode(response.body).decode()
        )
    return answer


def _failed_dependency() -> Response:
    error = {"code": "FailedDependency", "message": "A request this one depends on has failed."}
    return json_response({"error": error}, 424)
