"""Message traces as Exchange answers them."""

import datetime as dt
from typing import Any

import pytest

from tests.api_bridge.sandbox.running import Company, simple_mail

PATH = "admin/exchange/tracing/messageTraces"


def ago(**units: float) -> str:
    at = dt.datetime.now(dt.UTC) - dt.timedelta(**units)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def between(since: str, until: str) -> dict[str, str]:
    return {"$filter": f"receivedDateTime ge {since} and receivedDateTime le {until}"}


def traces(company: Company, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = company.get(PATH, params=options)["value"]
    return found


def test_what_was_delivered_is_on_record_and_stays_so(company: Company, other: Company):
    message_id = company.receive("ana", subject="Invoice")
    inside = simple_mail(company.mail("bo"), subject="Lunch", message_id="<1@inside.example>")
    company.send_inside("ana", ["bo", "cfo"], inside)
    mail = company.mails("ana", params={"$filter": "subject eq 'Invoice'"})[0]["id"]
    company.graph.post(f"users/{company.mail('ana')}/messages/{mail}/permanentDelete")
    lunch, _, invoice = traces(company)
    assert (invoice["messageId"], invoice["status"]) == (message_id, "delivered")
    assert invoice["recipientAddress"] == company.mail("ana")
    assert invoice["senderAddress"] == "sender@sender.example.net"
    assert {row["recipientAddress"] for row in traces(company)[:2]} == {
        company.mail("bo"), company.mail("cfo"),
    }  # fmt: skip
    assert lunch["messageId"] == "<1@inside.example>"
    assert traces(other) == []


def test_a_time_is_asked_for_with_both_ends_and_page_by_page(company: Company):
    for days in (1, 3, 5):
        company.cloud.admin("POST", f"tenants/{company.tenant_id}/traces", {
            "recipient": company.mail("ana"), "status": "quarantined",
            "internet_message_id": f"<{days}@x.example>", "received_at": ago(days=days),
        }, 201)  # fmt: skip
    assert [row["messageId"] for row in traces(company)] == ["<1@x.example>"]
    asked = between(ago(days=6), ago(days=2))
    page = company.get(PATH, params=asked | {"$top": "1"})
    rest = company.get(page["@odata.nextLink"])
    found = [row["messageId"] for row in (*page["value"], *rest["value"])]
    assert found == ["<3@x.example>", "<5@x.example>"]
    assert "@odata.nextLink" not in rest


@pytest.mark.parametrize(
    "asked",
    [
        between(ago(days=12), ago(days=1)),
        between(ago(days=95), ago(days=94)),
        between(ago(days=1), ago(days=-1)),
        {"$filter": f"receivedDateTime ge {ago(days=1)}"},
        {"$top": "5001"},
    ],
    ids=["too long", "too old", "not yet", "one end", "big page"],
)
def test_what_exchange_refuses_is_refused(company: Company, asked: dict[str, str]):
    assert company.graph.get(PATH, params=asked).status_code == 400


def test_the_permission_is_needed_and_a_hundred_requests_are_enough(company: Company):
    app = {"client_id": "weak", "secret": "s", "roles": ["Mail.Read"]}
    company.cloud.admin("PUT", f"tenants/{company.tenant_id}", {
        "domain": company.domain, "apps": [app],
    })  # fmt: skip
    weak = company.token(client_id="weak", client_secret="s").json()["access_token"]
    answer = company.graph.get(PATH, headers={"authorization": f"Bearer {weak}"})
    assert answer.status_code == 403
    for _ in range(100):
        assert company.graph.get(PATH, params={"$top": "1"}).status_code == 200
    refused = company.graph.get(PATH)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 300
