"""Google's own Python client drives the sandbox: google-auth's token, httplib2's requests."""

import base64
import json
from typing import Any

import google_auth_httplib2
import httplib2
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2 import service_account
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from tests.api_bridge.sandbox.receiver import receiving
from tests.api_bridge.sandbox.running import SandboxProcess
from tests.api_bridge.sandbox.workspace import HEAD, Workspace, raw_of


@pytest.fixture
def workspace(cloud: SandboxProcess):
    made = Workspace(cloud)
    yield made
    made.close()
    cloud.admin("DELETE", "faults", status=204)


def service(
    workspace: Workspace, name: str = "gmail", version: str = "v1", *,
    subject: str = "ana", scope: str = "gmail.modify",
) -> Any:  # fmt: skip
    """A client as Google builds it, whose endpoint is the sandbox."""
    person = {"subject": workspace.mail(subject)} if subject else {}
    credentials = service_account.Credentials.from_service_account_info(
        workspace.account, scopes=[HEAD + scope], **person
    )
    plain = httplib2.Http(ca_certs=str(workspace.cloud.ca), timeout=20)
    made = build(
        name, version, static_discovery=True, cache_discovery=False,
        http=google_auth_httplib2.AuthorizedHttp(credentials, http=plain),
        client_options={"api_endpoint": workspace.cloud.https},
    )  # fmt: skip
    workspace.opened.append(made)
    return made


def refused(call: Any) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        call.execute()
    return caught.value.status_code, caught.value.error_details[0]["reason"]


def test_a_mail_is_listed_read_moved_and_brought_back(workspace: Workspace):
    message_id = workspace.receive("ana", subject="Invoice")
    messages = service(workspace).users().messages()
    listed = messages.list(userId="me", q=f"rfc822msgid:{message_id.strip('<>')}").execute()
    (found,) = listed["messages"]
    short = messages.get(userId="me", id=found["id"], format="minimal").execute()
    assert sorted(short["labelIds"]) == ["INBOX", "UNREAD"]
    raw = messages.get(userId="me", id=found["id"], format="raw").execute()
    assert b"Subject: Invoice\r\n" in raw_of(raw)
    full = messages.get(userId="me", id=found["id"]).execute()
    assert base64.urlsafe_b64decode(full["payload"]["body"]["data"]).startswith(b"Good morning")
    body = {"addLabelIds": ["SPAM", "STARRED"], "removeLabelIds": ["INBOX"]}
    moved = messages.modify(userId="me", id=found["id"], body=body).execute()
    assert sorted(moved["labelIds"]) == ["SPAM", "STARRED", "UNREAD"]
    trashed = messages.trash(userId="me", id=found["id"]).execute()
    assert sorted(trashed["labelIds"]) == ["STARRED", "TRASH", "UNREAD"]
    back = messages.untrash(userId="me", id=found["id"]).execute()
    assert sorted(back["labelIds"]) == ["STARRED", "UNREAD"]
    assert messages.list(userId="me").execute()["messages"] == [found]
    body = {"ids": [found["id"]], "removeLabelIds": ["UNREAD"]}
    messages.batchModify(userId="me", body=body).execute()
    assert messages.get(userId="me", id=found["id"], format="metadata").execute()["labelIds"] == [
        "STARRED"
    ]
    assert refused(messages.get(userId="me", id="1900000000ffffff")) == (404, "notFound")


def test_labels_are_made_once(workspace: Workspace):
    labels = service(workspace).users().labels()
    body = {"name": "Hidden", "labelListVisibility": "labelHide", "messageListVisibility": "hide"}
    made = labels.create(userId="me", body=body).execute()
    assert labels.get(userId="me", id=made["id"]).execute() == made
    assert refused(labels.create(userId="me", body=body)) == (409, "aborted")
    labels.delete(userId="me", id=made["id"]).execute()
    assert refused(labels.get(userId="me", id=made["id"])) == (404, "notFound")


