"""Application tokens of one client's Microsoft tenant, by msal, fetched once for all processes.

Three levels: this object's memory, the shared cache under a lock, msal.  There are no refresh
tokens in this grant; losing everything costs one POST.
"""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol

import msal
import requests
from msal.exceptions import MsalError

from api_bridge.cache import SharedCache
from api_bridge.certificates import untrusted
from api_bridge.errors import AuthExpired, Rejected, Temporary, Unexpected
from api_bridge.http import authority_of, check_outgoing

if TYPE_CHECKING:
    from api_bridge.connectors import Connection

EARLY_S = 300.0
JITTER_S = 60.0
LOCK_TTL_S = 20.0
LOCK_WAIT_S = 15.0
KEPT_S = 60.0
TOKEN_TIMEOUT_S = 15.0
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
AADSTS = re.compile(r"AADSTS(\d+)")
# What an analyst has to do, by Microsoft's number (contract A.1).
MEANING = {
    "7000215": "bad_credentials",
    "700027": "bad_credentials",
    "7000222": "credentials_expired",
    "700016": "app_missing",
    "65001": "needs_consent",
    "90002": "tenant_gone",
}
# msal writes an unreadable token answer to its log as it came; a token may be in it.
logging.getLogger("msal.oauth2cli.oauth2").setLevel(logging.CRITICAL)


class TokenHttp(Protocol):
    """What msal needs of an HTTP client."""

    def get(self, url: str, **kwargs: Any) -> requests.Response: ...

    def post(self, url: str, **kwargs: Any) -> requests.Response: ...

    def close(self) -> None: ...


class PinnedHttp:
    """Talks to one authority only, whatever discovery says, and listens to no environment."""

    def __init__(self, authority_url: str, ca_file: str) -> None:
        self._authority = authority_of(authority_url)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca_file or True

    def get(self, url: str, **kwargs: Any) -> requests.Response:
        return self._request("GET", url, kwargs)

    def post(self, url: str, **kwargs: Any) -> requests.Response:
        return self._request("POST", url, kwargs)

    def close(self) -> None:
        self._session.close()

    def _request(self, method: str, url: str, kwargs: dict[str, Any]) -> requests.Response:
        if authority_of(url) != self._authority:
            raise Unexpected("The token endpoint is on another host.", code="foreign_link")
        kwargs.update(timeout=TOKEN_TIMEOUT_S, allow_redirects=False)
        return self._session.request(method, url, **kwargs)


def check_connection(connection: Connection, allowed_hosts: Collection[str]) -> None:
    """Raises ``Rejected`` with a sentence for the person who set the connection up."""
    if not GUID.match(connection.cloud_tenant_id):
        raise Rejected("The tenant must be given as its GUID.", code="bad_tenant")
    if not connection.client_id:
        raise Rejected("The application id is missing.", code="bad_application")
    has_certificate = bool(connection.private_key_pem and connection.certificate_pem)
    if bool(connection.client_secret) == has_certificate:
        raise Rejected(
            "Give either a client secret or a certificate with its key.", code="bad_credentials"
        )
    check_outgoing(connection.authority_url, allowed_hosts)
    check_outgoing(connection.api_url, allowed_hosts)


