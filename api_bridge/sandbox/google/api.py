"""The front door of Google's APIs: address, token, scope, fault, answer."""

import asyncio
import inspect
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from api_bridge.sandbox.cloud import Cloud
from api_bridge.sandbox.google import accounts, directory, labels, messages, pubsub, settings
from api_bridge.sandbox.google.authority import SCOPE_HEAD, GoogleCaller, InvalidToken
from api_bridge.sandbox.google.batch import answer_batch
from api_bridge.sandbox.google.call import Call, GoogleError, Handler, not_found
from api_bridge.sandbox.web import Request, Response

log = logging.getLogger(__name__)

ALL_MAIL = "https://mail.google.com/"


def _scopes(*names: str) -> frozenset[str]:
    return frozenset(f"{SCOPE_HEAD}{name}" for name in names)


WRITE = _scopes("gmail.modify") | {ALL_MAIL}
READ = WRITE | _scopes("gmail.readonly")
LISTED = READ | _scopes("gmail.metadata")
INSERT = WRITE | _scopes("gmail.insert")
DELETE = frozenset({ALL_MAIL})
SETTINGS = READ | _scopes("gmail.settings.basic")
BASIC = _scopes("gmail.settings.basic")
SHARING = _scopes("gmail.settings.sharing")
USERS = _scopes("admin.directory.user", "admin.directory.user.readonly")
GROUPS = _scopes(
    *("admin.directory.group", "admin.directory.group.readonly"),
)
SECURITY = _scopes("admin.directory.user.security")
CHANGE = _scopes("admin.directory.user")
REPORTS = _scopes("admin.reports.audit.readonly")
ALERTS = _scopes("apps.alerts")
PUBSUB = _scopes("pubsub", "cloud-platform")
USER = "gmail/v1/users/{user}"
MESSAGE = f"{USER}/messages/{{message}}"
SET = f"{USER}/settings"
GRANTED_APP = "admin/directory/v1/users/{key}/tokens/{client}"
ACTIVITIES = "admin/reports/v1/activity/users/{key}/applications/{application}"
SUBSCRIPTION = "v1/projects/{project}/subscriptions/{subscription}"
TABLE: tuple[tuple[str, str, Handler, frozenset[str]], ...] = (
    ("GET", f"{USER}/profile", messages.get_profile, LISTED),
    ("GET", f"{USER}/history", messages.list_history, LISTED),
    ("POST", f"{USER}/watch", pubsub.watch, LISTED),
    ("POST", f"{USER}/stop", pubsub.stop, LISTED),
    ("GET", f"{USER}/labels", labels.list_labels, LISTED),
    ("POST", f"{USER}/labels", labels.create_label, WRITE),
    ("GET", f"{USER}/labels/{{label}}", labels.get_label, LISTED),
    ("DELETE", f"{USER}/labels/{{label}}", labels.delete_label, WRITE),
    ("GET", f"{USER}/messages", messages.list_messages, LISTED),
    ("POST", f"{USER}/messages", messages.insert_message, INSERT),
    ("POST", f"{USER}/messages/batchModify", messages.batch_modify, WRITE),
    ("POST", f"{USER}/messages/batchDelete", messages.batch_delete, DELETE),
    ("GET", MESSAGE, messages.get_message, LISTED),
    ("DELETE", MESSAGE, messages.delete_message, DELETE),
    ("POST", f"{MESSAGE}/modify", messages.modify_message, WRITE),
    ("POST", f"{MESSAGE}/trash", messages.trash_message, WRITE),
    ("POST", f"{MESSAGE}/untrash", messages.untrash_message, WRITE),
    ("GET", f"{SET}/filters", settings.list_filters, SETTINGS),
    ("POST", f"{SET}/filters", settings.create_filter, BASIC),
    ("GET", f"{SET}/filters/{{filter}}", settings.get_filter, SETTINGS),
    ("DELETE", f"{SET}/filters/{{filter}}", settings.delete_filter, BASIC),
    ("GET", f"{SET}/autoForwarding", settings.get_forwarding, SETTINGS),
    ("PUT", f"{SET}/autoForwarding", settings.put_forwarding, SHARING),
    ("GET", f"{SET}/forwardingAddresses", settings.list_addresses, SETTINGS),
    ("DELETE", f"{SET}/forwardingAddresses/{{address}}", settings.delete_address, SHARING),
    ("GET", f"{SET}/delegates", settings.list_delegates, SETTINGS),
    ("POST", f"{SET}/delegates", settings.create_delegate, SHARING),
    ("DELETE", f"{SET}/delegates/{{address}}", settings.delete_delegate, SHARING),
    ("GET", "admin/directory/v1/groups", directory.list_groups, GROUPS),
    ("GET", "admin/directory/v1/groups/{key}/members", directory.list_members, GROUPS),
    ("GET", "admin/directory/v1/users", directory.list_users, USERS),
    ("GET", "admin/directory/v1/users/{key}", directory.get_user, USERS),
    ("PUT", "admin/directory/v1/users/{key}", accounts.update_user, CHANGE),
    ("PATCH", "admin/directory/v1/users/{key}", accounts.update_user, CHANGE),
    ("POST", "admin/directory/v1/users/{key}/signOut", accounts.sign_out, SECURITY),
    ("GET", "admin/directory/v1/users/{key}/tokens", accounts.list_tokens, SECURITY),
    ("GET", GRANTED_APP, accounts.get_token, SECURITY),
    ("DELETE", GRANTED_APP, accounts.delete_token, SECURITY),
    ("GET", ACTIVITIES, accounts.list_activities, REPORTS),
    ("GET", "v1beta1/alerts", directory.list_alerts, ALERTS),
    ("POST", f"{SUBSCRIPTION}:pull", pubsub.pull, PUBSUB),
    ("POST", f"{SUBSCRIPTION}:acknowledge", pubsub.acknowledge, PUBSUB),
)
_HEADS = ("/gmail/v1/", "/admin/directory/v1/", "/admin/reports/v1/", "/v1beta1/alerts",
          "/v1/projects/")  # fmt: skip