def test_history_tells_what_came_moved_and_went(workspace: Workspace):
    users = service(workspace).users()
    start = users.getProfile(userId="me").execute()["historyId"]
    assert "history" not in users.history().list(userId="me", startHistoryId=start).execute()
    workspace.receive("ana")
    (found,) = users.messages().list(userId="me").execute()["messages"]
    users.messages().modify(
        userId="me", id=found["id"], body={"addLabelIds": ["STARRED"]}
    ).execute()
    told = users.history().list(userId="me", startHistoryId=start).execute()
    assert [set(each) - {"id", "messages"} for each in told["history"]] == [
        {"messagesAdded"}, {"labelsAdded"},
    ]  # fmt: skip
    assert told["history"][0]["messagesAdded"][0]["message"]["id"] == found["id"]
    # A page whose changes are all of another kind has a next page and no history.
    page = users.history().list(
        userId="me", startHistoryId=start, maxResults=1, historyTypes="labelAdded"
    )
    first = page.execute()
    assert ("history" in first, "nextPageToken" in first) == (False, True)
    second = users.history().list_next(page, first).execute()
    assert second["history"][0]["labelsAdded"][0]["labelIds"] == ["STARRED"]
    workspace.cloud.admin("POST", "faults", {"kind": "expired_history"}, 201)
    assert refused(users.history().list(userId="me", startHistoryId=start)) == (404, "notFound")


def test_a_batch_of_calls_is_answered_each_by_itself(workspace: Workspace):
    for _ in range(3):
        workspace.receive("ana")
    gmail = service(workspace)
    listed = gmail.users().messages().list(userId="me").execute()["messages"]
    answers: dict[str, Any] = {}

    def keep(number: str, answer: Any, error: Any) -> None:
        answers[number] = answer or error

    batch = gmail.new_batch_http_request(callback=keep)
    batch._batch_uri = f"{workspace.cloud.https}/batch/gmail/v1"
    for number, each in enumerate([*listed, {"id": "1900000000ffffff"}]):
        call = gmail.users().messages().get(userId="me", id=each["id"], format="minimal")
        batch.add(call, request_id=str(number))
    batch.execute()
    assert [answers[str(number)]["id"] for number in range(3)] == [each["id"] for each in listed]
    assert answers["3"].status_code == 404


def test_settings_are_read_and_changed(workspace: Workspace):
    settings = service(workspace, scope="gmail.settings.basic").users().settings()
    assert settings.filters().list(userId="me").execute() == {}
    body = {"criteria": {"from": "boss@x.example"}, "action": {"removeLabelIds": ["INBOX"]}}
    made = settings.filters().create(userId="me", body=body).execute()
    assert settings.filters().list(userId="me").execute() == {"filter": [made]}
    assert settings.getAutoForwarding(userId="me").execute() == {"enabled": False}
    workspace.cloud.admin("PUT", f"mailboxes/{workspace.mail('ana')}/settings", {
        "forwarding": {"enabled": True, "emailAddress": "x@evil.example", "disposition": "trash"},
        "delegates": ["bo@evil.example"],
    })  # fmt: skip
    assert settings.getAutoForwarding(userId="me").execute()["disposition"] == "trash"
    (delegate,) = settings.delegates().list(userId="me").execute()["delegates"]
    assert delegate["delegateEmail"] == "bo@evil.example"
    off = {"userId": "me", "body": {"enabled": False}}
    assert refused(settings.updateAutoForwarding(**off)) == (403, "insufficientPermissions")
    sharing = service(workspace, scope="gmail.settings.sharing").users().settings()
    assert sharing.updateAutoForwarding(**off).execute() == {"enabled": False}
    settings.filters().delete(userId="me", id=made["id"]).execute()


def test_people_are_listed_page_by_page_for_the_administrator_only(workspace: Workspace):
    scope = "admin.directory.user.readonly"
    users = service(workspace, "admin", "directory_v1", subject="cfo", scope=scope).users()
    page = users.list(customer="my_customer", maxResults=2)
    names = []
    while page is not None:
        answer = page.execute()
        names += [user["primaryEmail"] for user in answer["users"]]
        page = users.list_next(page, answer)
    assert names == [workspace.mail(name) for name in workspace.names]
    someone = service(workspace, "admin", "directory_v1", scope=scope).users()
    assert refused(someone.list(customer="my_customer")) == (403, "forbidden")


