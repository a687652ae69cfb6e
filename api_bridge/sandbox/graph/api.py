"""The front door of Graph: address, token, role, fault, answer."""

import asyncio
import datetime as dt
import inspect
import logging
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api_bridge.sandbox.cloud import Cloud
from api_bridge.sandbox.graph import (
    accounts,
    actions,
    alerts,
    delta,
    folders,
    groups,
    messages,
    partner,
    subscriptions,
    traces,
    users,
)
from api_bridge.sandbox.graph.batch import answer_batch
from api_bridge.sandbox.graph.call import Call, GraphError, Handler, bad_request
from api_bridge.sandbox.identity import Caller, InvalidToken
from api_bridge.sandbox.odata import BadQuery
from api_bridge.sandbox.web import Request, Response, json_response

log = logging.getLogger(__name__)
_IN_BRACKETS = re.compile(r"^(\w+)\((?:'(.*)')?\)$")

DIRECTORY = frozenset({"User.Read.All", "User.ReadBasic.All", "Directory.Read.All"})
ORGANIZATION = DIRECTORY | {"Organization.Read.All"}
PARTNER = frozenset(
    {"DelegatedAdminRelationship.Read.All", "DelegatedAdminRelationship.ReadWrite.All"}
)
TRACES = frozenset({"ExchangeMessageTrace.Read.All"})
GROUPS = frozenset({"GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"})
ALERTS = frozenset({"SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All"})
HEADERS = frozenset({"Mail.ReadBasic.All", "Mail.Read", "Mail.ReadWrite"})
READ = frozenset({"Mail.Read", "Mail.ReadWrite"})
WRITE = frozenset({"Mail.ReadWrite"})
SETTINGS = frozenset({"MailboxSettings.Read", "MailboxSettings.ReadWrite"})
JSON_KIND = ("application/json;odata.metadata=minimal;odata.streaming=true;"
             "IEEE754Compatible=false;charset=utf-8")  # fmt: skip
NO_ROLE: frozenset[str] = frozenset()
RULES = frozenset({"MailboxSettings.ReadWrite"})
GRANTS = frozenset({"DelegatedPermissionGrant.ReadWrite.All", "Directory.ReadWrite.All"})
METHODS = frozenset({"UserAuthenticationMethod.Read.All", "UserAuthenticationMethod.ReadWrite.All"})
AUDITED = frozenset({"AuditLog.Read.All"})
RISK = frozenset({"IdentityRiskyUser.Read.All", "IdentityRiskyUser.ReadWrite.All"})
SESSIONS = frozenset({"User.RevokeSessions.All"})


@dataclass(frozen=True, slots=True)
class Route:
    """``roles``: one of them is needed; none: any application may call."""

    method: str
    pattern: tuple[str, ...]
    handler: Handler
    roles: frozenset[str]


