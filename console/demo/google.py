"""A company with Google Workspace in the sandbox that is no client: its onboarding can be tried.

The key of its service account stands in ``var/raviga-key.json``, as Google's console would have
given it.
"""

from __future__ import annotations

import json
import os
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

from api_bridge.access.permissions import GOOGLE_SCOPES
from console.demo import world
from console.demo.files import write_private

_PROJECT = "projects/raviga-mail"
TOPIC, SUBSCRIPTION = f"{_PROJECT}/topics/gmail", f"{_PROJECT}/subscriptions/bailey"


def set_up_google(sandbox: httpx.Client) -> None:
    """The company's tenant exists already.  Repeating it changes nothing."""
    key = _kept_key(f"https://{os.environ['BAILEY_SANDBOX_HTTPS']}/token")
    private = serialization.load_pem_private_key(key["private_key"].encode(), password=None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    company = world.GOOGLE_NEWCOMER
    delegation = {
        "client_email": key["client_email"],
        "client_id": key["client_id"],
        "key_id": key["private_key_id"],
        "public_key_pem": public.decode(),
        "scopes": GOOGLE_SCOPES.split(","),
    }
    sandbox.put(
        f"/_sandbox/google/{company.cloud_id}",
        json={
            "customer_id": world.GOOGLE_CUSTOMER,
            "admin": f"{company.people[0][0]}@{company.domain}",
            "delegations": [delegation],
        },
    ).raise_for_status()
    sandbox.put(
        "/_sandbox/pubsub",
        json={"topic": TOPIC, "subscription": SUBSCRIPTION, "owner": key["client_email"]},
    ).raise_for_status()


def _kept_key(token_uri: str) -> dict[str, Any]:
    path = settings.VAR_DIR / "raviga-key.json"
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
        "project_id": "raviga-mail",
        "private_key_id": "5a0d8c1e",
        "private_key": pem.decode(),
        "client_email": "bailey@raviga-mail.iam.gserviceaccount.example",
        "client_id": "104857600000000000042",
        "token_uri": token_uri,
    }
    write_private(path, key)
    return key
