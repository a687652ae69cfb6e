"""Notifications with resource data: sealed as Graph seals them, opened here by other code than
Bailey's own.
"""

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.api_bridge.sandbox.receiver import Receiver, receiving
from tests.api_bridge.sandbox.running import Company

SELECTED = "id,subject,isRead,parentFolderId"
IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}


def certificate_of(key: Any) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "us")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()


@dataclass
class Ours:
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def certificate(self) -> str:
        return certificate_of(self.key)

    def open(self, content: dict[str, str]) -> Any:
        wrapped, data = (base64.b64decode(content[name]) for name in ("dataKey", "data"))
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
        once = self.key.decrypt(wrapped, oaep)
        signature = hmac.new(once, data, hashlib.sha256).digest()
        assert base64.b64encode(signature).decode() == content["dataSignature"]
        cipher = Cipher(algorithms.AES(once), modes.CBC(once[:16])).decryptor()
        padded = cipher.update(data) + cipher.finalize()
        return json.loads(padded[: -padded[-1]])


OURS = Ours()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def wanted(company: Company, receiver: Receiver, **changes: Any) -> dict[str, Any]:
    end = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    return {
        "changeType": "created", "notificationUrl": receiver.url, "clientState": "a secret",
        "resource": f"/users/{company.ids['ana']}/messages?$select={SELECTED}",
        "expirationDateTime": end.isoformat(), "includeResourceData": True,
        "encryptionCertificate": OURS.certificate, "encryptionCertificateId": "first",
    } | changes  # fmt: skip


def test_what_is_selected_comes_sealed_with_a_proof(company: Company, receiver: Receiver):
    made = company.post("subscriptions", wanted(company, receiver), headers=IMMUTABLE)
    assert (made["includeResourceData"], made["encryptionCertificateId"]) == (True, "first")
    company.receive("ana", subject="Geheim")
    (told,) = receiver.next()
    content = told["encryptedContent"]
    assert content["encryptionCertificateId"] == "first"
    mail = company.mails("ana", headers=IMMUTABLE)[0]
    opened = OURS.open(content)
    assert {name: opened[name] for name in ("id", "subject", "isRead", "parentFolderId")} == {
        "id": mail["id"], "subject": "Geheim", "isRead": False,
        "parentFolderId": mail["parentFolderId"],
    }  # fmt: skip
    assert "Geheim" not in json.dumps(told)
    (token,) = receiver.proofs
    keys = company.cloud.client.get(f"{company.cloud.http}/common/discovery/v2.0/keys").json()
    key = jwt.PyJWK(keys["keys"][0], algorithm="RS256").key
    claims = jwt.decode(token, key, ["RS256"], audience=company.client_id)
    assert claims["iss"] == f"https://sts.windows.net/{company.tenant_id}/"
    assert claims["appid"] == "0bf30f3b-4a52-48df-9a82-234910c4a086"


def test_a_renewal_may_bring_another_certificate(company: Company, receiver: Receiver):
    made = company.post("subscriptions", wanted(company, receiver), headers=IMMUTABLE)
    other = Ours()
    end = dt.datetime.now(dt.UTC) + dt.timedelta(hours=20)
    body = {"expirationDateTime": end.isoformat(), "encryptionCertificate": other.certificate,
            "encryptionCertificateId": "second"}  # fmt: skip
    changed = company.graph.patch(f"subscriptions/{made['id']}", json=body).json()
    assert changed["encryptionCertificateId"] == "second"
    company.receive("ana", subject="Later")
    content = receiver.next()[0]["encryptedContent"]
    assert (content["encryptionCertificateId"], other.open(content)["subject"]) == (
        "second", "Later",
    )  # fmt: skip


def small() -> str:
    return certificate_of(rsa.generate_private_key(65537, 1024))


@pytest.mark.parametrize(
    "changes",
    [
        {"resource": "/users/{user}/messages"},
        {"resource": "/users/{user}/messages?$select=id,body"},
        {"resource": "/users/{user}/messages?$select=id&$top=5"},
        {"resource": "/users/{user}/messages?$select=colour"},
        {"encryptionCertificate": None},
        {"encryptionCertificate": "bm9uZQ=="},
        {"encryptionCertificate": small},
        {"encryptionCertificate": lambda: certificate_of(ec.generate_private_key(ec.SECP256R1()))},
        {"encryptionCertificateId": "x" * 129},
        {"expirationDateTime": (dt.datetime.now(dt.UTC) + dt.timedelta(days=2)).isoformat()},
    ],
    ids=range(10),
)
def test_what_graph_refuses_is_refused(
    company: Company, receiver: Receiver, changes: dict[str, Any]
):
    made = {name: value() if callable(value) else value for name, value in changes.items()}
    body = wanted(company, receiver) | made
    body["resource"] = body["resource"].replace("{user}", company.ids["ana"])
    assert company.graph.post("subscriptions", json=body).status_code == 400
