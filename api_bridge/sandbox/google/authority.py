"""The token endpoint as Google offers it to service accounts with domain-wide delegation.

Source: developers.google.com/identity/protocols/oauth2/service-account, read 2026-11.  All scopes
of a request are granted or none; ``sub`` names the person on whose behalf calls are made.
"""

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from api_bridge.sandbox import directory
from api_bridge.sandbox.directory import BadDirectory
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Request, Response, json_response

TOKEN_LIFE_S = 3599
LONGEST_ASSERTION_S = 3600
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_HEAD = "ya29."  # noqa: S105 - how every token of Google begins
AUDIENCE = "https://www.googleapis.com/sandbox"
SCOPE_HEAD = "https://www.googleapis.com/auth/"
SCOPES = frozenset(
    {"https://mail.google.com/", "openid", "email"}
    | {
        f"{SCOPE_HEAD}{name}"
        for name in (
            "gmail.metadata", "gmail.readonly", "gmail.modify", "gmail.insert",
            "gmail.settings.basic", "gmail.settings.sharing", "admin.directory.user.readonly",
            "admin.directory.user", "admin.directory.user.security",
            "admin.directory.group", "admin.directory.group.readonly",
            "admin.reports.audit.readonly", "apps.alerts", "pubsub", "cloud-platform",
        )
    }
)  # fmt: skip
# Needs no person and no delegation: the service account's own.
OWN_SCOPES = frozenset({f"{SCOPE_HEAD}pubsub", f"{SCOPE_HEAD}cloud-platform"})