class TokenSource:
    """Bearer tokens for one connection; safe for threads.

    ``http`` replaces the network in tests.
    """

    def __init__(
        self,
        connection: Connection,
        cache: SharedCache,
        *,
        http: TokenHttp | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._cache = cache
        self._http = http or PinnedHttp(connection.authority_url, connection.ca_file)
        self._clock = clock
        self._scope = f"{connection.api_url.rstrip('/')}/.default"
        self._key = ".".join(
            (
                "token",
                connection.cloud_tenant_id.lower(),
                connection.client_id.lower(),
                authority_of(connection.authority_url),
                authority_of(connection.api_url),
            )
        )
        self._guard = threading.Lock()
        # Until when it counts without a look at the shared cache, how long it is good, the token.
        self._kept: tuple[float, float, str] = (0.0, 0.0, "")
        self._app: msal.ConfidentialClientApplication | None = None

    def bearer(self, refused: str = "") -> str:
        """A token that is good for minutes yet and is not ``refused`` (the one just answered 401).

        Raises ``AuthExpired`` (a person must act) or ``Temporary``.
        """
        fresh_until, _, token = self._kept
        if token and token != refused and fresh_until > self._clock():
            return token
        with self._guard:
            fresh_until, good_until, token = self._kept
            if token and token != refused and fresh_until > self._clock():
                return token
            if shared := self._shared(refused):
                return shared
            if token and token != refused and good_until > self._clock():
                self._keep(good_until, token)
                return token
            with self._cache.lock(self._key, ttl_s=LOCK_TTL_S, wait_s=LOCK_WAIT_S):
                return self._shared(refused) or self._fetch(refused)

    def fetch_anew(self) -> str:
        """A token of this very moment: its permissions are those that are granted now.  All
        processes go on with it.  Raises as ``bearer`` does.
        """
        with self._guard:
            return self._fetch(refused="any")

    def close(self) -> None:
        self._http.close()

    def _keep(self, good_until: float, token: str) -> None:
        """For a minute: another process may have fetched one with other permissions since."""
        self._kept = (min(good_until, self._clock() + KEPT_S), good_until, token)

    def _shared(self, refused: str) -> str:
        """What another process fetched; "" if there is none."""
        value = self._cache.get(self._key)
        if not value:
            return ""
        good_until, token = json.loads(value)
        if token == refused or good_until <= self._clock():
            return ""
        self._keep(good_until, token)
        return str(token)

    def _fetch(self, refused: str) -> str:
        answer = self._ask(bypass_cache=bool(refused))
        token = answer.get("access_token")
        if not token:
            raise _failure(answer)
        life_s = float(answer.get("expires_in", 0))
        early_s = min(EARLY_S + random.uniform(0, JITTER_S), life_s / 2)  # noqa: S311
        good_until = self._clock() + life_s - early_s
        self._keep(good_until, token)
        if life_s > early_s:
            self._cache.set(self._key, json.dumps([good_until, token]), ttl_s=life_s - early_s)
        return str(token)

    def _ask(self, *, bypass_cache: bool) -> dict[str, Any]:
        """msal's answer.  Its own cache would give back the token that was refused."""
        try:
            app = self._application()
            if bypass_cache:
                app.remove_tokens_for_client()
            answer = app.acquire_token_for_client(scopes=[self._scope])
        except (requests.RequestException, MsalError, RuntimeError, ValueError) as error:
            # No cause is kept: a requests exception holds the request and the secret in its body.
            raise untrusted(self._connection.authority_url, error) or Temporary(
                f"The token endpoint did not answer: {type(error).__name__}."
            ) from None
        return answer if isinstance(answer, dict) else {}

    def _application(self) -> msal.ConfidentialClientApplication:
        """Discovery happens here.  Raises ``AuthExpired`` if the authority refuses this tenant."""
        if self._app is not None:
            return self._app
        connection = self._connection
        credential: str | dict[str, str] = connection.client_secret or {
            "private_key": connection.private_key_pem,
            "public_certificate": connection.certificate_pem,
        }
        try:
            self._app = msal.ConfidentialClientApplication(
                connection.client_id,
                client_credential=credential,
                authority=f"{connection.authority_url.rstrip('/')}/{connection.cloud_tenant_id}",
                http_client=self._http,
                # The operator named the authority; nobody else is asked whether it is one.
                instance_discovery=False,
            )
        except ValueError:
            raise AuthExpired(
                "The authority does not know this tenant, or the key is not readable.",
                code="tenant_gone",
            ) from None
        return self._app


def _failure(answer: dict[str, Any]) -> AuthExpired | Temporary:
    """msal answers a dict with ``error`` instead of raising."""
    error = str(answer.get("error", "no token"))[:60]
    number = AADSTS.search(str(answer.get("error_description", "")))
    if error in ("temporarily_unavailable", "server_error", "no token"):
        return Temporary(f"The authority gave no token: {error}.")
    code = MEANING.get(number.group(1) if number else "", "refused")
    if code == "refused" and error in ("invalid_client", "unauthorized_client"):
        code = "bad_credentials" if error == "invalid_client" else "app_missing"
    return AuthExpired(
        f"The authority refused a token: {error} {number.group(0) if number else ''}".rstrip()
        + ".",
        code=code,
    )
