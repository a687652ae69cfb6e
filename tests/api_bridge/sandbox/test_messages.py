"""Reading messages and folders by Graph."""

import base64
from typing import Any

import pytest

from tests.api_bridge.sandbox.running import Company, simple_mail

IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}
HTML = b"""From: =?utf-8?q?J=C3=B6rg?= <joerg@sender.example.net>
To: Ana <ana@x.example>, bo@x.example
Cc: cfo@x.example
Reply-To: other@elsewhere.example
Subject: Report
Importance: high
Message-ID: <html@sender.example.net>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="m"

--m
Content-Type: text/html; charset=iso-8859-1

<html><head><script>evil()</script></head><body onload="evil()"><p>Gr\xfc\xdfe <a href="https://x.example/">link</a></p></body></html>
--m
Content-Type: application/pdf; name="r.pdf"
Content-Disposition: attachment; filename="=?utf-8?q?re=C3=A4l.pdf?="
Content-Transfer-Encoding: base64

JVBERi0xLjQK
--m
Content-Type: message/rfc822

Subject: inner

inner text
--m--
""".replace(b"\n", b"\r\n")


def listed(company: Company, name: str = "ana", **parameters: str) -> list[dict[str, Any]]:
    named = {f"${key}": value for key, value in parameters.items()}
    return company.mails(name, params=named)


def receive_five(company: Company) -> list[str]:
    ids = [company.receive("ana", subject=f"Mail {n}") for n in range(5)]
    mails = {mail["internetMessageId"]: mail["id"] for mail in listed(company)}
    for message_id in ids[:2]:
        path = f"users/{company.mail('ana')}/messages/{mails[message_id]}"
        assert company.graph.patch(path, json={"isRead": True}).status_code == 200
    return ids


def test_a_list_pages_through_all_messages_without_overlap(company: Company):
    sent = receive_five(company)
    page = company.get(f"users/{company.mail('ana')}/messages",
                       params={"$top": "2", "$orderby": "receivedDateTime", "$select": "id",
                               "$count": "true"})  # fmt: skip
    assert page["@odata.count"] == 5
    ids = [mail["id"] for mail in page["value"]]
    while "@odata.nextLink" in page:
        page = company.get(page["@odata.nextLink"])
        assert len(page["value"]) <= 2
        ids += [mail["id"] for mail in page["value"]]
        assert set(page["value"][0]) == {"@odata.etag", "id"}
    assert len(ids) == len(set(ids)) == len(sent)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("isRead eq true", 2),
        ("isRead eq false and receivedDateTime ge 2020-01-01T00:00:00Z", 3),
        ("receivedDateTime ge 2099-01-01T00:00:00.0000000Z", 0),
        ("not (isRead eq true) or subject eq 'Mail 0'", 4),
        ("startswith(subject,'mail') and contains(subject, '3')", 1),
        ("from/emailAddress/address eq 'SENDER@sender.example.net'", 5),
        ("subject eq 'it''s'", 0),
        ("contains(subject,'%')", 0),
        ("categories/any(c:c eq 'Red')", 0),
    ],
)
def test_filters_find_what_they_say(company: Company, text: str, count: int):
    receive_five(company)
    assert len(listed(company, filter=text)) == count


def test_a_message_is_found_by_its_internet_message_id_and_by_options_in_any_case(
    company: Company,
):
    sent = receive_five(company)
    found = company.mails("ana", params={"$FILTER": f"InternetMessageId eq '{sent[3]}'",
                                         "$Select": "SUBJECT"})  # fmt: skip
    assert [mail["subject"] for mail in found] == ["Mail 3"]
    also = company.mails("ana", params={"filter": f"internetMessageId eq '{sent[3]}'"})
    assert len(also) == 1


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"$filter": "isRead eq false", "$orderby": "receivedDateTime"}, "InefficientFilter"),
        ({"$filter": "isRead eq false and receivedDateTime ge 2020-01-01T00:00:00Z",
          "$orderby": "receivedDateTime"}, "InefficientFilter"),
        ({"$filter": "internetMessageHeaders eq 'x'"}, "ErrorInvalidUrlQueryFilter"),
        ({"$filter": "isRead eq 'yes'"}, "ErrorInvalidUrlQueryFilter"),
        ({"$filter": "isRead eq true)"}, "ErrorInvalidUrlQueryFilter"),
        ({"$filter": "receivedDateTime ge 2020-99-01T00:00:00Z"}, "ErrorInvalidUrlQueryFilter"),
        ({"$filter": "(" * 50 + "isRead eq true" + ")" * 50}, "ErrorInvalidUrlQueryFilter"),
        ({"$top": "1001"}, "ErrorInvalidUrlQuery"),
        ({"$top": "-1"}, "ErrorInvalidUrlQuery"),
        ({"$orderby": "nothing"}, "ErrorInvalidUrlQuery"),
        ({"$select": "nothing"}, "BadRequest"),
    ],
)  # fmt: skip
def test_queries_that_graph_refuses_are_refused(company: Company, parameters, code: str):
    answer = company.get(f"users/{company.mail('ana')}/messages", 400, params=parameters)
    assert answer["error"]["code"] == code


