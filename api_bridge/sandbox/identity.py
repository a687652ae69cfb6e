"""The token endpoint as Microsoft's identity platform offers it to applications.

Client credentials with a secret or a signed assertion, the discovery documents that msal reads
first, and the errors by number.  Source: learn.microsoft.com/entra/identity-platform
(v2-oauth2-client-creds-grant-flow, certificate-credentials, reference-error-codes), read 2026-11.
"""

import base64
import datetime as dt
import hashlib
import hmac
import json
import sqlite3
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from api_bridge.sandbox import directory
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Request, Response, json_response

TOKEN_LIFE_S = 3599
GRAPH_AUDIENCE = "https://graph.microsoft.com"
PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHMS = ["RS256", "PS256"]


class TokenRefused(Exception):
    """An answer with an AADSTS number."""

    def __init__(self, number: int, error: str, status: int, text: str) -> None:
        super().__init__(text)
        self.number, self.error, self.status, self.text = number, error, status, text


class InvalidToken(Exception):
    """The access token is not one of ours, or has expired."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls Graph: one application in one tenant, with its granted roles."""

    tenant_id: str
    client_id: str
    roles: frozenset[str]


class Authority:
    def __init__(self, store: Store, key: rsa.RSAPrivateKey, https_base: str) -> None:
        self._store, self._key, self._https_base = store, key, https_base
        numbers = key.public_key().public_numbers()
        self._modulus = _b64(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big"))
        self._exponent = _b64(numbers.e.to_bytes(3, "big"))
        self._key_id = hashlib.sha256(self._modulus.encode()).hexdigest()[:27]

    async def serve(self, request: Request) -> Response | None:
        """None: the address is none of the identity platform's."""
        match [segment.lower() for segment in request.segments]:
            case ["common", "discovery", "instance"]:
                return self._instance(request)
            case [_, "discovery", "v2.0", "keys"]:
                return json_response({"keys": [self._public_key()]})
            case [tenant, "v2.0", ".well-known", "openid-configuration"]:
                return self._answer(request, lambda: self._configuration(request, tenant))
            case [tenant, "oauth2", "v2.0", "token"] if request.method == "POST":
                return self._answer(request, lambda: self._token(request, tenant))
        return None

    def issue(self, caller: Caller) -> str:
        """A signed access token for Graph."""
        now = int(time.time())
        claims = {
            "aud": GRAPH_AUDIENCE, "iss": f"https://sts.windows.net/{caller.tenant_id}/",
            "iat": now, "nbf": now, "exp": now + TOKEN_LIFE_S, "appid": caller.client_id,
            "idtyp": "app", "tid": caller.tenant_id, "roles": sorted(caller.roles),
            "uti": uuid.uuid4().hex, "ver": "1.0",
        }  # fmt: skip
        return jwt.encode(claims, self._key, "RS256", headers={"kid": self._key_id})

    def prove(self, tenant_id: str, client_id: str) -> str:
        """What Graph's publisher of changes shows an application that it tells of them."""
        now = int(time.time())
        issuer = f"https://sts.windows.net/{tenant_id}/"
        claims = {
            "aud": client_id, "iss": issuer, "idp": issuer, "iat": now, "nbf": now,
            "exp": now + TOKEN_LIFE_S, "appid": PUBLISHER, "appidacr": "2", "tid": tenant_id,
            "uti": uuid.uuid4().hex, "ver": "1.0",
        }  # fmt: skip
        return jwt.encode(claims, self._key, "RS256", headers={"kid": self._key_id})

    def check(self, token: str) -> Caller:
        """Raises InvalidToken."""
        try:
            claims = jwt.decode(
                token, self._key.public_key(), ["RS256"], audience=GRAPH_AUDIENCE,
                options={"require": ["exp", "tid", "appid"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise InvalidToken(str(error)) from error
        app = self._store.row(
            "SELECT 1 FROM app WHERE tenant_id = ? AND client_id = ?",
            claims["tid"], claims["appid"],
        )  # fmt: skip
        if app is None:
            raise InvalidToken("the application is gone")
        return Caller(claims["tid"], claims["appid"], frozenset(claims.get("roles", ())))

    def _answer(self, request: Request, make: Any) -> Response:
        try:
            return json_response(make(), cache_control="no-store")
        except TokenRefused as refusal:
            return _refusal(request, refusal)

    def _token(self, request: Request, tenant_name: str) -> dict[str, Any]:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != "client_credentials":
            raise TokenRefused(70003, "unsupported_grant_type", 400,
                               "The app requested an unsupported grant type "
                               f"'{form.get('grant_type', '')}'.")  # fmt: skip
        tenant = self._tenant(tenant_name)
        client_id = form.get("client_id", "").lower()
        app = self._store.row(
            "SELECT * FROM app WHERE tenant_id = ? AND client_id = ?", tenant["id"], client_id
        )
        if app is None:
            raise TokenRefused(700016, "unauthorized_client", 400,
                               f"Application with identifier '{client_id}' was not found in the "
                               f"directory '{tenant['display_name']}'.")  # fmt: skip
        self._check_credential(request, form, app, tenant_name)
        if not form.get("scope", "").endswith("/.default"):
            raise TokenRefused(1002012, "invalid_scope", 400,
                               f"The provided value for scope {form.get('scope', '')} is not "
                               "valid.")  # fmt: skip
        if not app["is_consented"]:
            raise TokenRefused(65001, "invalid_grant", 400,
                               "The user or administrator has not consented to use the "
                               f"application with ID '{client_id}'.")  # fmt: skip
        caller = Caller(tenant["id"], client_id, frozenset(json.loads(app["roles"])))
        return {"token_type": "Bearer", "expires_in": TOKEN_LIFE_S,
                "ext_expires_in": TOKEN_LIFE_S, "access_token": self.issue(caller)}  # fmt: skip

    def _tenant(self, name: str) -> sqlite3.Row:
        if name in ("common", "organizations", "consumers"):
            raise TokenRefused(53003, "invalid_request", 400,
                               "Client credentials need a tenant of their own.")  # fmt: skip
        tenant = directory.tenant_for(self._store, name)
        if tenant is None:
            raise TokenRefused(90002, "invalid_request", 400,
                               f"Tenant '{name}' not found. Check to make sure you have the "
                               "correct tenant ID.")  # fmt: skip
        return tenant

    def _check_credential(
        self, request: Request, form: dict[str, str], app: sqlite3.Row, tenant_name: str
    ) -> None:
        if form.get("client_assertion_type") == ASSERTION_TYPE:
            self._check_assertion(request, form.get("client_assertion", ""), app, tenant_name)
            return
        application = directory.application_of(self._store, app["client_id"])
        if application is not None and application["has_expired"]:
            raise TokenRefused(7000222, "invalid_client", 401,
                               "The provided client secret keys for app "
                               f"'{app['client_id']}' are expired.")  # fmt: skip
        secret, wanted = form.get("client_secret"), app["secret"]
        if application is not None:
            wanted = wanted or application["secret"]
        if secret is None:
            raise TokenRefused(7000216, "invalid_client", 401,
                               "'client_assertion' or 'client_secret' is required.")  # fmt: skip
        if not wanted or not hmac.compare_digest(secret.encode(), wanted.encode()):
            raise TokenRefused(7000215, "invalid_client", 401,
                               "Invalid client secret provided. Ensure the secret being sent in "
                               "the request is the client secret value, not the client secret "
                               f"ID, for a secret added to app '{app['client_id']}'.")  # fmt: skip

    def _check_assertion(
        self, request: Request, assertion: str, app: sqlite3.Row, tenant_name: str
    ) -> None:
        refused = TokenRefused(
            700027, "invalid_client", 401,
            "The certificate with identifier used to sign the client assertion is not "
            "registered on application, or the assertion does not verify.",
        )  # fmt: skip
        hosts = {urlsplit(request.base_url).netloc, urlsplit(self._https_base).netloc}
        audiences = [
            f"https://{host}/{tenant}{path}"
            for host in hosts
            for tenant in (tenant_name, app["tenant_id"])
            for path in ("/oauth2/v2.0/token", "/v2.0")
        ]
        application = directory.application_of(self._store, app["client_id"])
        kept = application["certificate_pem"] if application is not None else ""
        pem = (app["certificate_pem"] or kept or "").encode()
        # Several certificates: the old and the new one while keys are rotated.
        for certificate in x509.load_pem_x509_certificates(pem) if pem else ():
            key = certificate.public_key()
            if not isinstance(key, rsa.RSAPublicKey):
                continue
            try:
                claims = jwt.decode(assertion, key, ASSERTION_ALGORITHMS, audience=audiences,
                                    options={"require": ["exp", "iss", "sub", "aud"]})  # fmt: skip
            except jwt.PyJWTError:
                continue
            if claims["iss"].lower() == claims["sub"].lower() == app["client_id"]:
                return
        raise refused

    def _configuration(self, request: Request, tenant_name: str) -> dict[str, Any]:
        tenant = self._tenant(tenant_name)["id"]
        base = self._secure_base(request)
        return {
            "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": [
                "client_secret_post", "private_key_jwt", "client_secret_basic",
            ],
            "jwks_uri": f"{base}/{tenant}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{base}/{tenant}/v2.0",
            "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
            "tenant_region_scope": "EU",
            "cloud_instance_name": urlsplit(base).hostname,
            "msgraph_host": urlsplit(base).netloc,
        }  # fmt: skip

    def _instance(self, request: Request) -> Response:
        base = self._secure_base(request)
        host = urlsplit(base).netloc
        return json_response({
            "tenant_discovery_endpoint": f"{base}/common/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        })  # fmt: skip

    def _public_key(self) -> dict[str, str]:
        return {"kty": "RSA", "use": "sig", "kid": self._key_id, "x5t": self._key_id,
                "n": self._modulus, "e": self._exponent}  # fmt: skip

    def _secure_base(self, request: Request) -> str:
        # msal refuses a token endpoint without TLS, however it came to the discovery document.
        is_secure = request.base_url.startswith("https:")
        return request.base_url if is_secure else self._https_base


def _refusal(request: Request, refusal: TokenRefused) -> Response:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    trace, correlation = str(uuid.uuid4()), request.headers.get("client-request-id", "")
    correlation = correlation or str(uuid.uuid4())
    content: dict[str, Any] = {
        "error": refusal.error,
        "error_description": f"AADSTS{refusal.number}: {refusal.text} Trace ID: {trace} "
        f"Correlation ID: {correlation} Timestamp: {now}",
        "error_codes": [refusal.number],
        "timestamp": now,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={refusal.number}",
    }
    if refusal.number == 65001:
        content["suberror"] = "consent_required"
    return json_response(content, refusal.status, x_ms_request_id=trace)


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
