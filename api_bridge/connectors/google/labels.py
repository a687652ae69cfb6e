"""The labels of a mailbox: which one is our hidden quarantine, and what the others are called."""

from __future__ import annotations

import json

from api_bridge.cache import SharedCache
from api_bridge.connectors.google import units
from api_bridge.connectors.google.client import GoogleClient, entries_of, path, text_of
from api_bridge.errors import Rejected, Unexpected

KEPT_S = 3_600.0


class Labels:
    """Of one customer's mailboxes."""

    def __init__(self, client: GoogleClient, cache: SharedCache, quarantine_name: str) -> None:
        self._client = client
        self._cache = cache
        self._name = quarantine_name

    def quarantine(self, mailbox_id: str) -> str:
        """The id of the hidden label, "" if it was not made yet.  Raises ``BridgeError``."""
        kept = self._cache.get(self._key(mailbox_id))
        if kept is not None:
            return str(json.loads(kept))
        found = self._look(mailbox_id)
        self._keep(mailbox_id, found)
        return found

    def made_quarantine(self, mailbox_id: str) -> str:
        """As ``quarantine``, and makes it.  Two workers make one: the second is told 409."""
        if found := self.quarantine(mailbox_id) or self._look(mailbox_id):
            self._keep(mailbox_id, found)
            return found
        body = {
            "name": self._name,
            "labelListVisibility": "labelHide",
            "messageListVisibility": "hide",
        }
        try:
            reply = self._client.mail(
                "POST", mailbox_id, path("labels"), cost=units.CREATE_LABEL, body=body
            )
            found = text_of(reply.json(), "id")
        except Rejected as error:
            if error.status != 409:
                raise
            found = self._look(mailbox_id)
        if not found:
            raise Unexpected(
                "The quarantine label exists and cannot be found.", code="no_quarantine"
            )
        self._keep(mailbox_id, found)
        return found

    def names(self, mailbox_id: str) -> dict[str, str]:
        """By id.  Raises ``BridgeError``."""
        data = self._client.mail("GET", mailbox_id, path("labels"), cost=units.LIST_LABELS).json()
        return {
            text_of(label, "id"): text_of(label, "name") for label in entries_of(data, "labels")
        }

    def forget(self, mailbox_id: str) -> None:
        """After the label turned out to be gone."""
        self._cache.drop(self._key(mailbox_id))

    def _look(self, mailbox_id: str) -> str:
        names = self.names(mailbox_id)
        return next((each for each, name in names.items() if name == self._name), "")

    def _keep(self, mailbox_id: str, label: str) -> None:
        self._cache.set(self._key(mailbox_id), json.dumps(label), ttl_s=KEPT_S)

    def _key(self, mailbox_id: str) -> str:
        return f"google.quarantine.{self._client.customer.customer_id}.{mailbox_id}.{self._name}"
