"""OAuth tokens for IMAP, shared by all processes.

By client credentials (RFC 6749, 4.4) a token is good for every mailbox that the authority lets this
client open, as at Microsoft.  A server that wants to see the mailbox in the token is given one for
each, by an exchange in which the mailbox is named (RFC 8693, Keycloak's ``requested_subject``).
"""

from __future__ import annotations

import json
import threading
import time

import httpx

from api_bridge.cache import SharedCache
from api_bridge.certificates import untrusted
from api_bridge.connectors.imap.options import Options
from api_bridge.errors import AuthExpired, Temporary
from api_bridge.http import tls_context

EARLY_S = 120.0
LOCK_TTL_S = 20.0
LOCK_WAIT_S = 15.0
TIMEOUT_S = 15.0
SHORTEST_LIFE_S = 300.0
LONGEST_LIFE_S = 86_400.0
ANSWER_LIMIT_BYTES = 262_144


class Tokens:
    """Bearer tokens of one connection; safe for threads."""

    def __init__(self, options: Options, cache: SharedCache) -> None:
        self._options = options
        self._cache = cache
        self._guard = threading.Lock()
        self._http = httpx.Client(
            verify=tls_context(options.ca_file),
            trust_env=False,
            follow_redirects=False,
            timeout=TIMEOUT_S,
        )

    def bearer(self, mailbox: str, refused: str = "") -> str:
        """A token that is not ``refused``.  Raises ``AuthExpired`` or ``Temporary``."""
        subject = mailbox if self._options.subject_field else ""
        key = f"imap.token.{self._options.key}.{subject}"
        with self._guard:
            if kept := self._kept(key, refused):
                return kept
            with self._cache.lock(key, ttl_s=LOCK_TTL_S, wait_s=LOCK_WAIT_S):
                return self._kept(key, refused) or self._ask(key, subject)

    def close(self) -> None:
        self._http.close()

    def _kept(self, key: str, refused: str) -> str:
        good_until, token = json.loads(self._cache.get(key) or '[0, ""]')
        return "" if token == refused or good_until <= time.time() else str(token)

    def _ask(self, key: str, subject: str) -> str:
        wanted = {
            "grant_type": self._options.grant,
            "client_id": self._options.login,
            "client_secret": self._options.secret,
        }
        if self._options.scope:
            wanted["scope"] = self._options.scope
        if subject:
            wanted[self._options.subject_field] = subject
        try:
            with self._http.stream("POST", self._options.token_url, data=wanted) as response:
                content = b""
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > ANSWER_LIMIT_BYTES:
                        raise Temporary("The token endpoint's answer is too big.")
        except httpx.HTTPError as error:
            # No cause is kept: it holds the request, and with it the secret.
            raise untrusted(self._options.token_url, error) or Temporary(
                f"The token endpoint did not answer: {type(error).__name__}."
            ) from None
        if response.status_code >= 500 or response.status_code == 429:
            raise Temporary(f"The token endpoint answered {response.status_code}.")
        return self._token_in(key, content, response.status_code)

    def _token_in(self, key: str, content: bytes, status: int) -> str:
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            data = None
        data = data if isinstance(data, dict) else {}
        token, life_s = data.get("access_token"), data.get("expires_in")
        if status != 200 or not isinstance(token, str) or not token:
            raise AuthExpired(
                f"The token endpoint refused a token ({status}).", code="bad_credentials"
            )
        if not isinstance(life_s, int | float) or life_s <= 0:
            life_s = SHORTEST_LIFE_S
        life_s = min(float(life_s), LONGEST_LIFE_S)
        good_s = life_s - min(EARLY_S, life_s / 2)
        kept = json.dumps([time.time() + good_s, token])
        self._cache.set(key, kept, ttl_s=good_s)
        return token
