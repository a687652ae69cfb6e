"""Every kind of answer against Google's discovery documents, with misspelt properties refused."""

import datetime as dt
import json
import ssl
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from typing_extensions import override

from api_bridge.accounts.acting import Task
from api_bridge.accounts.google_act import GoogleHand
from api_bridge.accounts.google_clicks import read_clicks
from api_bridge.accounts.google_read import read_log
from api_bridge.connectors import Action, Connection, Result, Runtime
from api_bridge.connectors.google import GoogleConnector
from api_bridge.errors import NotFound
from tests.api_bridge.sandbox.running import SandboxProcess
from tests.api_bridge.sandbox.workspace import HEAD, Workspace

pytestmark = pytest.mark.shared
SERVERS = {
    "/gmail/": "https://gmail.googleapis.com",
    "/admin/": "https://admin.googleapis.com",
    "/v1beta1/": "https://alertcenter.googleapis.com",
}


@pytest.fixture(scope="module")
def specification(shared_dir: Path) -> OpenAPI:
    path = shared_dir / "contracts" / "google" / "google-cut-strict.json"
    # The cut comes from documents that are known to be good; checking it again takes long.
    config = Config(spec_validator_cls=None)
    return OpenAPI.from_dict(json.loads(path.read_text()), config=config)


@pytest.fixture
def workspace(cloud: SandboxProcess) -> Iterator[Workspace]:
    made = Workspace(cloud)
    yield made
    made.close()
    cloud.admin("DELETE", "faults", status=204)


class Judge:
    """Calls the sandbox; has request and answer judged by the specification."""

    def __init__(self, workspace: Workspace, specification: OpenAPI) -> None:
        self._workspace, self._specification = workspace, specification
        self._tokens: dict[tuple[str, str], str] = {}

    def __call__(
        self, method: str, path: str, status: int = 200, *, scope: str = "gmail.modify",
        subject: str = "ana", **options: Any,
    ) -> Any:  # fmt: skip
        if (subject, scope) not in self._tokens:
            token = self._workspace.token_for(self._workspace.mail(subject), HEAD + scope)
            self._tokens[subject, scope] = token
        response = self._workspace.cloud.client.request(
            method, f"{self._workspace.cloud.http}{path}",
            headers={"authorization": f"Bearer {self._tokens[subject, scope]}"}, **options,
        )  # fmt: skip
        assert response.status_code == status, response.text
        parts = urlsplit(str(response.request.url))
        server = next(url for head, url in SERVERS.items() if parts.path.startswith(head))
        body = response.request.content
        request = MockRequest(
            server, method.lower(), parts.path, args=dict(parse_qsl(parts.query)),
            data=body or None, content_type="application/json",
        )  # fmt: skip
        if status < 400:
            self._specification.validate_request(request)
        self._specification.validate_response(
            request,
            MockResponse(response.content, status, content_type="application/json"),
        )
        return response.json() if response.content else None


@pytest.fixture
def judge(workspace: Workspace, specification: OpenAPI) -> Judge:
    return Judge(workspace, specification)


class JudgedTransport(httpx.BaseTransport):
    """The network, with what our connector asks judged before it is answered.  ``seen``: methods
    and last words of the addresses.
    """

    def __init__(self, specification: OpenAPI, ca: Path) -> None:
        self._specification = specification
        self._inner = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=ca))
        self.seen: set[tuple[str, str]] = set()

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        parts = urlsplit(str(request.url))
        server = next((url for head, url in SERVERS.items() if parts.path.startswith(head)), "")
        if server:
            self._specification.validate_request(
                MockRequest(
                    server, request.method.lower(), parts.path, args=parse_qs(parts.query),
                    data=request.content or None, content_type="application/json",
                )
            )  # fmt: skip
            self.seen.add((request.method, parts.path.rpartition("/")[2]))
        return self._inner.handle_request(request)

    @override
    def close(self) -> None:
        self._inner.close()