def test_sorting_works_when_the_filter_names_the_property_first(company: Company):
    receive_five(company)
    found = listed(company, filter="receivedDateTime ge 2020-01-01T00:00:00Z and isRead eq false",
                   orderby="receivedDateTime desc")  # fmt: skip
    assert len(found) == 3


def test_a_message_shows_its_parts_with_a_body_that_is_made_safe(company: Company):
    company.receive("ana", raw=HTML)
    listing = company.mails("ana")[0]
    path = f"users/{company.mail('ana')}/messages/{listing['id']}"
    mail = company.get(path)
    assert mail["from"]["emailAddress"] == {"name": "Jörg", "address": "joerg@sender.example.net"}
    assert [p["emailAddress"]["address"] for p in mail["toRecipients"]] == [
        "ana@x.example", "bo@x.example",
    ]  # fmt: skip
    assert mail["replyTo"][0]["emailAddress"]["address"] == "other@elsewhere.example"
    assert (mail["importance"], mail["hasAttachments"]) == ("high", True)
    assert mail["bodyPreview"] == "Grüße link"
    for shown in (mail["body"], listing["body"]):
        assert shown["contentType"] == "html"
        assert "Grüße" in shown["content"]
        assert "evil" not in shown["content"]
    unsafe = company.get(path, headers={"prefer": "outlook.allow-unsafe-html"})
    assert "evil()" in unsafe["body"]["content"]
    as_text = company.get(path, headers={"prefer": 'outlook.body-content-type="text"'})
    assert as_text["body"]["contentType"] == "text"
    assert "<" not in as_text["body"]["content"]
    headers = company.get(path, params={"$select": "internetMessageHeaders"})
    names = [header["name"] for header in headers["internetMessageHeaders"]]
    assert names[:3] == ["Received", "From", "To"]


def test_attachments_are_listed_and_read_file_and_mail_apart(company: Company):
    company.receive("ana", raw=HTML)
    path = f"users/{company.mail('ana')}/messages/{company.mails('ana')[0]['id']}/attachments"
    file, inner = company.get(path)["value"]
    assert (file["@odata.type"], file["name"]) == ("#microsoft.graph.fileAttachment", "reäl.pdf")
    assert base64.b64decode(file["contentBytes"]) == b"%PDF-1.4\n"
    assert (inner["@odata.type"], inner["name"]) == ("#microsoft.graph.itemAttachment", "inner")
    assert "contentBytes" not in inner
    assert company.get(f"{path}/{file['id']}")["size"] == 9
    assert b"inner text" in company.graph.get(f"{path}/{inner['id']}/$value").content
    assert company.get(f"{path}/{file['id'][:-2]}X=", 404)["error"]["code"] == "ErrorItemNotFound"


def test_normal_ids_change_on_a_move_and_immutable_ids_do_not(company: Company):
    company.receive("ana")
    base = f"users/{company.mail('ana')}/messages"
    normal = company.get(base)["value"][0]["id"]
    immutable = company.get(base, headers=IMMUTABLE)["value"][0]["id"]
    moved = company.post(f"{base}/{normal}/move", {"destinationId": "junkemail"})
    assert moved["id"] != normal
    assert company.get(f"{base}/{normal}", 404)["error"]["code"] == "ErrorItemNotFound"
    again = company.get(f"{base}/{immutable}", headers=IMMUTABLE)
    assert again["id"] == immutable
    assert again["parentFolderId"] == moved["parentFolderId"]
    translated = company.post(
        f"users/{company.mail('ana')}/translateExchangeIds",
        {"inputIds": [moved["id"]], "targetIdType": "restImmutableEntryId",
         "sourceIdType": "restId"}, 200,
    )  # fmt: skip
    assert translated["value"][0]["targetId"] == immutable


