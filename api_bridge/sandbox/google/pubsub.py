"""Watches of mailboxes, and Pub/Sub: what they publish, pulled or pushed.

A message says ``{emailAddress, historyId}`` and no more.  Where nobody asks for a while, changes
of one mailbox become one message, as Gmail drops what is more than one a second.
Source: developers.google.com/gmail/api/guides/push, discovery document pubsub.v1, read 2026-11.
"""

import asyncio
import base64
import datetime as dt
import json
import logging
import re
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx

from api_bridge.sandbox.clock import now_s
from api_bridge.sandbox.directory import BadDirectory
from api_bridge.sandbox.faults import Faults
from api_bridge.sandbox.google.call import (
    Call,
    GoogleError,
    answer,
    bad_request,
    not_found,
    nothing,
)
from api_bridge.sandbox.google.messages import HISTORY_BASE, history_id
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Response

WATCH_LIFE_S = 7 * 86_400
LEASE_S = 10
GIVE_UP_S = 7 * 86_400
DELIVERY_TIMEOUT_S = 10.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
LARGEST_PULL = 1000
_TOPIC = re.compile(r"projects/[a-z][a-z0-9-]{4,29}/topics/[A-Za-z][\w.~+%-]{2,254}")
_SUBSCRIPTION = re.compile(r"projects/[a-z][a-z0-9-]{4,29}/subscriptions/[A-Za-z][\w.~+%-]{2,254}")
log = logging.getLogger(__name__)


def watch(call: Call) -> Response:
    """A watch begins with a message of its own."""
    mailbox, wanted, store = call.mailbox(), call.body(), call.cloud.store
    topic = str(wanted.get("topicName", ""))
    if not _TOPIC.fullmatch(topic):
        raise bad_request("Invalid topicName does not match projects/{project}/topics/*")
    if store.row("SELECT 1 FROM pubsub_subscription WHERE topic = ?", topic) is None:
        raise GoogleError(404, "notFound", f"Resource not found (resource={topic}).")
    if wanted.get("labelIds"):
        raise bad_request("The sandbox watches whole mailboxes only.")
    expires_at, number = now_s() + WATCH_LIFE_S, mailbox["number"]
    store.execute("INSERT OR REPLACE INTO watch VALUES (?, ?, ?, -1)", number, topic, expires_at)
    call.cloud.notifier.wake()
    said = {"historyId": history_id(store, number), "expiration": str(expires_at * 1000)}
    return answer(said)


def stop(call: Call) -> Response:
    call.cloud.store.execute("DELETE FROM watch WHERE mailbox = ?", call.mailbox()["number"])
    return nothing()


def put_subscription(store: Store, wanted: Mapping[str, Any]) -> None:
    """``topic`` and ``subscription`` (full names), ``owner`` (the service account that may pull),
    ``push_url`` ("" for one that is pulled).  Raises BadDirectory.
    """
    topic, name = str(wanted.get("topic", "")), str(wanted.get("subscription", ""))
    if not _TOPIC.fullmatch(topic) or not _SUBSCRIPTION.fullmatch(name):
        raise BadDirectory("topic and subscription need their full names (projects/…)")
    store.execute(
        "INSERT OR REPLACE INTO pubsub_subscription VALUES (?, ?, ?, ?)",
        name, topic, str(wanted.get("owner", "")), str(wanted.get("push_url", "")),
    )  # fmt: skip


def publish(store: Store, faults: Faults) -> None:
    """A message to each subscription of the topic, for every watched mailbox that has changed."""
    store.execute("DELETE FROM watch WHERE expires_at <= ?", now_s())
    for row in store.rows(
        "SELECT watch.*, user.mail, (SELECT coalesce(max(seq), 0) FROM change "
        "WHERE change.mailbox = watch.mailbox) AS seq FROM watch "
        "JOIN user ON user.number = watch.mailbox"
    ):
        if row["seq"] <= row["sent_seq"]:
            continue
        store.execute("UPDATE watch SET sent_seq = ? WHERE mailbox = ?", row["seq"], row["mailbox"])
        if faults.take("lost_notification", row["mail"]):
            continue
        said = {"emailAddress": row["mail"], "historyId": HISTORY_BASE + row["seq"]}
        data = base64.b64encode(json.dumps(said).encode()).decode()
        late = faults.take("delayed_notification", row["mail"])
        leased = now_s() + int(late.seconds) if late else 0
        for _ in range(2 if faults.take("duplicate_notification", row["mail"]) else 1):
            store.execute(
                "INSERT INTO pubsub_message (subscription, data, published_at, leased_until) "
                "SELECT name, ?, ?, ? FROM pubsub_subscription WHERE topic = ?",
                data, now_s(), leased, row["topic"],
            )  # fmt: skip


