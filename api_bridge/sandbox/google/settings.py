"""Settings of a mailbox: filters, forwarding, delegates, IMAP and POP.

Source: discovery document gmail.v1 (users.settings), revision 20261005.
"""

import json
import sqlite3
import uuid
from typing import Any

from api_bridge.sandbox.directory import user_in
from api_bridge.sandbox.google.call import (
    Call,
    GoogleError,
    answer,
    bad_request,
    not_found,
    nothing,
)
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Response

MOST_FILTERS = 1000
FILTER, FORWARDING, ADDRESS, DELEGATE = "filter", "forwarding", "address", "delegate"


def kept(store: Store, mailbox: int, kind: str) -> list[dict[str, Any]]:
    rows = store.rows(
        "SELECT content FROM mail_setting WHERE mailbox = ? AND kind = ? ORDER BY id",
        mailbox, kind,
    )  # fmt: skip
    return [json.loads(row["content"]) for row in rows]


def put(store: Store, mailbox: int, kind: str, key: str, content: dict[str, Any]) -> None:
    store.execute(
        "INSERT OR REPLACE INTO mail_setting VALUES (?, ?, ?, ?)",
        mailbox, kind, key, json.dumps(content),
    )  # fmt: skip


def put_by_a_person(store: Store, mailbox: int, wanted: dict[str, Any]) -> None:
    """What she set up in Gmail: ``filters``, ``forwarding`` (autoForwarding), ``delegates``."""
    if forwarding := wanted.get("forwarding"):
        told = {"forwardingEmail": forwarding["emailAddress"], "verificationStatus": "accepted"}
        put(store, mailbox, ADDRESS, told["forwardingEmail"], told)
        put(store, mailbox, FORWARDING, "", forwarding)
    for number, each in enumerate(wanted.get("filters", []), 1):
        made = {"id": f"ANe1Bm{mailbox}x{number}", **each}
        put(store, mailbox, FILTER, made["id"], made)
    for each in wanted.get("delegates", []):
        put(
            store,
            mailbox,
            DELEGATE,
            each,
            {"delegateEmail": each, "verificationStatus": "accepted"},
        )


def _one(call: Call, kind: str, key: str) -> tuple[sqlite3.Row, dict[str, Any]]:
    mailbox = call.mailbox()
    content = call.cloud.store.value(
        "SELECT content FROM mail_setting WHERE mailbox = ? AND kind = ? AND id = ?",
        mailbox["number"], kind, key,
    )  # fmt: skip
    if content is None:
        raise not_found()
    return mailbox, json.loads(content)


def _dropped(call: Call, kind: str, key: str) -> Response:
    mailbox, _ = _one(call, kind, key)
    call.cloud.store.execute(
        "DELETE FROM mail_setting WHERE mailbox = ? AND kind = ? AND id = ?",
        mailbox["number"], kind, key,
    )  # fmt: skip
    return nothing()


def _listed(call: Call, kind: str, name: str) -> Response:
    """The list's key is missing where it is empty, as at Google."""
    found = kept(call.cloud.store, call.mailbox()["number"], kind)
    return answer({name: found} if found else {})


def list_filters(call: Call) -> Response:
    return _listed(call, FILTER, "filter")


def get_filter(call: Call) -> Response:
    return answer(_one(call, FILTER, call.values["filter"])[1])


def create_filter(call: Call) -> Response:
    mailbox, wanted = call.mailbox(), call.body()
    criteria, action = wanted.get("criteria"), wanted.get("action")
    if not isinstance(criteria, dict) or not isinstance(action, dict) or not criteria:
        raise bad_request("Filter criteria and action are required.")
    number = mailbox["number"]
    if len(kept(call.cloud.store, number, FILTER)) >= MOST_FILTERS:
        raise bad_request("Too many filters.", "failedPrecondition")
    key = f"ANe1Bm{uuid.uuid4().hex}"
    made = {"id": key, "criteria": criteria, "action": action}
    put(call.cloud.store, number, FILTER, key, made)
    return answer(made)


def delete_filter(call: Call) -> Response:
    return _dropped(call, FILTER, call.values["filter"])


def get_forwarding(call: Call) -> Response:
    found = kept(call.cloud.store, call.mailbox()["number"], FORWARDING)
    return answer(found[0] if found else {"enabled": False})


def put_forwarding(call: Call) -> Response:
    mailbox, wanted = call.mailbox(), call.body()
    if wanted.get("enabled"):
        verified = {
            each["forwardingEmail"] for each in kept(call.cloud.store, mailbox["number"], ADDRESS)
        }
        if wanted.get("emailAddress") not in verified:
            raise bad_request("Unrecognized forwarding address", "failedPrecondition")
    else:
        wanted = {"enabled": False}
    put(call.cloud.store, mailbox["number"], FORWARDING, "", wanted)
    return answer(wanted)


def list_addresses(call: Call) -> Response:
    return _listed(call, ADDRESS, "forwardingAddresses")


def delete_address(call: Call) -> Response:
    return _dropped(call, ADDRESS, call.values["address"])


def list_delegates(call: Call) -> Response:
    return _listed(call, DELEGATE, "delegates")


def create_delegate(call: Call) -> Response:
    """A colleague by her primary address, accepted at once, as Google does for administrators."""
    mailbox, address = call.mailbox(), str(call.body().get("delegateEmail", "")).lower()
    person = user_in(call.cloud.store, mailbox["tenant_id"], address)
    if person is None or person["mail"].lower() != address or address == mailbox["mail"].lower():
        raise bad_request("Invalid delegate", "invalidArgument")
    if any(each["delegateEmail"] == address for each in
           kept(call.cloud.store, mailbox["number"], DELEGATE)):  # fmt: skip
        raise GoogleError(409, "alreadyExists", "Delegate already exists")
    made = {"delegateEmail": address, "verificationStatus": "accepted"}
    put(call.cloud.store, mailbox["number"], DELEGATE, address, made)
    return answer(made)


def delete_delegate(call: Call) -> Response:
    return _dropped(call, DELEGATE, call.values["address"])
