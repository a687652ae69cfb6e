"""Push orders at Graph: what is told of one mailbox, with and without what changed.

Outlook subscriptions live less than 7 days, those with resource data one day (contract A.3 c).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from api_bridge.connectors import Subscription
from api_bridge.connectors.graph.client import GraphClient, path
from api_bridge.connectors.graph.mapping import subscription_of
from api_bridge.connectors.graph.sealed import EXPANDED, SELECTED, certificate_text
from api_bridge.connectors.notices import PushKey
from api_bridge.errors import NotFound, Rejected

log = logging.getLogger(__name__)

LIFE, RENEW_BEFORE = timedelta(minutes=10_020), timedelta(days=2)
SEALED_LIFE, SEALED_RENEW_BEFORE = timedelta(minutes=1_420), timedelta(hours=8)


class Pushes:
    """The orders of one connection."""

    def __init__(self, client: GraphClient) -> None:
        self._client = client

    def ensure(
        self,
        mailbox_id: str,
        *,
        notification_url: str,
        client_state: str,
        current: Subscription | None,
        key: PushKey | None = None,
    ) -> Subscription:
        """``key`` None: without what changed."""
        if current is not None and not _can_stay(current, notification_url, key):
            self.end(current.id)
            current = None
        if current is not None:
            if not _must_renew(current, key):
                return current
            try:
                return self.renew(current, key)
            except NotFound:
                current = None
        return self._order(mailbox_id, notification_url, client_state, key)

    def renew(self, subscription: Subscription, key: PushKey | None = None) -> Subscription:
        """Also authorises anew, where that was asked for."""
        reply = self._client.call(
            "PATCH",
            path("subscriptions", subscription.id),
            body={"expirationDateTime": _end(key), **_sealing(key)},
            is_safe=True,
        )
        return _with_key(subscription_of(reply.json()), key)

    def standing(self) -> Iterator[Subscription]:
        for page in self._client.pages("/subscriptions"):
            yield from (subscription_of(entry) for entry in page)

    def end(self, subscription_id: str) -> None:
        try:
            self._client.call("DELETE", path("subscriptions", subscription_id), is_safe=True)
        except NotFound:
            return

    def _order(
        self, mailbox_id: str, notification_url: str, client_state: str, key: PushKey | None
    ) -> Subscription:
        if key is None:
            return self._take(mailbox_id, notification_url, client_state, None, "")
        chosen = f"?$select={SELECTED}"
        try:
            whole = f"{chosen}&$expand={EXPANDED}"
            return self._take(mailbox_id, notification_url, client_state, key, whole)
        except Rejected as error:
            # Our address or our right would be refused without the body too.
            if error.status != 400 or error.code == "ValidationError":
                raise
            log.warning("the body cannot be had in notices: %s", error)
            return self._take(mailbox_id, notification_url, client_state, key, chosen)

    def _take(
        self,
        mailbox_id: str,
        notification_url: str,
        client_state: str,
        key: PushKey | None,
        chosen: str,
    ) -> Subscription:
        body: dict[str, Any] = {
            "changeType": "created",
            "notificationUrl": notification_url,
            "lifecycleNotificationUrl": notification_url,
            "resource": f"/users/{mailbox_id}/messages{chosen}",
            "expirationDateTime": _end(key),
            "clientState": client_state,
        }
        if key is not None:
            body |= {"includeResourceData": True, **_sealing(key)}
        reply = self._client.call("POST", "/subscriptions", body=body)
        return _with_key(subscription_of(reply.json()), key)


def _can_stay(current: Subscription, notification_url: str, key: PushKey | None) -> bool:
    """Neither its address can be changed nor whether it brings what changed."""
    return current.notification_url == notification_url and bool(current.key_id) == (
        key is not None
    )


def _must_renew(current: Subscription, key: PushKey | None) -> bool:
    before = SEALED_RENEW_BEFORE if key else RENEW_BEFORE
    has_old_key = key is not None and current.key_id != key.id
    return has_old_key or current.expires_at - datetime.now(UTC) <= before


def _sealing(key: PushKey | None) -> dict[str, str]:
    if key is None:
        return {}
    return {"encryptionCertificate": certificate_text(key), "encryptionCertificateId": key.id}


def _with_key(ordered: Subscription, key: PushKey | None) -> Subscription:
    """It was taken with this key, whether the answer repeats that or not."""
    if key is None:
        return ordered
    return replace(ordered, key_id=key.id, renew_at=ordered.expires_at - SEALED_RENEW_BEFORE)


def _end(key: PushKey | None) -> str:
    life = SEALED_LIFE if key else LIFE
    return (datetime.now(UTC) + life).strftime("%Y-%m-%dT%H:%M:%SZ")