def pull(call: Call) -> Response:
    """Answers at once, whether there is something or not."""
    name, store = _subscription(call), call.cloud.store
    most = call.body().get("maxMessages", 1)
    if not isinstance(most, int) or not 1 <= most <= LARGEST_PULL:
        raise bad_request("maxMessages must be from 1 to 1000")
    publish(store, call.cloud.faults)
    rows = store.rows(
        "SELECT * FROM pubsub_message WHERE subscription = ? AND leased_until <= ? "
        "ORDER BY number LIMIT ?",
        name, now_s(), most,
    )  # fmt: skip
    for row in rows:
        store.execute(
            "UPDATE pubsub_message SET leased_until = ? WHERE number = ?",
            now_s() + LEASE_S, row["number"],
        )  # fmt: skip
    found = [{"ackId": f"ack-{row['number']}", "message": _message_json(row)} for row in rows]
    return answer({"receivedMessages": found} if found else {})


def acknowledge(call: Call) -> Response:
    name = _subscription(call)
    for ack in call.body().get("ackIds", []):
        number = str(ack).removeprefix("ack-")
        if number.isdigit():
            call.cloud.store.execute(
                "DELETE FROM pubsub_message WHERE number = ? AND subscription = ?",
                int(number), name,
            )  # fmt: skip
    return answer({})


def _subscription(call: Call) -> str:
    name = f"projects/{call.values['project']}/subscriptions/{call.values['subscription']}"
    row = call.cloud.store.row("SELECT * FROM pubsub_subscription WHERE name = ?", name)
    if row is None:
        raise not_found()
    if row["owner"] != call.caller.client_email:
        raise GoogleError(403, "forbidden", "User not authorized to perform this action.")
    return name


def _message_json(row: sqlite3.Row) -> dict[str, Any]:
    at = dt.datetime.fromtimestamp(row["published_at"], dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"data": row["data"], "messageId": str(row["number"]), "publishTime": at}


class Publisher:
    """Sends to the subscriptions with an address of their own, and again until it is taken."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store, self._faults = store, faults
        self._client = httpx.AsyncClient(timeout=DELIVERY_TIMEOUT_S, trust_env=False)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                self._woken.clear()
                publish(self._store, self._faults)
                is_taken = await self._deliver()
                pause_s = FIRST_PAUSE_S if is_taken else min(pause_s * 2, LONGEST_PAUSE_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), 60.0 if is_taken else pause_s)
        finally:
            await self._client.aclose()

    async def _deliver(self) -> bool:
        """False: something has to be sent again."""
        all_taken = True
        oldest = int(time.time()) - GIVE_UP_S
        self._store.execute("DELETE FROM pubsub_message WHERE published_at < ?", oldest)
        for row in self._store.rows(
            "SELECT pubsub_message.*, push_url FROM pubsub_message JOIN pubsub_subscription "
            "ON name = subscription WHERE push_url != '' ORDER BY number"
        ):
            if row["leased_until"] > now_s() or not await self._post(row):
                all_taken = False
                continue
            self._store.execute("DELETE FROM pubsub_message WHERE number = ?", row["number"])
        return all_taken

    async def _post(self, row: sqlite3.Row) -> bool:
        content = {"message": _message_json(row), "subscription": row["subscription"]}
        try:
            response = await self._client.post(row["push_url"], json=content)
        except httpx.HTTPError as error:
            log.warning("a push address can't be reached: %s", type(error).__name__)
            return False
        return response.is_success
