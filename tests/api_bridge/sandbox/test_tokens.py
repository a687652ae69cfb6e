"""The token endpoint, with msal as the judge."""

import datetime as dt
import ssl
from typing import Any

import httpx
import msal
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.api_bridge.sandbox.running import Company, SandboxProcess

SCOPE = ["https://graph.microsoft.com/.default"]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    # requests prefers these over msal's verify=.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def key_and_certificate() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def acquire(company: Company, credential: Any, client_id: str = "") -> dict[str, Any]:
    app = msal.ConfidentialClientApplication(
        client_id or company.client_id,
        client_credential=credential,
        authority=f"{company.cloud.https}/{company.tenant_id}",
        instance_discovery=False,
        verify=str(company.cloud.ca),
    )
    try:
        answer: dict[str, Any] = app.acquire_token_for_client(SCOPE)
    finally:
        app.http_client.close()
    return answer


def test_msal_gets_a_token_with_a_secret_that_graph_takes_over_tls(company: Company):
    token = acquire(company, company.secret)["access_token"]
    response = httpx.get(
        f"{company.cloud.https}/v1.0/organization",
        headers={"authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cafile=company.cloud.ca),
    )
    assert response.json()["value"][0]["id"] == company.tenant_id


def test_msal_gets_a_token_with_a_certificate_and_not_with_another(cloud: SandboxProcess):
    key, certificate = key_and_certificate()
    other_key, other_certificate = key_and_certificate()
    company = Company(cloud, apps=[{"client_id": "cert-app", "certificate_pem": certificate}])
    good = {"private_key": key, "public_certificate": certificate}
    assert "access_token" in acquire(company, good, "cert-app")
    bad = {"private_key": other_key, "public_certificate": other_certificate}
    assert acquire(company, bad, "cert-app")["error_codes"] == [700027]


@pytest.mark.parametrize(
    ("secret", "client_id", "error", "number"),
    [
        ("wrong", "", "invalid_client", 7000215),
        ("correct horse", "unknown-app", "unauthorized_client", 700016),
        ("s", "not-consented", "invalid_grant", 65001),
    ],
)
def test_refusals_carry_microsofts_numbers(
    cloud: SandboxProcess, secret: str, client_id: str, error: str, number: int
):
    company = Company(
        cloud, apps=[{"client_id": "not-consented", "secret": "s", "consented": False}]
    )
    answer = acquire(company, secret, client_id)
    assert (answer["error"], answer["error_codes"]) == (error, [number])
    assert answer["error_description"].startswith(f"AADSTS{number}: ")


def test_a_tenant_that_is_not_there_is_refused_with_90002(company: Company):
    url = f"{company.cloud.http}/00000000-0000-0000-0000-000000000000/oauth2/v2.0/token"
    answer = httpx.post(url, data={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [90002])


def test_discovery_names_a_token_endpoint_with_tls_even_when_asked_without(company: Company):
    path = f"{company.tenant_id}/v2.0/.well-known/openid-configuration"
    found = httpx.get(f"{company.cloud.http}/{path}").json()
    assert found["token_endpoint"] == f"{company.cloud.https}/{company.tenant_id}/oauth2/v2.0/token"
    instance = httpx.get(f"{company.cloud.http}/common/discovery/instance").json()
    assert instance["metadata"][0]["aliases"] == [company.cloud.addresses["https"]]


def test_a_token_opens_its_own_tenant_only(company: Company, other: Company):
    other.receive("ana")
    listed = {user["mail"] for user in company.get("users")["value"]}
    assert listed == {company.mail(name) for name in company.names}
    for name in (other.mail("ana"), other.ids["ana"]):
        error = company.get(f"users/{name}/messages", 404)["error"]
        assert error["code"] == "Request_ResourceNotFound"
    foreign = other.mails("ana")[0]
    own_path = f"users/{company.mail('ana')}/messages/{foreign['id']}"
    assert company.graph.get(own_path).status_code in (400, 404)
    folder = foreign["parentFolderId"]
    own_folder = f"users/{company.mail('ana')}/mailFolders/{folder}/messages"
    assert company.graph.get(own_folder).status_code == 404


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic abc"])
def test_without_a_good_token_graph_answers_401(company: Company, header: str):
    response = httpx.get(f"{company.cloud.http}/v1.0/users", headers={"authorization": header})
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "InvalidAuthenticationToken"
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_an_application_without_the_role_gets_403(cloud: SandboxProcess):
    apps = [{"client_id": "reader", "secret": "s", "roles": ["Mail.ReadBasic.All"]}]
    company = Company(cloud, apps=apps)
    company.receive("ana")
    token = company.token(client_id="reader", client_secret="s").json()["access_token"]
    with httpx.Client(
        base_url=f"{cloud.http}/v1.0/", headers={"authorization": f"Bearer {token}"}
    ) as graph:
        mail = graph.get(f"users/{company.mail('ana')}/messages").json()["value"][0]
        assert "body" not in mail
        assert "bodyPreview" not in mail
        path = f"users/{company.mail('ana')}/messages/{mail['id']}"
        answers = [
            graph.get("users"),
            graph.get(f"{path}/$value"),
            graph.get(path, params={"$select": "body"}),
            graph.post(f"{path}/move", json={"destinationId": "junkemail"}),
        ]
    codes = [(answer.status_code, answer.json()["error"]["code"]) for answer in answers]
    assert codes == [(403, "Authorization_RequestDenied")] + [(403, "ErrorAccessDenied")] * 3