def test_what_our_connector_asks_is_what_google_describes(
    workspace: Workspace, specification: OpenAPI
):
    workspace.subscribe()
    ana = workspace.mail("ana")
    transport = JudgedTransport(specification, workspace.cloud.ca)
    runtime = Runtime(allowed_hosts={workspace.cloud.addresses["https"]})
    wired = Connection(
        kind="google",
        cloud_tenant_id=workspace.customer_id,
        client_id=workspace.account["client_id"],
        client_secret=workspace.key_json,
        authority_url=workspace.cloud.https,
        api_url=workspace.cloud.https,
        settings=(("admin", workspace.admin), ("topic", workspace.topic)),
    )
    with closing(GoogleConnector(wired, runtime, transport=transport)) as connector:
        assert len(list(connector.list_mailboxes())) == 3
        message_id = workspace.receive("ana")
        page = connector.changes(ana, "", since=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
        page = connector.changes(ana, page.cursor)
        connector.changes(ana, page.cursor)
        (ref,) = connector.find(ana, message_id)
        record = connector.prepare(ref, Action.QUARANTINE, "k")
        assert connector.act(record).result is Result.DONE
        assert connector.undo(record).result is Result.DONE
        connector.fetch(ref)
        watch = connector.ensure_push(ana, notification_url="", client_state="", current=None)
        connector.end_push(watch.id)
        assert (connector.rules(ana), connector.delegates(ana)) == ([], [])
        connector.forwarding(ana)
        connector.verdicts(dt.datetime.now(dt.UTC))
        _respond(GoogleHand(connector.client), ana)
        workspace.opened_link("ana", message_id)
        now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
        read_log(connector.client, "token", now - dt.timedelta(hours=1), now)
        assert read_clicks(connector.client, now - dt.timedelta(hours=1), now).entries
    assert transport.seen >= {
        ("POST", "signOut"), ("GET", "tokens"),
        ("GET", "admin"), ("GET", "token"), ("GET", "gmail"),
        ("PUT", "autoForwarding"), ("POST", "filters"),
        ("DELETE", "77"), ("DELETE", "f1"),
    }  # fmt: skip
    assert transport.seen >= {
        ("GET", "users"), ("GET", "profile"), ("GET", "messages"), ("GET", "history"),
        ("GET", "labels"), ("POST", "labels"), ("POST", "modify"), ("GET", ref.item_id),
        ("POST", "watch"), ("POST", "stop"), ("GET", "filters"), ("GET", "autoForwarding"),
        ("GET", "delegates"), ("GET", "alerts"),
    }  # fmt: skip


def _respond(hand: GoogleHand, address: str) -> None:
    """Steps of an account response, each read and asked for once; some are about nothing."""
    domain = address.partition("@")[2]
    made = {"criteria": {"subject": "x"}, "action": {"addLabelIds": ["TRASH"]}}
    for kind, target, before in (
        ("disable", "", {}), ("enable", "", {}), ("new_password", "", {}),
        ("revoke_sessions", "", {}), ("revoke_grant", "77", {}), ("disable_rule", "f1", {}),
        ("enable_rule", "f1", made), ("forwarding_off", "", {}),
        ("remove_delegate", f"bo@{domain}", {}),
    ):  # fmt: skip
        task = Task(kind=kind, user_id=address, target=target, before=before)
        hand.read(task)
        with suppress(NotFound):
            hand.call(task)


ME = "/gmail/v1/users/me"


def test_a_misspelt_property_would_be_found(specification: OpenAPI):
    request = MockRequest("https://gmail.googleapis.com", "get", f"{ME}/profile")
    response = MockResponse(b'{"historyID": "1"}', 200, content_type="application/json")
    with pytest.raises(Exception, match=r"[Ii]nvalid"):
        specification.validate_response(request, response)


def test_messages_and_history(judge: Judge, workspace: Workspace):
    start = judge("GET", f"{ME}/profile")["historyId"]
    judge("GET", f"{ME}/messages", params={"q": "after:1"})
    workspace.receive("ana")
    workspace.receive("ana")
    (found, _) = judge("GET", f"{ME}/messages", params={"includeSpamTrash": "true"})["messages"]
    judge("GET", f"{ME}/messages", params={"maxResults": "1"})
    one = f"{ME}/messages/{found['id']}"
    for form in ("minimal", "full", "raw", "metadata"):
        judge("GET", one, params={"format": form})
    judge("GET", f"{ME}/messages/1900000000ffffff", 404)
    judge("POST", f"{one}/modify", json={"addLabelIds": ["STARRED"]})
    judge("POST", f"{one}/trash")
    judge("POST", f"{one}/untrash")
    judge("POST", f"{ME}/messages/batchModify", 204,
          json={"ids": [found["id"]], "removeLabelIds": ["UNREAD"]})  # fmt: skip
    judge("POST", f"{ME}/messages", json={"raw": "U3ViamVjdDogeA0KDQp5", "labelIds": ["INBOX"]})
    judge("GET", f"{ME}/history", params={"startHistoryId": start})
    judge("GET", f"{ME}/history", params={"startHistoryId": start, "maxResults": "1"})
    judge("GET", f"{ME}/history", 404, params={"startHistoryId": "1"})


def test_labels_settings_and_watch(judge: Judge, workspace: Workspace):
    made = judge("POST", f"{ME}/labels", json={"name": "Q", "labelListVisibility": "labelHide"})
    judge("GET", f"{ME}/labels")
    judge("GET", f"{ME}/labels/{made['id']}")
    judge("DELETE", f"{ME}/labels/{made['id']}", 204)
    workspace.cloud.admin("PUT", f"mailboxes/{workspace.mail('ana')}/settings", {
        "forwarding": {"enabled": True, "emailAddress": "x@x.example", "disposition": "archive"},
        "delegates": ["bo@x.example"],
    })  # fmt: skip
    basic = "gmail.settings.basic"
    rule = {"criteria": {"subject": "x"}, "action": {"addLabelIds": ["TRASH"]}}
    kept = judge("POST", f"{ME}/settings/filters", scope=basic, json=rule)
    for name in ("filters", f"filters/{kept['id']}", "autoForwarding", "forwardingAddresses",
                 "delegates"):  # fmt: skip
        judge("GET", f"{ME}/settings/{name}")
    judge("DELETE", f"{ME}/settings/filters/{kept['id']}", 204, scope=basic)
    workspace.subscribe()
    judge("POST", f"{ME}/watch", json={"topicName": workspace.topic})
    judge("POST", f"{ME}/stop", 204)


def test_directory_and_alerts(judge: Judge, workspace: Workspace):
    admin: dict[str, Any] = {"subject": "cfo", "scope": "admin.directory.user.readonly"}
    users = "/admin/directory/v1/users"
    judge("GET", users, params={"customer": "my_customer", "maxResults": "2"}, **admin)
    judge("GET", f"{users}/{workspace.admin}", **admin)
    judge("GET", f"{users}/{workspace.admin}/tokens", subject="cfo",
          scope="admin.directory.user.security")  # fmt: skip
    judge("GET", "/v1beta1/alerts", subject="cfo", scope="apps.alerts")
    workspace.cloud.admin("POST", f"google/{workspace.tenant_id}/alerts", {
        "type": "User reported phishing", "data": {"messages": []},
    }, 201)  # fmt: skip
    judge("GET", "/v1beta1/alerts", subject="cfo", scope="apps.alerts")


def test_accounts_their_log_and_what_is_changed_of_them(judge: Judge, workspace: Workspace):
    users, ana = "/admin/directory/v1/users", workspace.mail("ana")
    security: dict[str, Any] = {"subject": "cfo", "scope": "admin.directory.user.security"}
    app = {"clientId": "77", "scopes": ["https://mail.google.com/"]}
    workspace.account_of("ana", tokens=[app], state={"recoveryEmail": "ana@home.example"})
    judge("GET", f"{users}/{ana}/tokens", **security)
    judge("DELETE", f"{users}/{ana}/tokens/77", 204, **security)
    judge("POST", f"{users}/{ana}/signOut", 204, **security)
    change: dict[str, Any] = {"subject": "cfo", "scope": "admin.directory.user"}
    for body in ({"suspended": True}, {"suspended": False, "changePasswordAtNextLogin": True}):
        judge("PUT", f"{users}/{ana}", json=body, **change)
    workspace.happened(
        "ana",
        "login",
        "login_success",
        region="DE",
        parameters={"is_suspicious": True, "login_challenge_method": ["none"]},
    )
    log: dict[str, Any] = {"subject": "cfo", "scope": "admin.reports.audit.readonly"}
    for application in ("login", "admin", "token"):
        path = f"/admin/reports/v1/activity/users/all/applications/{application}"
        judge("GET", path, params={"maxResults": "1"}, **log)
        judge("GET", path, 400, params={"maxResults": "0"}, **log)


@pytest.mark.parametrize(("kind", "status"), [("quota_403", 403), ("status_429", 429)])
def test_too_fast(judge: Judge, workspace: Workspace, kind: str, status: int):
    workspace.cloud.admin("POST", "faults", {"kind": kind, "match": "/me/profile"}, 201)
    error = judge("GET", f"{ME}/profile", status)["error"]
    assert error["errors"][0]["reason"].lower().endswith("ratelimitexceeded")
