"""One call of a Google API: who calls, what is asked, and how it is answered."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api_bridge.sandbox import directory
from api_bridge.sandbox.cloud import Cloud
from api_bridge.sandbox.google.authority import GoogleCaller
from api_bridge.sandbox.web import Request, Response, json_response

STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    405: "UNIMPLEMENTED", 409: "ABORTED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL",
    503: "UNAVAILABLE",
}  # fmt: skip


class GoogleError(Exception):
    """An error in Google's own words.  ``reason`` is what programs look at."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def response(self) -> Response:
        one = {"message": self.message, "domain": "global", "reason": self.reason}
        error = {"code": self.status, "message": self.message, "errors": [one],
                 "status": STATUS.get(self.status, "UNKNOWN")}  # fmt: skip
        if self.reason == "failedPrecondition":
            error["status"] = "FAILED_PRECONDITION"
        return json_response({"error": error}, self.status)


def not_found() -> GoogleError:
    return GoogleError(404, "notFound", "Requested entity was not found.")


def bad_request(message: str, reason: str = "invalidArgument") -> GoogleError:
    return GoogleError(400, reason, message)


@dataclass(frozen=True, slots=True)
class Call:
    cloud: Cloud
    caller: GoogleCaller
    request: Request
    values: Mapping[str, str]  # what stood in the address, by the names of its places

    def number(self, name: str, default: int, most: int) -> int:
        """Above the most, the most counts, as at Google.  Raises GoogleError."""
        text = self.request.first(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            raise bad_request(f"Invalid value at '{name}': {text}")
        return min(int(text), most)

    def texts(self, name: str) -> list[str]:
        return [value for key, value in self.request.query if key == name]

    def mailbox(self) -> sqlite3.Row:
        """The mailbox in the address, which must be that of the token.  Raises GoogleError."""
        store, subject = self.cloud.store, self.caller.subject
        user = directory.user_in(store, self.caller.tenant_id, subject) if subject else None
        if user is None:
            raise bad_request("Precondition check failed.", "failedPrecondition")
        wanted = self.values["user"]
        if wanted != "me":
            asked = directory.user_in(store, self.caller.tenant_id, wanted)
            if asked is None or asked["number"] != user["number"]:
                raise GoogleError(403, "forbidden", f"Delegation denied for {subject}")
        if not user["has_mailbox"]:
            raise bad_request("Mail service not enabled", "failedPrecondition")
        return user

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent.  Raises GoogleError."""
        try:
            content = self.request.json() if self.request.body else {}
        except ValueError as error:
            raise bad_request("Parse Error", "parseError") from error
        if not isinstance(content, dict):
            raise bad_request("Parse Error", "parseError")
        return content


Handler = Callable[[Call], Response | Awaitable[Response]]


def answer(content: Mapping[str, Any], status: int = 200) -> Response:
    return json_response(content, status)


def nothing() -> Response:
    return Response(204)