_BATCHES = ("/batch", "/batch/gmail/v1")
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    handler: Handler
    scopes: frozenset[str]


def _route_of(method: str, path: str, handler: Handler, scopes: frozenset[str]) -> Route:
    return Route(method, re.compile("/" + _PLACE.sub(r"(?P<\1>[^/:]+)", path)), handler, scopes)


# Where a keyword and a place both fit, the keyword is meant.
ROUTES = [_route_of(*row) for row in sorted(TABLE, key=lambda row: row[1].count("{"))]


class GoogleApi:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def serve(self, request: Request) -> Response | None:
        """None: the address is none of Google's."""
        if request.path in _BATCHES and request.method == "POST":
            return await self._guarded(request, self._batch)
        if not request.path.startswith(_HEADS):
            return None
        return await self._dispatch(request)

    async def _batch(self, request: Request) -> Response:
        subject = f"POST {request.path}"
        if (struck := await self._struck_before(subject)) is not None:
            return struck
        return await answer_batch(request, self._dispatch)

    async def _dispatch(self, request: Request) -> Response:
        """One call, in a batch or alone, with the faults that strike it."""
        subject = f"{request.method} {unquote(request.path)}"
        if (struck := await self._struck_before(subject)) is not None:
            return struck
        response = await self._guarded(request, self._call)
        if self._cloud.faults.take("drop_after_commit", subject):
            return Response(is_dropped=True)
        if response.body and self._cloud.faults.take("truncated_body", subject):
            response.is_truncated = True
        return response

    async def _struck_before(self, subject: str) -> Response | None:
        faults = self._cloud.faults
        for kind, error in (
            ("status_429", GoogleError(429, "rateLimitExceeded", "Too many concurrent requests "
                                       "for user")),
            ("quota_403", GoogleError(403, "userRateLimitExceeded", "User-rate limit exceeded.")),
            ("status_503", GoogleError(503, "backendError", "The service is currently "
                                       "unavailable.")),
            ("status_500", GoogleError(500, "backendError", "Backend Error")),
        ):  # fmt: skip
            fault = faults.take(kind, subject)
            if fault is not None:
                response = error.response()
                if kind in ("status_429", "status_503"):
                    response.headers["retry-after"] = f"{fault.seconds:.0f}"
                return response
        silence = faults.take("timeout", subject)
        if silence is not None:
            await asyncio.sleep(silence.seconds)
            return Response(is_dropped=True)
        if faults.take("drop_before_commit", subject):
            return Response(is_dropped=True)
        return None

    async def _guarded(self, request: Request, serve: Any) -> Response:
        try:
            response: Response = await serve(request)
        except GoogleError as error:
            return error.response()
        except Exception:  # the sandbox goes on whatever one call meets
            log.exception("a call failed: %s %s", request.method, request.path)
            return GoogleError(500, "backendError", "Internal error encountered.").response()
        return response

    async def _call(self, request: Request) -> Response:
        caller = self._caller(request)
        route, values = _find(ROUTES, request)
        if not route.scopes & caller.scopes:
            raise GoogleError(
                403, "insufficientPermissions",
                "Request had insufficient authentication scopes.",
            )  # fmt: skip
        made = route.handler(Call(self._cloud, caller, request, values))
        return await made if inspect.isawaitable(made) else made

    def _caller(self, request: Request) -> GoogleCaller:
        """Raises GoogleError."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        refused = GoogleError(401, "authError", "Invalid Credentials")
        if scheme.lower() != "bearer" or not token:
            raise refused
        try:
            return self._cloud.google.check(token.strip())
        except InvalidToken as error:
            raise refused from error


def _find(routes: Sequence[Route], request: Request) -> tuple[Route, dict[str, str]]:
    """Raises GoogleError."""
    for route in routes:
        found = route.pattern.fullmatch(request.path)
        if found is not None and route.method == request.method:
            return route, {name: unquote(value) for name, value in found.groupdict().items()}
    raise not_found()
