"""The keys with which Microsoft's identity platform signs, kept for all processes.

They change daily and overlap: an unknown one is asked for at once, though not more often than every
few minutes, whoever sends what.
"""

from __future__ import annotations

import json
from typing import Any

import jwt
import requests

from api_bridge.cache import SharedCache
from api_bridge.connectors import Connection
from api_bridge.errors import Temporary
from api_bridge.http import authority_of
from api_bridge.tokens import PinnedHttp, TokenHttp

KEPT_S = 12 * 3600.0
ASKED_AGAIN_AFTER_S = 300.0
LONGEST_ANSWER = 200_000


class SigningKeys:
    """Of one authority.  ``http`` replaces the network in tests."""

    def __init__(
        self, connection: Connection, cache: SharedCache, *, http: TokenHttp | None = None
    ) -> None:
        self._url = f"{connection.authority_url.rstrip('/')}/common/discovery/v2.0/keys"
        self._cache = cache
        self._name = f"signing_keys.{authority_of(connection.authority_url)}"
        self._connection = connection
        self._http = http

    def find(self, key_id: str) -> Any:
        """A public key, or None.  Raises ``Temporary`` where the authority does not answer."""
        found = _key_in(self._cache.get(self._name), key_id)
        if found is not None or self._cache.get(f"{self._name}.asked"):
            return found
        self._cache.set(f"{self._name}.asked", "1", ttl_s=ASKED_AGAIN_AFTER_S)
        try:
            text = self._fetch()
        except Temporary:
            self._cache.drop(f"{self._name}.asked")
            raise
        self._cache.set(self._name, text, ttl_s=KEPT_S)
        return _key_in(text, key_id)

    def _fetch(self) -> str:
        http = self._http or PinnedHttp(self._connection.authority_url, self._connection.ca_file)
        try:
            answer = http.get(self._url)
        except requests.RequestException as error:
            raise Temporary(f"The signing keys cannot be had: {type(error).__name__}.") from None
        finally:
            if self._http is None:
                http.close()
        if answer.status_code != 200 or len(answer.text) > LONGEST_ANSWER:
            raise Temporary(f"The signing keys cannot be had: {answer.status_code}.")
        return answer.text


def _key_in(text: str | None, key_id: str) -> Any:
    """None: it is not among them, or is no key for signatures."""
    try:
        keys = json.loads(text)["keys"] if text else []
        for key in keys:
            if key.get("kid") == key_id and key.get("kty") == "RSA":
                return jwt.PyJWK(key, algorithm="RS256").key
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError):
        return None
    return None
