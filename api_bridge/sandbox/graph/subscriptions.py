"""Subscriptions to changes of a mailbox.

Source: learn.microsoft.com/graph (webhooks, outlook-change-notifications-overview,
api/subscription-post-subscriptions, change-notifications-lifecycle-events), read 2026-11.
"""

import re
import sqlite3
import uuid
from typing import Any
from urllib.parse import urlsplit

from api_bridge.sandbox import directory, mailboxes
from api_bridge.sandbox.clock import as_graph_time, now_s, read_graph_time
from api_bridge.sandbox.graph.call import GRAPH, Call, GraphError, answer, bad_request, nothing
from api_bridge.sandbox.graph.sealing import read_certificate, read_sealing
from api_bridge.sandbox.notifier import NotValidated
from api_bridge.sandbox.web import Response, is_loopback

SHORTEST_S = 45 * 60
LONGEST_S = 10_080 * 60
LONGEST_SEALED_S = 1_440 * 60
CERTIFICATE = {"encryptionCertificate", "encryptionCertificateId"}
FULL = {"Mail.Read", "Mail.ReadWrite"}
LARGEST_CLIENT_STATE = 128
MOST_PER_MAILBOX = 1000
_RESOURCE = re.compile(
    r"/?users(?:/|\(')(?P<user>[^/']+)(?:'\))?(?:/mailfolders(?:/|\(')(?P<folder>[^/']+)(?:'\))?)?"
    r"/messages/?",
    re.IGNORECASE,
)


async def create_subscription(call: Call) -> Response:
    body = call.body()
    sealing = read_sealing(body)
    if sealing and not call.caller.roles & FULL:
        raise GraphError(403, "ExtensionError", "Access to the mail's properties is denied.")
    mailbox, folder = _resource(call, body)
    kinds = _kinds(body)
    client_state = body.get("clientState")
    if client_state is not None and len(str(client_state)) > LARGEST_CLIENT_STATE:
        raise bad_request(f"clientState is longer than {LARGEST_CLIENT_STATE} characters.",
                          "InvalidRequest")  # fmt: skip
    expires_at = _expiry(body.get("expirationDateTime"), is_sealed=sealing is not None)
    url, lifecycle_url = _url(body, "notificationUrl"), body.get("lifecycleNotificationUrl")
    urls = [url, _url(body, "lifecycleNotificationUrl")] if lifecycle_url else [url]
    for address in urls:  # one handshake for each, even if they are the same
        try:
            await call.cloud.notifier.validate(address)
        except NotValidated as error:
            raise bad_request(f"Subscription validation request failed. {error}",
                              "ValidationError") from error  # fmt: skip
    subscription_id = str(uuid.uuid4())
    store = call.cloud.store
    with store.transaction():
        count = store.value("SELECT count(*) FROM subscription WHERE mailbox = ?", mailbox)
        if count >= MOST_PER_MAILBOX:
            raise GraphError(403, "ExtensionError", "Subscription limit has been reached.")
        store.execute(
            "INSERT INTO subscription VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
            "(SELECT coalesce(max(seq), 0) FROM change))",
            subscription_id, call.caller.tenant_id, call.caller.client_id, mailbox, folder,
            body["resource"], ",".join(kinds), url, lifecycle_url, client_state,
            call.wants_immutable, expires_at, now_s(),
        )  # fmt: skip
        if sealing:
            store.execute("INSERT INTO sealing VALUES (?, ?, ?, ?)", subscription_id, *sealing)
    call.cloud.notifier.wake()
    return _answer(call, _own(call, subscription_id), 201)


def list_subscriptions(call: Call) -> Response:
    rows = call.cloud.store.rows(
        "SELECT * FROM subscription WHERE tenant_id = ? AND client_id = ? AND expires_at > ? "
        "ORDER BY created_at, id",
        call.caller.tenant_id, call.caller.client_id, now_s(),
    )  # fmt: skip
    context = f"{GRAPH}/$metadata#subscriptions"
    value = [_json(row, _sealing(call, row)) for row in rows]
    return answer(call, {"@odata.context": context, "value": value})


def get_subscription(call: Call) -> Response:
    return _answer(call, _own(call, call.values["subscription"]), 200)


def change_subscription(call: Call) -> Response:
    subscription = _own(call, call.values["subscription"])
    body = call.body()
    sealing = _sealing(call, subscription)
    # Its life and its key may be changed, its addresses may not.
    known = {"expirationDateTime", "@odata.type"} | (CERTIFICATE if sealing else set())
    unknown = set(body) - known
    if unknown:
        raise bad_request(f"The property '{min(unknown)}' of a subscription can't be changed.")
    expires_at = _expiry(body.get("expirationDateTime"), is_sealed=sealing is not None)
    certificate = read_certificate(body) if CERTIFICATE & set(body) else None
    with call.cloud.store.transaction():
        call.cloud.store.execute(
            "UPDATE subscription SET expires_at = ? WHERE id = ?", expires_at, subscription["id"]
        )
        if certificate:
            call.cloud.store.execute(
                "UPDATE sealing SET certificate = ?, certificate_id = ? WHERE subscription_id = ?",
                *certificate, subscription["id"],
            )  # fmt: skip
    return get_subscription(call)