Table = tuple[tuple[str, str, Handler, frozenset[str]], ...]
FOLDERS = "users/{user}/mailFolders"
RULE = f"{FOLDERS}/inbox/messageRules/{{rule}}"
FOLDER = f"{FOLDERS}/{{folder}}"
MESSAGE = "users/{user}/messages/{message}"
ATTACHMENT = f"{MESSAGE}/attachments/{{attachment}}"
SUBSCRIPTION = "subscriptions/{subscription}"
TABLE: Table = (
    ("GET", "organization", users.get_organization, ORGANIZATION),
    ("GET", "organization/{organization}", users.get_organization, ORGANIZATION),
    ("GET", "tenantRelationships/delegatedAdminRelationships", partner.list_relationships, PARTNER),
    ("GET", "admin/exchange/tracing/messageTraces", traces.list_traces, TRACES),
    ("GET", "groups", groups.list_groups, GROUPS),
    ("GET", "groups/{group}/transitiveMembers", groups.list_members, GROUPS),
    ("GET", "security/alerts_v2", alerts.list_alerts, ALERTS),
    ("GET", "users", users.list_users, DIRECTORY),
    ("GET", "users/{user}", users.get_user, DIRECTORY),
    ("GET", "users/{user}/mailboxSettings", users.get_settings, SETTINGS),
    ("GET", "users/{user}/mailboxSettings/userPurpose", users.get_purpose, SETTINGS),
    ("POST", "users/{user}/translateExchangeIds", actions.translate_ids, HEADERS),
    ("GET", FOLDERS, folders.list_folders, HEADERS),
    ("POST", FOLDERS, folders.create_folder, WRITE),
    ("GET", f"{FOLDERS}/inbox/messageRules", users.list_rules, SETTINGS),
    ("POST", f"{FOLDERS}/inbox/messageRules", accounts.create_rule, RULES),
    ("GET", RULE, accounts.get_rule, SETTINGS),
    ("PATCH", RULE, accounts.change_rule, RULES),
    ("DELETE", RULE, accounts.delete_rule, RULES),
    ("PATCH", "users/{user}", accounts.change_user, NO_ROLE),
    ("POST", "users/{user}/revokeSignInSessions", accounts.revoke_sessions, SESSIONS),
    ("GET", "users/{user}/oauth2PermissionGrants", accounts.list_grants, GRANTS),
    ("GET", "oauth2PermissionGrants/{grant}", accounts.get_grant, GRANTS),
    ("DELETE", "oauth2PermissionGrants/{grant}", accounts.delete_grant, GRANTS),
    ("GET", "users/{user}/authentication/methods", accounts.list_methods, METHODS),
    ("GET", "servicePrincipals/{principal}", accounts.get_principal, DIRECTORY | GRANTS),
    ("GET", "auditLogs/signIns", accounts.list_sign_ins, AUDITED),
    ("GET", "auditLogs/directoryAudits", accounts.list_audits, AUDITED),
    ("GET", "identityProtection/riskyUsers", accounts.list_risky, RISK),
    ("GET", FOLDER, folders.get_folder, HEADERS),
    ("PATCH", FOLDER, folders.change_folder, WRITE),
    ("DELETE", FOLDER, folders.delete_folder, WRITE),
    ("GET", f"{FOLDER}/childFolders", folders.list_folders, HEADERS),
    ("POST", f"{FOLDER}/childFolders", folders.create_folder, WRITE),
    ("GET", f"{FOLDER}/messages/delta", delta.list_changes, HEADERS),
    ("GET", f"{MESSAGE}/attachments", messages.list_attachments, READ),
    ("GET", ATTACHMENT, messages.get_attachment, READ),
    ("GET", f"{ATTACHMENT}/$value", messages.get_attachment_bytes, READ),
    ("GET", "subscriptions", subscriptions.list_subscriptions, NO_ROLE),
    ("POST", "subscriptions", subscriptions.create_subscription, HEADERS),
    ("GET", SUBSCRIPTION, subscriptions.get_subscription, NO_ROLE),
    ("PATCH", SUBSCRIPTION, subscriptions.change_subscription, NO_ROLE),
    ("DELETE", SUBSCRIPTION, subscriptions.delete_subscription, NO_ROLE),
    ("POST", f"{SUBSCRIPTION}/reauthorize", subscriptions.reauthorize, NO_ROLE),
)
# What is reached with and without the folder in the address.
MESSAGE_TABLE: Table = (
    ("GET", "messages", messages.list_messages, HEADERS),
    ("POST", "messages", actions.create_message, WRITE),
    ("GET", "messages/{message}", messages.get_message, HEADERS),
    ("PATCH", "messages/{message}", actions.change_message, WRITE),
    ("DELETE", "messages/{message}", actions.delete_message, WRITE),
    ("GET", "messages/{message}/$value", messages.get_bytes, READ),
    ("POST", "messages/{message}/move", actions.move_message, WRITE),
    ("POST", "messages/{message}/copy", actions.copy_message, WRITE),
    ("POST", "messages/{message}/permanentDelete", actions.purge_message, WRITE),
)


def _routes() -> list[Route]:
    rows = [*TABLE]
    for base in ("users/{user}", FOLDER):
        rows += [
            (method, f"{base}/{rest}", handler, roles)
            for method, rest, handler, roles in MESSAGE_TABLE
        ]
    routes = [Route(m, tuple(p.split("/")), handler, roles) for m, p, handler, roles in rows]
    # Where a keyword and a place both fit, the keyword is meant.
    return sorted(routes, key=lambda route: sum(part.startswith("{") for part in route.pattern))


ROUTES = _routes()


