"""Every kind of answer against Microsoft's own metadata, with misspelt properties refused."""

import datetime as dt
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from jsonschema import ValidationError
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from openapi_schema_validator import OAS30Validator

from api_bridge.connectors.graph.nightly import SUMMARY_FIELDS, _list_path
from tests.api_bridge.sandbox.receiver import receiving
from tests.api_bridge.sandbox.running import Company
from tests.api_bridge.sandbox.test_messages import HTML
from tests.api_bridge.sandbox.test_sealing import OURS, SELECTED

pytestmark = pytest.mark.shared
IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}


@pytest.fixture(scope="module")
def raw(shared_dir: Path) -> dict[str, Any]:
    path = shared_dir / "contracts" / "graph" / "graph-v1.0-cut-strict.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture(scope="module")
def specification(raw: dict[str, Any]) -> OpenAPI:
    # The cut comes from metadata that is known to be good; checking it again takes half a minute.
    config = Config(spec_validator_cls=None)
    return OpenAPI.from_dict(raw, config=config)


class Judge:
    """Calls Graph and has every answer judged.  ``seen``: method and kind of each."""

    def __init__(self, company: Company, specification: OpenAPI, raw: dict[str, Any]) -> None:
        self._company, self._specification, self._raw = company, specification, raw

    def __call__(self, method: str, path: str, status: int, **options: Any) -> Any:
        response = self._company.graph.request(method, path, **options)
        assert response.status_code == status, response.text
        self._validate(response)
        kind = response.headers.get("content-type", "")
        return response.json() if kind.startswith("application/json") else response.content

    def _validate(self, response: httpx.Response) -> None:
        request = self._asked(response.request)
        kind = response.headers.get("content-type", "application/json").split(";")[0]
        self._specification.validate_response(
            request, MockResponse(response.content, response.status_code, content_type=kind)
        )

    def _asked(self, sent: httpx.Request) -> MockRequest:
        parts = urlsplit(str(sent.url))
        return MockRequest(
            "https://graph.microsoft.com", sent.method.lower(), parts.path,
            args=dict(parse_qsl(parts.query)), data=sent.content or None,
            content_type=sent.headers.get("content-type", "application/json"),
        )  # fmt: skip

    def both(self, method: str, path: str, status: int, **options: Any) -> Any:
        """What is asked is judged as well."""
        sent = self._company.graph.build_request(method, path, **options)
        self._specification.validate_request(self._asked(sent))
        return self(method, path, status, **options)

    def notification(self, told: dict[str, Any]) -> None:
        """What a subscriber is told is no answer of Graph's: judged by its schema alone."""
        schemas = self._raw["components"]["schemas"]
        name = "microsoft.graph.changeNotificationCollection"
        whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        OAS30Validator(whole).validate(told)


@pytest.fixture
def judge(company: Company, specification: OpenAPI, raw: dict[str, Any]) -> Judge:
    return Judge(company, specification, raw)


@pytest.fixture
def mail(company: Company) -> str:
    company.receive("ana", raw=HTML)
    found = company.mails("ana", headers=IMMUTABLE)[0]
    return f"users/{company.mail('ana')}/messages/{found['id']}"


def test_a_misspelt_property_would_be_found(company: Company, specification: OpenAPI):
    request = MockRequest("https://graph.microsoft.com", "get", "/v1.0/users")
    body = json.dumps({"value": [{"id": "1", "displayname": "x"}]}).encode()
    response = MockResponse(body, 200, content_type="application/json")
    with pytest.raises(Exception, match=r"[Ii]nvalid"):
        specification.validate_response(request, response)


def test_directory_and_settings(judge: Judge, company: Company):
    judge("GET", "organization", 200)
    judge("GET", f"organization/{company.tenant_id}", 200)
    page = judge("GET", "users", 200, params={"$top": "2"})
    judge("GET", page["@odata.nextLink"], 200)
    fields = ("id,userPrincipalName,mail,displayName,accountEnabled,userType,proxyAddresses,"
              "assignedLicenses,createdDateTime,otherMails,mailNickname")  # fmt: skip
    judge("GET", "users", 200, params={"$select": fields, "$filter": "accountEnabled eq true"})
    judge("GET", f"users/{company.ids['ana']}", 200)
    judge("GET", f"users/{company.ids['ana']}/mailboxSettings", 200)
    rule = {"displayName": "Hide", "conditions": {"subjectContains": ["x"]},
            "actions": {"markAsRead": True}}  # fmt: skip
    company.cloud.admin("PUT", f"mailboxes/{company.mail('ana')}/rules", {"rules": [rule]})
    judge("GET", f"users/{company.mail('ana')}/mailFolders/inbox/messageRules", 200)


