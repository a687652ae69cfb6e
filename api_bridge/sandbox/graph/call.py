"""One call of Graph: who calls, what is asked, and how lists are answered."""

import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from api_bridge.sandbox import directory
from api_bridge.sandbox.cloud import Cloud
from api_bridge.sandbox.identity import Caller
from api_bridge.sandbox.odata import BadQuery
from api_bridge.sandbox.web import Request, Response, json_response

GRAPH = "https://graph.microsoft.com/v1.0"
_PREFERENCE = re.compile(r'([\w.-]+)\s*(?:=\s*"?([^",;]*)"?)?')


class GraphError(Exception):
    """An error in Graph's own words."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def item_not_found() -> GraphError:
    return GraphError(404, "ErrorItemNotFound",
                      "The specified object was not found in the store.")  # fmt: skip


def malformed_id() -> GraphError:
    return GraphError(400, "ErrorInvalidIdMalformed", "Id is malformed.")


def bad_request(message: str, code: str = "BadRequest") -> GraphError:
    return GraphError(400, code, message)


@dataclass(frozen=True, slots=True)
class Call:
    cloud: Cloud
    caller: Caller
    request: Request
    values: Mapping[str, str]  # what stood in the address, by the names of its places

    @property
    def preferences(self) -> dict[str, str]:
        header = self.request.headers.get("prefer", "")
        return {name.lower(): value.strip() for name, value in _PREFERENCE.findall(header)}

    @property
    def wants_immutable(self) -> bool:
        return self.preferences.get("idtype", "").lower() == "immutableid"

    def option(self, name: str) -> str | None:
        """A query option; ``$`` before its name may be left out."""
        return self.request.first(f"${name}") or self.request.first(name)

    def number(self, name: str, default: int, limits: tuple[int, int]) -> int:
        """Raises BadQuery."""
        text = self.option(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or not limits[0] <= int(text) <= limits[1]:
            raise BadQuery(f"The query parameter '${name}={text}' is invalid: it must be from "
                           f"{limits[0]} to {limits[1]}.", "ErrorInvalidUrlQuery")  # fmt: skip
        return int(text)

    def user(self) -> sqlite3.Row:
        """The user in the address, in the caller's tenant only.  Raises GraphError."""
        name = self.values["user"]
        user = directory.user_in(self.cloud.store, self.caller.tenant_id, name)
        if user is None:
            raise GraphError(
                404, "Request_ResourceNotFound",
                f"Resource '{name}' does not exist or one of its queried reference-property "
                "objects are not present.",
            )  # fmt: skip
        return user

    def mailbox(self) -> sqlite3.Row:
        """The user in the address, who must have a mailbox.  Raises GraphError."""
        user = self.user()
        if not user["has_mailbox"]:
            raise GraphError(
                404, "MailboxNotEnabledForRESTAPI",
                "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
            )  # fmt: skip
        return user

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent, names as they came.  Raises GraphError."""
        try:
            content = self.request.json()
        except ValueError as error:
            raise bad_request("Unable to read JSON request payload.") from error
        if not isinstance(content, dict):
            raise bad_request("Empty Payload. JSON content expected.")
        return content

    def parameters(self) -> dict[str, Any]:
        """The parameters of an action by their names in small letters: OData ignores case, and
        Microsoft's SDK writes ``DestinationId`` where its pages write ``destinationId``.
        """
        return {name.lower(): value for name, value in self.body().items()}

    def link(self, **options: object) -> str:
        """This call's address with other options (``skip=20`` becomes ``$skip=20``)."""
        kept = [(n, v) for n, v in self.request.query if n.lower().lstrip("$") not in options]
        added = [(f"${name}", str(value)) for name, value in options.items()]
        query = urlencode([*kept, *added], safe="$,'()/:")
        return f"{self.request.base_url}{self.request.path}?{query}"


Handler = Callable[[Call], Response | Awaitable[Response]]


def paged(
    call: Call, context: str, value: Sequence[Mapping[str, Any]], *, skip: int, has_more: bool,
    count: int | None = None,
) -> Response:  # fmt: skip
    """One page of a list.  Mail lists of Graph page by ``$skip``; a list that changes meanwhile
    shifts under the reader, as it does there.
    """
    content: dict[str, Any] = {"@odata.context": f"{GRAPH}/$metadata#{context}"}
    if count is not None:
        content["@odata.count"] = count
    content["value"] = list(value)
    if has_more:
        here = f"{call.request.method} {call.request.path}"
        is_stuck = call.cloud.faults.take("repeated_link", here) is not None
        content["@odata.nextLink"] = call.link(skip=skip if is_stuck else skip + len(value))
    return answer(call, content)


def answer(call: Call, content: object, status: int = 200) -> Response:
    response = json_response(content, status)
    applied = []
    if call.wants_immutable:
        applied.append('IdType="ImmutableId"')
    if "outlook.body-content-type" in call.preferences:
        applied.append(
            f'outlook.body-content-type="{call.preferences["outlook.body-content-type"]}"'
        )
    if applied:
        response.headers["preference-applied"] = ", ".join(applied)
    return response


def nothing() -> Response:
    return Response(204)