def test_a_watch_is_heard_by_pull_until_it_is_acknowledged(workspace: Workspace):
    workspace.subscribe()
    gmail = service(workspace)
    watched = gmail.users().watch(userId="me", body={"topicName": workspace.topic}).execute()
    assert int(watched["expiration"]) > 0
    workspace.receive("ana")
    api = service(workspace, "pubsub", "v1", subject="", scope="pubsub")
    subscriptions = api.projects().subscriptions()
    name = {"subscription": workspace.subscription}
    (got,) = subscriptions.pull(**name, body={"maxMessages": 10}).execute()["receivedMessages"][-1:]
    assert workspace.mail("ana").encode() in base64.b64decode(got["message"]["data"])
    again = subscriptions.pull(**name, body={"maxMessages": 10}).execute()
    assert again == {}
    subscriptions.acknowledge(**name, body={"ackIds": [got["ackId"]]}).execute()
    gmail.users().stop(userId="me").execute()


def test_a_watch_is_pushed_to_an_address_until_it_is_taken(workspace: Workspace):
    with receiving() as receiver:
        receiver.refusals = 1
        workspace.subscribe(push_url=receiver.url)
        gmail = service(workspace)
        gmail.users().watch(userId="me", body={"topicName": workspace.topic}).execute()
        (pushed,) = receiver.next()
        assert receiver.refusals == 0
        said = json.loads(base64.b64decode(pushed["message"]["data"]))
        assert said["emailAddress"] == workspace.mail("ana")
        assert pushed["subscription"] == workspace.subscription
        assert receiver.is_quiet()


def test_alerts_are_listed_since_a_time(workspace: Workspace):
    path = f"google/{workspace.tenant_id}/alerts"
    for kind, at in (("User reported phishing", "2026-11-01T00:00:00Z"),
                     ("Suspicious message reported", "2026-11-20T00:00:00Z")):  # fmt: skip
        workspace.cloud.admin("POST", path, {"type": kind, "createTime": at}, 201)
    api = service(workspace, "alertcenter", "v1beta1", subject="cfo", scope="apps.alerts")
    wanted = api.alerts().list(filter='create_time >= "2026-11-10T00:00:00Z"').execute()
    assert [alert["type"] for alert in wanted["alerts"]] == ["Suspicious message reported"]


@pytest.mark.parametrize(
    ("subject", "scope", "error"),
    [
        ("ana", "gmail.insert", "unauthorized_client"),
        ("nobody", "gmail.modify", "invalid_grant"),
    ],
)
def test_a_token_is_refused_for_foreign_scopes_and_people(
    workspace: Workspace, subject: str, scope: str, error: str
):
    with pytest.raises(RefreshError, match=error):
        workspace.token_for(workspace.mail(subject), HEAD + scope)


def test_a_token_reaches_its_own_mailbox_only(workspace: Workspace):
    users = service(workspace).users()
    assert refused(users.getProfile(userId=workspace.mail("bo"))) == (403, "forbidden")


def as_admin(workspace: Workspace, scope: str, name: str = "directory_v1") -> Any:
    return service(workspace, "admin", name, subject="cfo", scope=scope)


def test_activities_are_listed_newest_first_page_by_page(workspace: Workspace):
    for minute, suspicious in ((10, False), (20, True), (30, False)):
        workspace.happened(
            "ana", "login", "login_success", at=f"2026-11-20T10:{minute}:00.000Z", region="FR",
            parameters={"login_type": "google_password", "is_suspicious": suspicious},
        )  # fmt: skip
    workspace.happened("bo", "login", "login_success", late_s=600)
    api = as_admin(workspace, "admin.reports.audit.readonly", "reports_v1").activities()
    logins: dict[str, Any] = {"userKey": "all", "applicationName": "login"}
    page, times = api.list(**logins, maxResults=2), []
    while page is not None:
        answered = page.execute()
        times += [each["id"]["time"] for each in answered["items"]]
        page = api.list_next(page, answered)
    assert [text[11:16] for text in times] == ["10:30", "10:20", "10:10"]
    span = {"startTime": "2026-11-20T10:15:00Z", "endTime": "2026-11-20T10:30:00Z"}
    (one,) = api.list(**logins, **span).execute()["items"]
    assert one["networkInfo"] == {"regionCode": "FR"}
    assert one["actor"]["email"] == workspace.mail("ana")
    found = api.list(**logins, eventName="login_success", filters="is_suspicious==true").execute()
    assert found["items"] == [one]
    assert "items" not in api.list(userKey="all", applicationName="token").execute()
    workspace.opened_link("ana", "<m@x.example>", at="2026-11-20T10:20:00.000Z")
    workspace.opened_link("ana", "<n@x.example>", kind=7, at="2026-11-20T10:21:00.000Z")
    gmail: dict[str, Any] = {"userKey": "all", "applicationName": "gmail"}
    (clicked,) = api.list(**gmail, **span, filters="event_info.mail_event_type==15").execute()[
        "items"
    ]
    assert clicked["id"]["time"] == "2026-11-20T10:20:00.000Z"
    assert refused(api.list(**gmail)) == (400, "invalid")
    backwards = {"startTime": span["endTime"], "endTime": span["startTime"]}
    assert refused(api.list(**logins, **backwards)) == (400, "invalid")
    someone = service(
        workspace, "admin", "reports_v1", subject="ana", scope="admin.reports.audit.readonly"
    )
    assert refused(someone.activities().list(**logins)) == (403, "forbidden")


