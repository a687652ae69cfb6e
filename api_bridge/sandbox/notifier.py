"""Sends change notifications and lifecycle events to the subscribers' addresses.

One sender for each address, so that a slow subscriber delays only itself; one POST may carry
changes of several subscriptions and tenants, as Microsoft's do.  How far a subscription has been
told is stored with it: after a restart nothing is forgotten, something may be told twice.
Source: learn.microsoft.com/graph/change-notifications-delivery-webhooks, read 2026-11.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx

from api_bridge.sandbox import ids, mailboxes
from api_bridge.sandbox.clock import as_graph_time, now_s
from api_bridge.sandbox.faults import Faults
from api_bridge.sandbox.store import Store, marks

HANDSHAKE_TIMEOUT_S = 10.0
DELIVERY_TIMEOUT_S = 3.0
GIVE_UP_S = 4 * 3600
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
BATCH = 50
LIFECYCLE_EVENTS = ("reauthorizationRequired", "subscriptionRemoved", "missed")
log = logging.getLogger(__name__)


class NotValidated(Exception):
    """An address did not answer the handshake as it must."""


class Notifier:
    def __init__(
        self,
        store: Store,
        faults: Faults,
        *,
        prove: Callable[[str, str], str],
        seal: Callable[[Store, sqlite3.Row, sqlite3.Row, bool], dict[str, str]],
        on_wake: Callable[[], None] = lambda: None,
    ) -> None:
        """``prove``: the token that goes with what is told to an application of a tenant; ``seal``:
        a message for the holder of a certificate, with an immutable id or a normal one.
        """
        self._store, self._faults, self._on_wake = store, faults, on_wake
        self._prove, self._seal = prove, seal
        self._client = httpx.AsyncClient(timeout=DELIVERY_TIMEOUT_S, trust_env=False)
        self._woken = asyncio.Event()
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._late: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Something has changed: look what there is to tell."""
        self._woken.set()
        self._on_wake()

    async def validate(self, url: str) -> None:
        """The handshake of a new subscription.  Raises NotValidated."""
        token = f"Validation: {uuid4()}: <sandbox & co>"
        separator = "&" if "?" in url else "?"
        try:
            response = await self._client.post(
                f"{url}{separator}{urlencode({'validationToken': token})}",
                headers={"content-type": "text/plain; charset=utf-8"},
                timeout=HANDSHAKE_TIMEOUT_S,
            )
        except httpx.HTTPError as error:
            raise NotValidated(f"The address can't be reached: {type(error).__name__}.") from error
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if response.status_code != 200 or kind != "text/plain" or response.text != token:
            raise NotValidated("Notification endpoint must respond with 200 OK, text/plain and "
                               "the validation token to the validation request.")  # fmt: skip

    async def send_lifecycle(self, event: str, subscription_id: str) -> bool:
        """Tell a subscriber about its subscription.  False: unknown, without an address for
        it, or not taken.
        """
        row = self._store.row("SELECT * FROM subscription WHERE id = ?", subscription_id)
        if row is None or event not in LIFECYCLE_EVENTS or not row["lifecycle_url"]:
            return False
        if event == "subscriptionRemoved":
            self._store.execute("DELETE FROM subscription WHERE id = ?", subscription_id)
        return await self._post(row["lifecycle_url"], [{
            "lifecycleEvent": event, "subscriptionId": row["id"], "resource": row["resource"],
            "clientState": row["client_state"], "tenantId": row["tenant_id"],
            "subscriptionExpirationDateTime": as_graph_time(row["expires_at"]),
        }])  # fmt: skip

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._woken.clear()
                self._store.execute("DELETE FROM subscription WHERE expires_at <= ?", now_s())
                for row in self._store.rows("SELECT DISTINCT url FROM subscription"):
                    sender = self._senders.get(row["url"])
                    if sender is None or sender.done():
                        self._senders[row["url"]] = asyncio.create_task(self._tell(row["url"]))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), 60)
        finally:
            running = [*self._senders.values(), *self._late]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._client.aclose()

    async def _tell(self, url: str) -> None:
        """Send all that an address has not been told; ends when there is nothing left."""
        while True:
            items, told = self._pending(url)
            if not told:
                return
            items = self._with_faults(url, items)
            pause_s, give_up_at = FIRST_PAUSE_S, now_s() + GIVE_UP_S
            while not await self._post(url, items) and now_s() < give_up_at:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                # A subscription that is gone meanwhile is not told any more.
                known = {row["id"] for row in self._store.rows("SELECT id FROM subscription")}
                items = [item for item in items if item["subscriptionId"] in known]
            self._mark(told)

    def _pending(self, url: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Notifications to send, and how far each subscription is told once they are sent."""
        items: list[dict[str, Any]] = []
        told: dict[str, int] = {}
        for subscription in self._store.rows(
            "SELECT * FROM subscription WHERE url = ? AND expires_at > ? ORDER BY created_at",
            url, now_s(),
        ):  # fmt: skip
            kinds = subscription["kinds"].split(",")
            rows = self._store.rows(
                "SELECT change.*, user.id AS user_id FROM change "  # noqa: S608 - question marks
                "JOIN user ON user.number = change.mailbox WHERE mailbox = ? AND seq > ? "
                f"AND kind IN ({marks(kinds)}) AND (folder = ? OR ? IS NULL) ORDER BY seq LIMIT ?",
                subscription["mailbox"], subscription["sent_seq"], *kinds, subscription["folder"],
                subscription["folder"], BATCH,
            )  # fmt: skip
            if rows:
                told[subscription["id"]] = rows[-1]["seq"]
            # What nobody took for hours is dropped, as it is on Microsoft's side.
            items += [self._item(subscription, row) for row in rows
                      if row["at"] > now_s() - GIVE_UP_S]  # fmt: skip
            if len(items) >= BATCH:
                break
        return items, told

    def _item(self, subscription: sqlite3.Row, change: sqlite3.Row) -> dict[str, Any]:
        mailbox = change["mailbox"]
        shown = (
            ids.immutable_id(mailbox, change["message"])
            if subscription["is_immutable"]
            else ids.normal_id(mailbox, change["serial"])
        )
        path = f"Users/{change['user_id']}/Messages/{shown}"
        return {
            **self._sealed(subscription, change),
            "subscriptionId": subscription["id"],
            "subscriptionExpirationDateTime": as_graph_time(subscription["expires_at"]),
            "changeType": change["kind"],
            "resource": path,
            "resourceData": {
                "@odata.type": "#Microsoft.Graph.Message", "@odata.id": path,
                "@odata.etag": f'W/"{change["seq"]}"', "id": shown,
            },
            "clientState": subscription["client_state"],
            "tenantId": subscription["tenant_id"],
        }  # fmt: skip

    def _sealed(self, subscription: sqlite3.Row, change: sqlite3.Row) -> dict[str, Any]:
        """What changed, where the subscriber asked for it and it is still there."""
        sealing = self._store.row(
            "SELECT * FROM sealing WHERE subscription_id = ?", subscription["id"]
        )
        message = self._store.row("SELECT * FROM message WHERE number = ?", change["message"])
        if sealing is None or message is None or change["kind"] == mailboxes.DELETED:
            return {}
        is_immutable = bool(subscription["is_immutable"])
        return {"encryptedContent": self._seal(self._store, sealing, message, is_immutable)}

    def _proofs(self, items: list[dict[str, Any]]) -> list[str]:
        """One for each application and tenant of which something is told in full."""
        pairs = {}
        for item in items:
            if "encryptedContent" in item:
                client_id = self._store.value(
                    "SELECT client_id FROM subscription WHERE id = ?", item["subscriptionId"]
                )
                pairs[item["tenantId"], client_id] = client_id is not None
        return [self._prove(*pair) for pair, is_known in pairs.items() if is_known]

    def _with_faults(self, url: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = []
        for item in items:
            if self._faults.take("lost_notification", item["resource"]):
                continue
            late = self._faults.take("delayed_notification", item["resource"])
            if late is not None:
                task = asyncio.create_task(self._post_later(url, item, late.seconds))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
                continue
            kept.append(item)
            if self._faults.take("duplicate_notification", item["resource"]):
                kept.append(item)
        return kept

    async def _post_later(self, url: str, item: dict[str, Any], seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._post(url, [item])

    async def _post(self, url: str, items: list[dict[str, Any]]) -> bool:
        """True: taken (2xx), or nothing to send."""
        if not items:
            return True
        try:
            told: dict[str, Any] = {"value": items}
            if proofs := self._proofs(items):
                told["validationTokens"] = proofs
            response = await self._client.post(url, json=told)
        except httpx.HTTPError as error:
            log.warning("a subscriber can't be reached: %s", type(error).__name__)
            return False
        return response.is_success

    def _mark(self, told: dict[str, int]) -> None:
        with self._store.transaction():
            for subscription_id, seq in told.items():
                self._store.execute(
                    "UPDATE subscription SET sent_seq = ? WHERE id = ?", seq, subscription_id
                )