def test_folders(judge: Judge, company: Company):
    base = f"users/{company.mail('ana')}/mailFolders"
    judge("GET", base, 200)
    made = judge("POST", base, 201, json={"displayName": "Q", "isHidden": True})
    judge("GET", base, 200, params={"includeHiddenFolders": "true", "$top": "2"})
    judge("GET", f"{base}/{made['id']}", 200, params={"$select": "id,displayName"})
    judge("POST", f"{base}/{made['id']}/childFolders", 201, json={"displayName": "R"})
    judge("GET", f"{base}/{made['id']}/childFolders", 200)
    judge("PATCH", f"{base}/{made['id']}", 200, json={"displayName": "S"})
    judge("DELETE", f"{base}/{made['id']}", 204)
    judge("POST", base, 409, json={"displayName": "inbox"})


def test_messages(judge: Judge, company: Company, mail: str):
    base = f"users/{company.mail('ana')}/messages"
    judge("GET", base, 200, params={"$count": "true"})
    judge("GET", base, 200, headers=IMMUTABLE, params={
        "$select": "id,subject,body,uniqueBody,internetMessageHeaders,hasAttachments",
        "$filter": "receivedDateTime ge 2020-01-01T00:00:00Z", "$orderby": "receivedDateTime",
    })  # fmt: skip
    judge("GET", f"users/{company.mail('ana')}/mailFolders/inbox/messages", 200)
    judge("GET", mail, 200)
    judge("GET", mail, 200, params={"$expand": "attachments"})
    judge("GET", f"{mail}/$value", 200)
    files = judge("GET", f"{mail}/attachments", 200)["value"]
    for file in files:
        judge("GET", f"{mail}/attachments/{file['id']}", 200)
        judge("GET", f"{mail}/attachments/{file['id']}/$value", 200)


def test_actions(judge: Judge, company: Company, mail: str):
    judge("PATCH", mail, 200, json={"isRead": True, "categories": ["Red"], "importance": "low"})
    judge("POST", f"{mail}/copy", 201, json={"destinationId": "archive"})
    judge("POST", f"{mail}/move", 201, json={"DestinationId": "junkemail"})
    message_id = mail.rpartition("/")[2]
    judge("POST", f"users/{company.mail('ana')}/translateExchangeIds", 200, json={
        "InputIds": [message_id], "TargetIdType": "restId", "SourceIdType": "restImmutableEntryId",
    })  # fmt: skip
    judge("DELETE", mail, 204)
    judge("POST", f"{mail}/permanentDelete", 204)
    judge("POST", f"users/{company.mail('ana')}/mailFolders/inbox/messages", 201,
          content=b"U3ViamVjdDogeA0KDQp5", headers={"content-type": "text/plain"})  # fmt: skip


def test_delta(judge: Judge, company: Company, mail: str):
    base = f"users/{company.mail('ana')}/mailFolders/inbox/messages/delta"
    company.receive("ana")
    page = judge("GET", base, 200, headers=IMMUTABLE | {"prefer": "odata.maxpagesize=1"})
    while "@odata.nextLink" in page:
        page = judge("GET", page["@odata.nextLink"], 200)
    company.post(f"{mail}/move", {"destinationId": "junkemail"})
    page = judge("GET", page["@odata.deltaLink"], 200)
    assert "@removed" in page["value"][0]
    company.cloud.admin("POST", "faults", {"kind": "expired_delta"}, 201)
    judge("GET", page["@odata.deltaLink"], 410)