class Refused(Exception):
    def __init__(self, error: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.error, self.text, self.status = error, text, status


class InvalidToken(Exception):
    """The access token is not one of ours, or has expired."""


@dataclass(frozen=True, slots=True)
class GoogleCaller:
    """A service account, and for whom it calls; ``subject`` and ``tenant_id`` "": for itself."""

    client_email: str
    subject: str
    tenant_id: str
    scopes: frozenset[str]


class GoogleAuthority:
    def __init__(self, store: Store, key: rsa.RSAPrivateKey, https_base: str) -> None:
        self._store, self._key = store, key
        self._audiences = ["https://oauth2.googleapis.com/token", f"{https_base}/token"]

    async def serve(self, request: Request) -> Response | None:
        """None: the address is not the token endpoint's."""
        if request.segments != ["token"] or request.method != "POST":
            return None
        try:
            return json_response(self._token(request), cache_control="no-store")
        except Refused as refusal:
            said = {"error": refusal.error, "error_description": refusal.text}
            return json_response(said, refusal.status)

    def check(self, token: str) -> GoogleCaller:
        """Raises InvalidToken."""
        try:
            claims = jwt.decode(
                token.removeprefix(TOKEN_HEAD), self._key.public_key(), ["RS256"],
                audience=AUDIENCE, options={"require": ["exp"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise InvalidToken(str(error)) from error
        if self._account(claims["iss"]) is None:
            raise InvalidToken("the service account is gone")
        return GoogleCaller(
            claims["iss"], claims["person"], claims["tenant"], frozenset(claims["scopes"])
        )

    def _account(self, client_email: str) -> sqlite3.Row | None:
        return self._store.row("SELECT * FROM service_account WHERE client_email = ?", client_email)

    def _token(self, request: Request) -> dict[str, Any]:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != GRANT:
            raise Refused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}")
        claims = self._assertion(form.get("assertion", ""), request.base_url)
        scopes = frozenset(str(claims.get("scope", "")).split())
        if not scopes or not scopes <= SCOPES:
            raise Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        subject = str(claims.get("sub") or "")
        is_own = subject in ("", claims["iss"])
        tenant_id = "" if is_own else self._delegated(claims["iss"], subject, scopes)
        if is_own and not scopes <= OWN_SCOPES:
            subject = tenant_id = ""
        now = int(time.time())
        made = jwt.encode(
            {"iss": claims["iss"], "aud": AUDIENCE, "exp": now + TOKEN_LIFE_S, "iat": now,
             "person": "" if is_own else subject, "tenant": tenant_id, "scopes": sorted(scopes)},
            self._key, "RS256",
        )  # fmt: skip
        return {"access_token": TOKEN_HEAD + made, "expires_in": TOKEN_LIFE_S,
                "token_type": "Bearer"}  # fmt: skip

    def _assertion(self, assertion: str, base_url: str) -> dict[str, Any]:
        try:
            unchecked = jwt.decode(assertion, options={"verify_signature": False})
            account = self._account(str(unchecked.get("iss", "")))
        except jwt.PyJWTError as error:
            raise Refused("invalid_grant", "Bad Request") from error
        if account is None:
            raise Refused("invalid_grant", "Invalid grant: account not found")
        try:
            claims: dict[str, Any] = jwt.decode(
                assertion, account["public_key_pem"], ["RS256"],
                audience=[*self._audiences, f"{base_url}/token"],
                options={"require": ["exp", "iat", "iss", "aud"]},
            )  # fmt: skip
        except jwt.InvalidSignatureError as error:
            raise Refused("invalid_grant", "Invalid JWT Signature.") from error
        except jwt.PyJWTError as error:
            raise Refused("invalid_grant", f"Invalid JWT: {error}") from error
        if claims["exp"] - claims["iat"] > LONGEST_ASSERTION_S:
            raise Refused(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim.",
            )
        return claims

    def _delegated(self, client_email: str, subject: str, scopes: frozenset[str]) -> str:
        """The tenant of the person, if its administrator delegated all of these scopes."""
        user = self._store.row(
            "SELECT user.* FROM user JOIN address ON address.mailbox = user.number "
            "WHERE address.address = ?",
            subject,
        )
        if user is None or not user["is_enabled"]:
            raise Refused("invalid_grant", "Invalid email or User ID")
        granted = self._store.value(
            "SELECT scopes FROM delegation WHERE tenant_id = ? AND client_email = ?",
            user["tenant_id"], client_email,
        )  # fmt: skip
        if granted is None or not scopes <= set(json.loads(granted)):
            raise Refused(
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, or client "
                "not authorized for any of the scopes requested.",
                401,
            )
        return str(user["tenant_id"])


def put_google(store: Store, tenant_id: str, wanted: Mapping[str, Any]) -> None:
    """Make a tenant a Google customer: ``customer_id``, ``admin`` (address), ``delegations`` (each
    ``client_email``, ``client_id``, ``key_id``, ``public_key_pem``, ``scopes``).

    Delegations that are not named are taken back.  Raises BadDirectory.
    """
    tenant = directory.tenant_for(store, tenant_id)
    if tenant is None:
        raise BadDirectory(f"there is no tenant {tenant_id!r}")
    delegations = wanted.get("delegations", [])
    try:
        with store.transaction():
            store.execute(
                "INSERT INTO google_customer VALUES (?, ?, ?) ON CONFLICT (tenant_id) DO UPDATE "
                "SET customer_id = excluded.customer_id, admin = excluded.admin",
                tenant["id"], str(wanted["customer_id"]), str(wanted["admin"]),
            )  # fmt: skip
            store.execute("DELETE FROM delegation WHERE tenant_id = ?", tenant["id"])
            for each in delegations:
                store.execute(
                    "INSERT OR IGNORE INTO service_account VALUES (?, ?, ?, ?)",
                    each["client_email"], each["client_id"], each["key_id"],
                    each["public_key_pem"],
                )  # fmt: skip
                scopes = [str(scope) for scope in each["scopes"]]
                store.execute(
                    "INSERT INTO delegation VALUES (?, ?, ?)",
                    tenant["id"], each["client_email"], json.dumps(scopes),
                )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise BadDirectory(f"a Google customer lacks {error}") from error
    except sqlite3.IntegrityError as error:
        raise BadDirectory(f"the customer id belongs to another: {error}") from error
