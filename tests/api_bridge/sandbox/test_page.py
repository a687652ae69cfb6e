"""The page for people and the levers for tests."""

import httpx
import pytest

from tests.api_bridge.sandbox.running import Company, simple_mail

EVIL = "<script>alert(1)</script> \"'&"


def page(company: Company, path: str, **options: str) -> httpx.Response:
    return httpx.get(f"{company.cloud.http}{path}", params=options)


def test_the_page_leads_from_companies_to_a_mail_and_escapes_every_text(company: Company):
    raw = simple_mail(EVIL, subject=EVIL, message_id="<x@evil>").replace(
        b"Good morning.", f"{EVIL} & body".encode()
    )
    company.receive("ana", raw=raw)
    assert company.mail("ana").replace("@", "%40") in page(company, "/").text
    mailbox = page(company, f"/mailbox/{company.mail('ana')}")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&#x27;&amp;" in mailbox.text
    shown = company.cloud.admin("GET", f"mailboxes/{company.mail('ana')}")
    inbox = next(folder for folder in shown["folders"] if folder["name"] == "Inbox")
    reading = page(company, f"/mailbox/{company.mail('ana')}",
                   folder=inbox["id"], message=inbox["messages"][0]["id"])  # fmt: skip
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&#x27;&amp; &amp; body" in reading.text
    for response in (mailbox, reading):
        assert "<script" not in response.text
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert page(company, "/mailbox/nobody@nowhere.example").status_code == 404


def test_admin_and_page_are_not_on_the_tls_listener(company: Company):
    context = httpx.create_ssl_context(verify=False)
    for path in ("/", f"/mailbox/{company.mail('ana')}", "/_sandbox/faults"):
        assert httpx.get(f"{company.cloud.https}{path}", verify=context).status_code == 404


@pytest.mark.parametrize("headers", [{"origin": "http://127.0.0.1"}, {"host": "evil.example"}])
def test_admin_does_not_answer_to_web_pages(company: Company, headers: dict[str, str]):
    url = f"{company.cloud.http}/_sandbox/faults"
    assert httpx.get(url, headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("PUT", "tenants/not-a-guid", {"domain": "x.example"}, 400),
        ("PUT", "tenants/00000000-0000-0000-0000-000000000001", {"domain": ""}, 400),
        ("PUT", "tenants/00000000-0000-0000-0000-000000000001", [], 400),
        ("PUT", "dns", {"records": [{"name": "x", "type": "SRV", "value": "1"}]}, 400),
        ("PUT", "dns", {"records": [{"name": "x", "type": "A", "value": "no address"}]}, 400),
        ("POST", "faults", {"kind": "earthquake"}, 400),
        ("POST", "faults", {"kind": "timeout", "count": 0}, 400),
        ("POST", "send", {"from": "nobody@nowhere.example"}, 404),
        ("GET", "mailboxes/nobody@nowhere.example", None, 404),
        ("DELETE", "tenants/00000000-0000-0000-0000-000000000001", None, 404),
        ("GET", "nothing", None, 404),
    ],
)
def test_admin_refuses_what_it_cannot_use(company: Company, method, path, content, status):
    assert company.cloud.admin(method, path, content, status)["error"]


def test_putting_a_tenant_again_changes_what_is_named_and_keeps_the_mail(company: Company):
    company.receive("ana")
    user = {"id": company.ids["ana"], "mail": company.mail("ana"), "display_name": "Ana New",
            "aliases": [f"anna@{company.domain}"]}  # fmt: skip
    for _ in range(2):
        company.cloud.admin("PUT", f"tenants/{company.tenant_id}", {
            "domain": company.domain, "users": [user],
        })  # fmt: skip
    assert company.get(f"users/anna@{company.domain}")["displayName"] == "Ana New"
    assert len(company.mails("ana")) == 1
    assert len(company.get("users")["value"]) == len(company.names)


def test_a_user_without_an_id_keeps_the_one_it_is_given(company: Company):
    ids = set()
    for _ in range(2):
        user = {"mail": f"new@{company.domain}"}
        company.cloud.admin("PUT", f"tenants/{company.tenant_id}", {
            "domain": company.domain, "users": [user],
        })  # fmt: skip
        ids.add(company.get(f"users/new@{company.domain}")["id"])
    assert len(ids) == 1


def test_a_person_writes_to_colleagues_and_keeps_a_copy(company: Company):
    raw = simple_mail("bo", subject="Lunch?", message_id="<lunch@x>",
                      extra="X-MS-Exchange-Organization-AuthAs: Anonymous\r\n")  # fmt: skip
    company.send_inside("ana", ["bo", "cfo"], raw)
    for name in ("bo", "cfo"):
        mail = company.mails(name)[0]
        path = f"users/{company.mail(name)}/messages/{mail['id']}/$value"
        head = company.graph.get(path).content.split(b"\r\n\r\n")[0]
        assert head.startswith(b"X-MS-Exchange-Organization-AuthAs: Internal\r\n")
        assert b"Anonymous" not in head
    sent = company.get(f"users/{company.mail('ana')}/mailFolders/sentitems/messages")["value"]
    assert [(mail["subject"], mail["isRead"]) for mail in sent] == [("Lunch?", True)]


def test_admin_marks_a_mail_as_read(company: Company):
    message_id = company.receive("ana")
    company.cloud.admin(
        "POST", f"mailboxes/{company.mail('ana')}/read", {"internet_message_id": message_id}
    )
    assert company.mails("ana")[0]["isRead"] is True