class GraphApi:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def serve(self, request: Request) -> Response | None:
        """None: the address is none of Graph's."""
        if not request.path.lower().startswith("/v1.0/"):
            return None
        if request.segments[1:] == ["$batch"] and request.method == "POST":
            response = await self._guarded(request, self._batch)
        else:
            response = await self._dispatch(request)
        return _with_ids(request, response)

    async def _batch(self, request: Request) -> Response:
        self._caller(request)
        return await answer_batch(request, self._dispatch)

    async def _dispatch(self, request: Request) -> Response:
        """One call, in a batch or alone, with the faults that strike it."""
        subject, faults = f"{request.method} {request.path}", self._cloud.faults
        throttled = faults.take("status_429", subject)
        if throttled is not None:
            return _error(request, GraphError(
                429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.",
                retry_after=f"{throttled.seconds:.0f}"))  # fmt: skip
        busy = faults.take("status_503", subject)
        if busy is not None:
            return _error(request, GraphError(
                503, "serviceNotAvailable", "The service is temporarily unavailable.",
                retry_after=f"{busy.seconds:.0f}"))  # fmt: skip
        # S/MIME mail that Exchange cannot convert, the same each time.
        if request.segments[-1:] == ["$value"] and faults.take("no_mime", subject):
            return _error(request, GraphError(500, "ErrorMimeContentConversionFailed",
                                              "Mime conversion of an item failed."))  # fmt: skip
        silence = faults.take("timeout", subject)
        if silence is not None:
            await asyncio.sleep(silence.seconds)
            return Response(is_dropped=True)
        if faults.take("drop_before_commit", subject):
            return Response(is_dropped=True)
        response = await self._guarded(request, self._call)
        if faults.take("drop_after_commit", subject):
            return Response(is_dropped=True)
        if response.body and faults.take("truncated_body", subject):
            response.is_truncated = True
        return response

    async def _guarded(self, request: Request, serve: Any) -> Response:
        try:
            response: Response = await serve(request)
        except GraphError as error:
            return _error(request, error)
        except BadQuery as error:
            return _error(request, bad_request(str(error), error.code))
        except Exception:  # the sandbox goes on whatever one call meets
            log.exception("a call failed: %s %s", request.method, request.path)
            return _error(request, GraphError(500, "ErrorInternalServerError",
                                              "An internal server error occurred."))  # fmt: skip
        return response

    async def _call(self, request: Request) -> Response:
        caller = self._caller(request)
        route, values = _route(request.method, _normal(request.segments[1:]))
        if route.roles and not route.roles & caller.roles:
            raise _forbidden(route)
        made = route.handler(Call(self._cloud, caller, request, values))
        return await made if inspect.isawaitable(made) else made

    def _caller(self, request: Request) -> Caller:
        """Raises GraphError."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("Access token is empty.")
        try:
            return self._cloud.authority.check(token.strip())
        except InvalidToken as error:
            raise _unauthorized("Access token validation failure or expiry.") from error


def _normal(segments: Sequence[str]) -> list[str]:
    """``users('x')`` as ``users/x``, ``delta()`` and ``microsoft.graph.delta`` as ``delta``."""
    normal: list[str] = []
    for segment in segments:
        name = segment.removeprefix("microsoft.graph.")
        found = _IN_BRACKETS.match(name)
        if found is None:
            normal.append(name)
        else:
            normal += [found[1]] if found[2] is None else [found[1], found[2]]
    return normal


def _route(method: str, segments: list[str]) -> tuple[Route, dict[str, str]]:
    """Raises GraphError."""
    is_known = False
    for route in ROUTES:
        values = _match(route.pattern, segments)
        if values is not None and route.method == method:
            return route, values
        is_known = is_known or values is not None
    if is_known:
        raise GraphError(405, "Request_BadRequest",
                         "This HTTP method is not allowed for the request target.")  # fmt: skip
    last = segments[-1] if segments else ""
    raise bad_request(f"Resource not found for the segment '{last}'.")


def _match(pattern: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    """Keywords count without case, what stands in places keeps its case."""
    if len(pattern) != len(segments):
        return None
    values = {}
    for part, segment in zip(pattern, segments, strict=True):
        if part.startswith("{"):
            values[part[1:-1]] = segment
        elif part.lower() != segment.lower():
            return None
    return values


def _unauthorized(message: str) -> GraphError:
    return GraphError(401, "InvalidAuthenticationToken", message,
                      www_authenticate='Bearer realm="", authorization_uri="https://login.'
                      'microsoftonline.com/common/oauth2/authorize"')  # fmt: skip


def _forbidden(route: Route) -> GraphError:
    if route.pattern[0] == "organization" or route.roles == DIRECTORY:
        return GraphError(403, "Authorization_RequestDenied",
                          "Insufficient privileges to complete the operation.")  # fmt: skip
    return GraphError(403, "ErrorAccessDenied",
                      "Access is denied. Check credentials and try again.")  # fmt: skip


def _error(request: Request, error: GraphError) -> Response:
    request_id = str(uuid.uuid4())
    content = {
        "error": {
            "code": error.code,
            "message": error.message,
            "innerError": {
                "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S"),
                "request-id": request_id,
                "client-request-id": request.headers.get("client-request-id", request_id),
            },
        }
    }
    response = json_response(content, error.status)
    response.headers |= error.headers | {"request-id": request_id}
    return response


def _with_ids(request: Request, response: Response) -> Response:
    """The answer with the headers that every answer of Graph has."""
    if response.headers.get("content-type") == "application/json":
        response.headers["content-type"] = JSON_KIND
    request_id = response.headers.setdefault("request-id", str(uuid.uuid4()))
    response.headers["client-request-id"] = request.headers.get("client-request-id", request_id)
    response.headers["x-ms-ags-diagnostic"] = '{"ServerInfo":{"DataCenter":"Sandbox"}}'
    response.headers["odata-version"] = "4.0"
    return response
