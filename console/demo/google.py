"""A company with Google Workspace in the sandbox that is no client: its onboarding can be tried.

The key of the service account that reads its mail stands in ``var/raviga-key.json``, as Google's
console would have given it; the one of the provider's account for account response beside it.
"""

from __future__ import annotations

import json
import os
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

from api_bridge.access.models import Purpose
from api_bridge.access.permissions import google_scopes
from console.demo import world
from console.demo.files import write_private

_PROJECT = "projects/raviga-mail"
TOPIC, SUBSCRIPTION = f"{_PROJECT}/topics/gmail", f"{_PROJECT}/subscriptions/bailey"


def set_up_google(sandbox: httpx.Client) -> None:
    """The company's tenant exists already.  Repeating it changes nothing."""
    key, response_key = kept_keys()
    company = world.GOOGLE_NEWCOMER
    delegations = [
        _delegation(key, google_scopes(Purpose.DETECT, Purpose.REMEDIATE)),
        _delegation(response_key, google_scopes(Purpose.RESPOND)),
    ]
    sandbox.put(
        f"/_sandbox/google/{company.cloud_id}",
        json={
            "customer_id": world.GOOGLE_CUSTOMER,
            "admin": f"{company.people[0][0]}@{company.domain}",
            "delegations": delegations,
        },
    ).raise_for_status()
    sandbox.put(
        "/_sandbox/pubsub",
        json={"topic": TOPIC, "subscription": SUBSCRIPTION, "owner": key["client_email"]},
    ).raise_for_status()


def kept_keys() -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the account that reads and moves mail, and of the one for account response."""
    token_uri = f"https://{os.environ['BAILEY_SANDBOX_HTTPS']}/token"
    return (
        _kept_key("raviga-key.json", "raviga-mail", "5a0d8c1e", "42", token_uri),
        _kept_key("response-key.json", "keep-response", "7e51d0c3", "43", token_uri),
    )


def _delegation(key: dict[str, Any], scopes: str) -> dict[str, Any]:
    private = serialization.load_pem_private_key(key["private_key"].encode(), password=None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "client_email": key["client_email"],
        "client_id": key["client_id"],
        "key_id": key["private_key_id"],
        "public_key_pem": public.decode(),
        "scopes": scopes.split(","),
    }


def _kept_key(file: str, project: str, key_id: str, ending: str, token_uri: str) -> dict[str, Any]:
    path = settings.VAR_DIR / file
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": key_id,
        "private_key": pem.decode(),
        "client_email": f"bailey@{project}.iam.gserviceaccount.example",
        "client_id": f"1048576000000000000{ending}",
        "token_uri": token_uri,
    }
    write_private(path, key)
    return key