def delete_subscription(call: Call) -> Response:
    subscription = _own(call, call.values["subscription"])
    call.cloud.store.execute("DELETE FROM subscription WHERE id = ?", subscription["id"])
    return nothing()


def reauthorize(call: Call) -> Response:
    _own(call, call.values["subscription"])
    return nothing()


def _sealing(call: Call, subscription: sqlite3.Row) -> sqlite3.Row | None:
    return call.cloud.store.row(
        "SELECT * FROM sealing WHERE subscription_id = ?", subscription["id"]
    )


def _own(call: Call, subscription_id: str) -> sqlite3.Row:
    """Raises GraphError."""
    found = call.cloud.store.row(
        "SELECT * FROM subscription WHERE id = ? AND tenant_id = ? AND client_id = ? "
        "AND expires_at > ?",
        subscription_id.lower(), call.caller.tenant_id, call.caller.client_id, now_s(),
    )  # fmt: skip
    if found is None:
        raise GraphError(404, "ResourceNotFound", "The object was not found.")
    return found


def _resource(call: Call, body: dict[str, Any]) -> tuple[int, int | None]:
    """Mailbox and folder (None: all of them) of the resource.  Raises GraphError."""
    path = str(body.get("resource", "")).split("?")[0]
    found = _RESOURCE.fullmatch(path)
    if found is None:
        raise bad_request(f"The resource '{path}' is not supported.", "ExtensionError")
    user = directory.user_in(call.cloud.store, call.caller.tenant_id, found["user"])
    if user is None or not user["has_mailbox"]:
        raise GraphError(404, "ResourceNotFound", "The mailbox of the resource was not found.")
    if found["folder"] is None:
        return user["number"], None
    folder = mailboxes.find_folder(call.cloud.store, user["number"], found["folder"])
    if folder is None:
        raise GraphError(404, "ErrorItemNotFound",
                         "The specified object was not found in the store.")  # fmt: skip
    return user["number"], folder["number"]


def _kinds(body: dict[str, Any]) -> list[str]:
    kinds = [kind.strip().lower() for kind in str(body.get("changeType", "")).split(",")]
    if not set(kinds) <= {mailboxes.CREATED, mailboxes.UPDATED, mailboxes.DELETED}:
        raise bad_request(f"Invalid 'changeType' attribute: '{body.get('changeType')}'.",
                          "InvalidRequest")  # fmt: skip
    return kinds


def _expiry(text: Any, *, is_sealed: bool) -> int:
    """Raises GraphError."""
    try:
        expires_at = int(read_graph_time(str(text)))
    except ValueError as error:
        raise bad_request("expirationDateTime is missing or no time.", "InvalidRequest") from error
    now = now_s()
    if expires_at <= now:
        raise bad_request("Subscription expiration must be in the future.", "ExtensionError")
    longest_s = LONGEST_SEALED_S if is_sealed else LONGEST_S
    if expires_at > now + longest_s:
        raise bad_request(f"Subscription expiration can only be {longest_s // 60} minutes in the "
                          "future.", "ExtensionError")  # fmt: skip
    return max(expires_at, now + SHORTEST_S)


def _url(body: dict[str, Any], name: str) -> str:
    """An address to notify: https, or http on this very machine.  Raises GraphError."""
    url = str(body.get(name, ""))
    parts = urlsplit(url)
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return url
    if parts.scheme != "https" or not parts.hostname:
        raise bad_request(f"The '{name}' must be an https address.", "InvalidRequest")
    return url


def _answer(call: Call, subscription: sqlite3.Row, status: int) -> Response:
    context = f"{GRAPH}/$metadata#subscriptions/$entity"
    return answer(call, {"@odata.context": context,
                         **_json(subscription, _sealing(call, subscription))}, status)  # fmt: skip


def _json(row: sqlite3.Row, sealing: sqlite3.Row | None) -> dict[str, Any]:
    return {
        "id": row["id"],
        "resource": row["resource"],
        "applicationId": row["client_id"],
        "changeType": row["kinds"],
        "clientState": row["client_state"],
        "notificationUrl": row["url"],
        "notificationQueryOptions": None,
        "lifecycleNotificationUrl": row["lifecycle_url"],
        "expirationDateTime": as_graph_time(row["expires_at"]),
        "creatorId": row["client_id"],
        "includeResourceData": True if sealing else None,
        "latestSupportedTlsVersion": "v1_2",
        "encryptionCertificate": None,
        "encryptionCertificateId": sealing["certificate_id"] if sealing else None,
        "notificationUrlAppId": None,
    }