def test_an_account_is_suspended_signed_out_and_told_to_change_its_password(workspace: Workspace):
    users = as_admin(workspace, "admin.directory.user").users()
    ana = {"userKey": workspace.mail("ana")}
    before = users.get(**ana).execute()
    assert (before["suspended"], before["changePasswordAtNextLogin"]) == (False, False)
    changed = users.update(**ana, body={"suspended": True}).execute()
    assert (changed["suspended"], changed["suspensionReason"]) == (True, "ADMIN")
    users.update(**ana, body={"suspended": False, "changePasswordAtNextLogin": True}).execute()
    after = users.get(**ana).execute()
    assert after == before | {"changePasswordAtNextLogin": True}
    assert refused(users.update(**ana, body={"isAdmin": True})) == (400, "invalidArgument")
    reading = as_admin(workspace, "admin.directory.user.readonly").users()
    assert refused(reading.update(**ana, body={"suspended": True})) == (
        403, "insufficientPermissions",
    )  # fmt: skip
    as_admin(workspace, "admin.directory.user.security").users().signOut(**ana).execute()
    api = as_admin(workspace, "admin.reports.audit.readonly", "reports_v1").activities()
    told = api.list(
        userKey="all", applicationName="admin", eventName="RESET_SIGNIN_COOKIES",
        filters=f"USER_EMAIL=={workspace.mail('ana')}",
    ).execute()  # fmt: skip
    (one,) = told["items"]
    assert one["actor"]["email"] == workspace.admin


def test_an_application_is_shut_out(workspace: Workspace):
    app = {"clientId": "77.apps.googleusercontent.com", "displayText": "Mail Helper",
           "scopes": ["https://mail.google.com/"]}  # fmt: skip
    workspace.account_of("ana", tokens=[app])
    workspace.account_of("bo", tokens=[app])
    tokens = as_admin(workspace, "admin.directory.user.security").tokens()
    ana = {"userKey": workspace.mail("ana")}
    (one,) = tokens.list(**ana).execute()["items"]
    assert one.items() >= app.items()
    assert tokens.get(**ana, clientId=app["clientId"]).execute() == one
    tokens.delete(**ana, clientId=app["clientId"]).execute()
    assert "items" not in tokens.list(**ana).execute()
    assert refused(tokens.delete(**ana, clientId=app["clientId"])) == (404, "notFound")
    assert len(tokens.list(userKey=workspace.mail("bo")).execute()["items"]) == 1


def test_a_delegate_is_removed_and_added_back(workspace: Workspace):
    sharing = service(workspace, scope="gmail.settings.sharing").users().settings().delegates()
    reading = service(workspace).users().settings().delegates()
    bo = {"delegateEmail": workspace.mail("bo"), "verificationStatus": "accepted"}
    assert sharing.create(userId="me", body={"delegateEmail": bo["delegateEmail"]}).execute() == bo
    assert reading.list(userId="me").execute() == {"delegates": [bo]}
    sharing.delete(userId="me", delegateEmail=bo["delegateEmail"]).execute()
    assert reading.list(userId="me").execute() == {}
    outside = sharing.create(userId="me", body={"delegateEmail": "x@elsewhere.example"})
    assert refused(outside) == (400, "invalidArgument")
