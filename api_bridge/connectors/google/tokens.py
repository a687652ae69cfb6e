"""Tokens of a service account on people's behalf, fetched once for all processes.

One token for each person and set of scopes, an hour each.  A request names all its scopes, and is
granted whole or not at all, so each purpose asks for its own.
Source: developers.google.com/identity/protocols/oauth2/service-account, read 2026-11.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable

import httpx
import jwt

from api_bridge.cache import SharedCache
from api_bridge.certificates import untrusted
from api_bridge.connectors.google.settings import Customer
from api_bridge.errors import AuthExpired, BridgeError, NotFound, Temporary
from api_bridge.http import tls_context

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE_HEAD = "https://www.googleapis.com/auth/"
MAIL = f"{SCOPE_HEAD}gmail.modify"
MAIL_READ = f"{SCOPE_HEAD}gmail.readonly"
USERS = f"{SCOPE_HEAD}admin.directory.user.readonly"
GROUPS = f"{SCOPE_HEAD}admin.directory.group.readonly"
ALERTS = f"{SCOPE_HEAD}apps.alerts"
# What account response needs, each delegated by itself: none of them reads or moves mail.
REPORTS = f"{SCOPE_HEAD}admin.reports.audit.readonly"
CHANGE_USERS = f"{SCOPE_HEAD}admin.directory.user"
USER_SECURITY = f"{SCOPE_HEAD}admin.directory.user.security"
SETTINGS_BASIC = f"{SCOPE_HEAD}gmail.settings.basic"
SETTINGS_SHARING = f"{SCOPE_HEAD}gmail.settings.sharing"
PUBSUB = f"{SCOPE_HEAD}pubsub"
# A token endpoint's answer is small.
ANSWER_LIMIT_BYTES = 256 * 1024
ASSERTION_LIFE_S = 3600
EARLY_S = 300.0
JITTER_S = 60.0
LOCK_TTL_S = 20.0
LOCK_WAIT_S = 15.0
TIMEOUT_S = 15.0
MOST_KEPT = 20_000


class GoogleTokens:
    """Bearer tokens for one customer; safe for threads.  ``transport`` is for tests."""

    def __init__(
        self,
        customer: Customer,
        cache: SharedCache,
        *,
        ca_file: str = "",
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._customer = customer
        self._cache = cache
        self._clock = clock
        self._http = httpx.Client(
            transport=transport,
            verify=True if transport else tls_context(ca_file),
            trust_env=False,
            follow_redirects=False,
            timeout=TIMEOUT_S,
        )
        self._guard = threading.Lock()
        self._kept: dict[str, tuple[float, str]] = {}

    def for_person(self, subject: str, scope: str) -> Callable[[str], str]:
        """``authorize`` of an outgoing call.  ``subject`` "": the service account itself."""
        return lambda refused: self.bearer(subject, scope, refused)

    def bearer(self, subject: str, scope: str, refused: str = "") -> str:
        """A token that is good for minutes yet and is not ``refused`` (the one just answered 401).

        Raises ``AuthExpired`` (a person must act), ``NotFound`` (there is no such person, or she is
        suspended) or ``Temporary``.
        """
        key = self._key(subject, scope)
        if token := self._good(self._kept.get(key), refused):
            return token
        if token := self._shared(key, refused):
            return token
        with self._cache.lock(key, ttl_s=LOCK_TTL_S, wait_s=LOCK_WAIT_S):
            return self._shared(key, refused) or self._fetch(key, subject, scope)

    def close(self) -> None:
        self._http.close()

    def _key(self, subject: str, scope: str) -> str:
        """The customer is part of it: what one client was given is never another's."""
        account = self._customer.account
        parts = (self._customer.customer_id, account.client_id, account.key_id, scope, subject)
        named = json.dumps([*parts, self._customer.token_url])
        return f"google.token.{hashlib.sha256(named.encode()).hexdigest()}"

    def _good(self, kept: tuple[float, str] | None, refused: str) -> str:
        if kept is None or kept[1] == refused or kept[0] <= self._clock():
            return ""
        return kept[1]

    def _shared(self, key: str, refused: str) -> str:
        """What another process fetched; "" if there is none."""
        value = self._cache.get(key)
        if not value:
            return ""
        good_until, token = json.loads(value)
        if found := self._good((good_until, token), refused):
            self._keep(key, good_until, found)
            return found
        return ""

    def _keep(self, key: str, good_until: float, token: str) -> None:
        with self._guard:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (good_until, token)

    def _fetch(self, key: str, subject: str, scope: str) -> str:
        answer = self._ask(subject, scope)
        token, life = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not isinstance(life, int | float):
            raise Temporary("The token endpoint gave no token.")
        early_s = min(EARLY_S + random.uniform(0, JITTER_S), life / 2)  # noqa: S311
        good_until = self._clock() + life - early_s
        self._keep(key, good_until, token)
        self._cache.set(key, json.dumps([good_until, token]), ttl_s=life - early_s)
        return token

    def _ask(self, subject: str, scope: str) -> dict[str, object]:
        form = {"grant_type": GRANT, "assertion": self._assertion(subject, scope)}
        try:
            with self._http.stream("POST", self._customer.token_url, data=form) as response:
                content = b""
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > ANSWER_LIMIT_BYTES:
                        raise Temporary("The token endpoint's answer is too large.")
        except httpx.HTTPError as error:
            # No cause is kept: the request holds the signed assertion.
            raise untrusted(self._customer.token_url, error) or Temporary(
                f"The token endpoint did not answer: {type(error).__name__}."
            ) from None
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if response.is_success and isinstance(answer, dict):
            return answer
        raise _refusal(response.status_code, answer, subject)

    def _assertion(self, subject: str, scope: str) -> str:
        account, now = self._customer.account, int(self._clock())
        claims: dict[str, object] = {
            "iss": account.client_email,
            "scope": scope,
            "aud": self._customer.token_url,
            "iat": now,
            "exp": now + ASSERTION_LIFE_S,
        }
        if subject:
            claims["sub"] = subject
        return jwt.encode(claims, account.private_key, "RS256", headers={"kid": account.key_id})


def _refusal(status: int, answer: object, subject: str) -> BridgeError:
    said = answer if isinstance(answer, dict) else {}
    error, text = str(said.get("error", ""))[:60], str(said.get("error_description", ""))
    if error == "invalid_grant" and ("JWT" in text or "account not found" in text):
        return AuthExpired("Google does not accept the service account's key.",
                           code="bad_credentials", status=status)  # fmt: skip
    if error == "invalid_grant" and subject:
        return NotFound(f"Google knows no active person {subject}.", code=error, status=status)
    if error in ("unauthorized_client", "access_denied", "invalid_scope"):
        return AuthExpired(
            "The service account may not act on people's behalf with this scope: domain-wide "
            "delegation is missing or has changed.",
            code="needs_consent",
            status=status,
        )
    if error == "invalid_client":
        return AuthExpired("Google does not know the service account.", code="app_missing",
                           status=status)  # fmt: skip
    return Temporary(f"The token endpoint answered {status} {error}".rstrip() + ".", status=status)