def test_ids_that_differ_by_case_alone_are_different_messages(company: Company):
    for _ in range(15):
        company.receive("ana")
    ids = [mail["id"] for mail in company.mails(
        "ana", params={"$top": "100", "$select": "id"}, headers=IMMUTABLE)]  # fmt: skip
    assert len(set(ids)) == 15
    assert len({shown.lower() for shown in ids}) < 15
    path = f"users/{company.mail('ana')}/messages"
    assert company.get(f"{path}/{ids[0]}", headers=IMMUTABLE)["id"] == ids[0]
    assert company.graph.get(f"{path}/{ids[0].swapcase()}").status_code in (400, 404)


def test_unknown_messages_folders_and_segments_are_answered_as_graph_does(company: Company):
    base = f"users/{company.mail('ana')}"
    assert company.get(f"{base}/messages/garbage", 400)["error"]["code"] == (
        "ErrorInvalidIdMalformed"
    )
    assert company.get(f"{base}/mailFolders/nothing/messages", 400)["error"]["code"] == (
        "ErrorInvalidIdMalformed"
    )
    assert company.get(f"{base}/nonsense", 400)["error"]["message"].endswith("'nonsense'.")
    answer = company.graph.put(f"{base}/messages", json={})
    assert answer.status_code == 405
    assert answer.headers["request-id"] == answer.json()["error"]["innerError"]["request-id"]
    assert company.graph.post("subscriptions", content=b"{").status_code == 400


def test_folders_page_by_ten_and_hidden_ones_show_on_request(company: Company):
    base = f"users/{company.mail('ana')}/mailFolders"
    made = company.post(base, {"displayName": "Quarantine", "isHidden": True})
    assert made["isHidden"] is True
    for number in range(3):
        company.post(f"{base}/{made['id']}/childFolders", {"displayName": f"Case {number}"})
    assert company.post(base, {"displayName": "QUARANTINE"}, 409)["error"]["code"] == (
        "ErrorFolderExists"
    )
    names = {folder["displayName"] for folder in company.get(base)["value"]}
    assert {"Inbox", "Junk Email", "Sent Items"} <= names
    assert "Quarantine" not in names
    for number in range(3):
        company.post(base, {"displayName": f"Project {number}"})
    page = company.get(base, params={"includeHiddenFolders": "true"})
    assert len(page["value"]) == 10
    rest = company.get(page["@odata.nextLink"])["value"]
    shown = {folder["displayName"] for folder in [*page["value"], *rest]}
    assert {"Quarantine", "Project 2"} <= shown
    found = company.get(base, params={"includeHiddenFolders": "true",
                                      "$filter": "displayName eq 'Quarantine'"})  # fmt: skip
    assert [folder["id"] for folder in found["value"]] == [made["id"]]
    assert found["value"][0]["childFolderCount"] == 3
    renamed = company.graph.patch(f"{base}/{made['id']}", json={"displayName": "Held"})
    assert renamed.json()["displayName"] == "Held"
    assert company.graph.delete(f"{base}/{made['id']}").status_code == 204
    assert (
        company.get(f"{base}/{made['id']}")["parentFolderId"]
        == (company.get(f"{base}/deleteditems")["id"])
    )
    assert company.graph.delete(f"{base}/inbox").status_code == 403