def test_the_nightly_readings_requests_and_answers(judge: Judge, company: Company, mail: str):
    """Just as the connector sends them, a mail with an old date among the answers."""
    user = company.ids["ana"]
    inbox = company.get(f"users/{user}/mailFolders/inbox")["id"]
    company.post(f"users/{user}/mailFolders/{inbox}/childFolders", {"displayName": "Deep"})
    for target in (_list_path(user), _list_path(user, inbox)):
        found = judge.both("GET", target.lstrip("/"), 200)["value"]
        assert all(each["parentFolderId"] for each in found)
    company.cloud.admin("POST", f"mailboxes/{company.mail('ana')}/import", {
        "received_at": "2020-02-29T10:00:00Z", "raw_base64": "U3ViamVjdDogeA0KDQp5",
    }, 204)  # fmt: skip
    base = f"users/{user}/mailFolders/{inbox}/messages/delta?$select={SUMMARY_FIELDS}"
    page = judge.both("GET", base, 200, headers=IMMUTABLE)
    assert "2020-02-29T10:00:00Z" in {each["receivedDateTime"] for each in page["value"]}
    judge("GET", page["@odata.deltaLink"], 200)
    for wrong in ({"received_at": "x", "raw_base64": "eA=="}, {"received_at": "2020-02-29"}):
        company.cloud.admin("POST", f"mailboxes/{company.mail('ana')}/import", wrong, 400)


def test_subscriptions(judge: Judge, company: Company):
    end = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
    with receiving() as receiver:
        made = judge("POST", "subscriptions", 201, json={
            "changeType": "created", "notificationUrl": receiver.url, "expirationDateTime": end,
            "lifecycleNotificationUrl": receiver.url, "clientState": "s",
            "resource": f"/users/{company.ids['ana']}/messages",
        })  # fmt: skip
        path = f"subscriptions/{made['id']}"
        judge("GET", "subscriptions", 200)
        judge("GET", path, 200)
        judge("PATCH", path, 200, json={"expirationDateTime": end})
        judge("POST", f"{path}/reauthorize", 204)
        judge("DELETE", path, 204)


def test_subscriptions_with_resource_data_and_what_they_tell(judge: Judge, company: Company):
    end = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
    sealing = {"encryptionCertificate": OURS.certificate, "encryptionCertificateId": "first"}
    with receiving() as receiver:
        made = judge.both("POST", "subscriptions", 201, json={
            "changeType": "created", "notificationUrl": receiver.url, "expirationDateTime": end,
            "lifecycleNotificationUrl": receiver.url, "clientState": "s",
            "resource": f"/users/{company.ids['ana']}/messages?$select={SELECTED}",
            "includeResourceData": True, **sealing,
        })  # fmt: skip
        path = f"subscriptions/{made['id']}"
        judge.both("PATCH", path, 200, json={"expirationDateTime": end, **sealing})
        company.receive("ana")
        told = receiver.next()
        judge.notification({"value": told, "validationTokens": receiver.proofs})
        order = {"event": "missed", "subscription_id": made["id"]}
        company.cloud.admin("POST", "lifecycle", order)
        judge.notification({"value": receiver.next()})
        with pytest.raises(ValidationError):
            judge.notification({"value": [{**told[0], "encryptedcontent": {}}]})