def test_a_message_goes_round_move_mark_delete_purge(company: Company):
    company.receive("ana")
    base = f"users/{company.mail('ana')}/messages"
    mail = company.get(base, headers=IMMUTABLE)["value"][0]
    path = f"{base}/{mail['id']}"
    marks = {"isRead": True, "categories": ["Red", "Blue"], "importance": "low",
             "flag": {"flagStatus": "flagged"}}  # fmt: skip
    marked = company.graph.patch(path, json=marks, headers=IMMUTABLE).json()
    assert {name: marked[name] for name in marks} == marks
    assert marked["changeKey"] != mail["changeKey"]
    assert company.mails("ana", params={"$filter": "categories/any(c:c eq 'Red')"})
    assert company.graph.patch(path, json={"receivedDateTime": "x"}).status_code == 400
    inbox = mail["parentFolderId"]
    same = company.post(f"{path}/move", {"destinationId": inbox}, headers=IMMUTABLE)
    assert same["changeKey"] == marked["changeKey"]
    copied = company.post(f"{path}/copy", {"destinationId": "archive"}, headers=IMMUTABLE)
    assert copied["id"] != mail["id"]
    trash = company.get(f"users/{company.mail('ana')}/mailFolders/deleteditems")["id"]
    assert company.graph.delete(path).status_code == 204
    assert company.get(path)["parentFolderId"] == trash
    assert company.graph.delete(path).status_code == 204
    dumpster = f"users/{company.mail('ana')}/mailFolders/recoverableitemsdeletions"
    assert company.get(f"{dumpster}/messages/{mail['id']}")["isRead"] is True
    assert [shown["id"] for shown in company.get(base, headers=IMMUTABLE)["value"]] == [
        copied["id"]
    ]
    assert company.graph.post(f"{path}/permanentDelete").status_code == 204
    assert company.get(path, 404)["error"]["code"] == "ErrorItemNotFound"
    raw = company.graph.get(f"{base}/{copied['id']}/$value")
    assert b"Good morning." in raw.content


def test_a_mail_is_put_back_from_its_bytes_as_a_draft(company: Company):
    raw = simple_mail("ana", subject="Restored", message_id="<r@x>")
    answer = company.graph.post(
        f"users/{company.mail('ana')}/mailFolders/inbox/messages",
        content=base64.b64encode(raw),
        headers={"content-type": "text/plain"},
    )
    assert answer.status_code == 201
    made = answer.json()
    assert (made["subject"], made["isDraft"]) == ("Restored", True)
    got = company.graph.get(f"users/{company.mail('ana')}/messages/{made['id']}/$value")
    assert got.content == raw


def test_users_without_a_mailbox_and_shared_mailboxes_are_told_apart(company: Company):
    guest = {"id": "22222222-2222-2222-2222-222222222222", "mail": f"guest@{company.domain}",
             "has_mailbox": False, "user_type": "Guest"}  # fmt: skip
    shared = {"id": "33333333-3333-3333-3333-333333333333", "mail": f"info@{company.domain}",
              "purpose": "shared"}  # fmt: skip
    company.cloud.admin("PUT", f"tenants/{company.tenant_id}",
                        {"domain": company.domain, "users": [guest, shared]})  # fmt: skip
    error = company.get(f"users/{guest['id']}/mailFolders/inbox", 404)["error"]
    assert error["code"] == "MailboxNotEnabledForRESTAPI"
    settings = company.get(f"users/{shared['id']}/mailboxSettings")
    assert settings["userPurpose"] == "shared"
    purpose = company.get(f"users/{shared['id']}/mailboxSettings/userPurpose")
    assert purpose["value"] == "shared"
    members = company.get("users", params={
        "$filter": "userType eq 'Member' and accountEnabled eq true", "$select": "mail",
    })["value"]  # fmt: skip
    assert {user["mail"] for user in members} == {company.mail(name) for name in company.names}


def test_users_page_by_an_opaque_token(company: Company):
    page = company.get("users", params={"$top": "2", "$select": "id"})
    rest = company.get(page["@odata.nextLink"])
    assert "@odata.nextLink" not in rest
    ids = {user["id"] for user in [*page["value"], *rest["value"]]}
    assert ids == set(company.ids.values())


def test_inbox_rules_show_what_was_set(company: Company):
    rule = {"displayName": "Hide", "conditions": {"subjectContains": ["invoice"]},
            "actions": {"delete": True, "stopProcessingRules": True}}  # fmt: skip
    company.cloud.admin("PUT", f"mailboxes/{company.mail('ana')}/rules", {"rules": [rule]})
    rules = company.get(f"users/{company.mail('ana')}/mailFolders/inbox/messageRules")["value"]
    assert rules[0]["actions"] == rule["actions"]
    assert rules[0]["isEnabled"] is True


def test_addresses_in_brackets_and_with_namespaces_mean_the_same(company: Company):
    company.receive("ana")
    user = company.mail("ana")
    plain = company.get(f"users/{user}/mailFolders/inbox/messages")["value"]
    assert company.get(f"users('{user}')/mailfolders('Inbox')/Messages")["value"] == plain
    for path in ("delta()", "microsoft.graph.delta()", "microsoft.graph.delta", "DELTA"):
        found = company.get(f"users/{user}/mailFolders/inbox/messages/{path}")["value"]
        assert [mail["id"] for mail in found] == [plain[0]["id"]]