def test_message_traces(judge: Judge, company: Company):
    for name in ("ana", "bo"):
        company.receive(name)
    path = "admin/exchange/tracing/messageTraces"
    until, since = (
        (dt.datetime.now(dt.UTC) - dt.timedelta(hours=h)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for h in (0, 9)
    )
    bounds = f"receivedDateTime ge {since} and receivedDateTime le {until}"
    page = judge.both("GET", path, 200, params={"$filter": bounds, "$top": "1"})
    judge("GET", page["@odata.nextLink"], 200)
    judge("GET", path, 400, params={"$filter": f"receivedDateTime ge {since}"})


def test_delegated_admin_relationships(judge: Judge, company: Company):
    wanted = {"customer_id": company.tenant_id, "display_name": "With ourselves", "roles": ["r"]}
    path = f"tenants/{company.tenant_id}/relationships"
    company.cloud.admin("PUT", path, {"relationships": [wanted]})
    listed = judge("GET", "tenantRelationships/delegatedAdminRelationships", 200)
    assert listed["value"][0]["accessDetails"]["unifiedRoles"] == [{"roleDefinitionId": "r"}]


def test_accounts(judge: Judge, company: Company):
    user = f"users/{company.mail('ana')}"
    place = {
        "city": "Berlin",
        "countryOrRegion": "DE",
        "geoCoordinates": {"latitude": 52.5, "longitude": 13.4},
    }
    company.cloud.admin("PUT", f"mailboxes/{company.mail('ana')}/account", {
        "sign_ins": [{"ipAddress": "198.51.100.7", "location": place, "appDisplayName": "Outlook",
                      "riskLevelDuringSignIn": "none"}],
        "audits": [{"activityDisplayName": "User registered security info"}],
        "risk": [{"riskLevel": "high", "riskDetail": "none"}],
        "applications": {"5e3ce6c0-2b1f-4285-8d4b-75ee78787346": "Mail Helper"},
    })  # fmt: skip
    since = "createdDateTime ge 2026-01-01T00:00:00Z"
    order = {"$filter": since, "$orderby": "createdDateTime", "$top": "500"}
    assert len(judge("GET", "auditLogs/signIns", 200, params=order)["value"]) == 1
    wanted = "activityDateTime ge 2026-01-01T00:00:00Z and loggedByService eq "
    wanted += "'Authentication Methods'"
    audits = judge("GET", "auditLogs/directoryAudits", 200, params={"$filter": wanted})
    assert len(audits["value"]) == 1
    at_risk = {"$filter": "riskState eq 'atRisk'"}
    assert len(judge("GET", "identityProtection/riskyUsers", 200, params=at_risk)["value"]) == 1
    judge("GET", "servicePrincipals/5e3ce6c0-2b1f-4285-8d4b-75ee78787346", 200)
    rules = f"{user}/mailFolders/inbox/messageRules"
    made = {"displayName": "x", "sequence": 1, "actions": {"markAsRead": True}}
    rule = judge("POST", rules, 201, json=made)
    judge("PATCH", f"{rules}/{rule['id']}", 200, json={"isEnabled": False})
    assert judge("GET", f"{rules}/{rule['id']}", 200)["isEnabled"] is False
    judge("DELETE", f"{rules}/{rule['id']}", 204)
    judge("GET", f"{rules}/{rule['id']}", 404)
    judge("POST", f"{user}/revokeSignInSessions", 200)
    judge("PATCH", user, 204, json={"accountEnabled": False})
    fields = {"$select": "accountEnabled,signInSessionsValidFromDateTime,passwordProfile"}
    assert judge("GET", user, 200, params=fields)["accountEnabled"] is False
    judge("PATCH", user, 400, json={"displayName": "Nobody"})


def test_batch(judge: Judge, company: Company, mail: str):
    judge("POST", "$batch", 200, json={"requests": [
        {"id": "1", "method": "GET", "url": f"/{mail}/$value"},
        {"id": "2", "method": "GET", "url": "/users/nobody", "dependsOn": ["1"]},
        {"id": "3", "method": "GET", "url": "/organization", "dependsOn": ["2"]},
    ]})  # fmt: skip


def test_errors(judge: Judge, company: Company, mail: str):
    base = f"users/{company.mail('ana')}"
    judge("GET", f"{base}/messages", 401, headers={"authorization": "Bearer x"})
    judge("GET", "users/nobody", 404)
    judge("GET", f"{base}/messages/garbage", 400)
    judge("GET", f"{base}/messages", 400, params={"$filter": "isRead eq 1"})
    judge("POST", f"{mail}/move", 400, json={})
    for kind, status in (("status_429", 429), ("status_503", 503)):
        company.cloud.admin("POST", "faults", {"kind": kind}, 201)
        judge("GET", mail, status)
    company.cloud.admin("PUT", f"tenants/{company.tenant_id}", {
        "domain": company.domain,
        "apps": [{"client_id": "weak", "secret": "s", "roles": ["Mail.ReadBasic.All"]}],
    })  # fmt: skip
    weak = company.token(client_id="weak", client_secret="s").json()["access_token"]
    judge("POST", f"{mail}/move", 403, json={"destinationId": "archive"},
          headers={"authorization": f"Bearer {weak}"})  # fmt: skip
