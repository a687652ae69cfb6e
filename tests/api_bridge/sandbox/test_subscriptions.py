"""Subscriptions and the notifications that come of them."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api_bridge.sandbox.receiver import Receiver, receiving
from tests.api_bridge.sandbox.running import Company

IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def in_minutes(minutes: float) -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)).isoformat()


def wanted(company: Company, receiver: Receiver, **changes: Any) -> dict[str, Any]:
    return {
        "changeType": "created",
        "notificationUrl": receiver.url,
        "resource": f"/users/{company.ids['ana']}/messages",
        "expirationDateTime": in_minutes(60),
        "clientState": "a secret",
    } | changes


def subscribe(company: Company, receiver: Receiver, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = company.post(
        "subscriptions", wanted(company, receiver, **changes), headers=IMMUTABLE
    )
    return made


def test_a_new_mail_is_told_with_client_state_tenant_and_immutable_id(
    company: Company, receiver: Receiver
):
    made = subscribe(company, receiver)
    company.receive("bo")
    company.receive("ana")
    (told,) = receiver.next()
    mail = company.mails("ana", headers=IMMUTABLE)[0]
    assert told["subscriptionId"] == made["id"]
    assert (told["clientState"], told["tenantId"]) == ("a secret", company.tenant_id)
    assert (told["changeType"], told["resourceData"]["id"]) == ("created", mail["id"])
    assert told["resource"] == f"Users/{company.ids['ana']}/Messages/{mail['id']}"
    assert receiver.is_quiet()


def test_without_the_preference_notifications_carry_normal_ids(
    company: Company, receiver: Receiver
):
    company.post("subscriptions", wanted(company, receiver))
    company.receive("ana")
    assert receiver.next()[0]["resourceData"]["id"] == company.mails("ana")[0]["id"]


def test_a_move_is_told_as_created_and_deleted_and_a_mark_as_updated(
    company: Company, receiver: Receiver
):
    company.receive("ana")
    mail = company.mails("ana", headers=IMMUTABLE)[0]["id"]
    subscribe(company, receiver, changeType="created,updated,deleted")
    path = f"users/{company.mail('ana')}/messages/{mail}"
    company.graph.patch(path, json={"isRead": True})
    company.post(f"{path}/move", {"destinationId": "junkemail"})
    told = receiver.collect(3)
    assert [item["changeType"] for item in told] == ["updated", "deleted", "created"]
    assert {item["resourceData"]["id"] for item in told} == {mail}


def test_a_folders_subscription_hears_of_that_folder_only(company: Company, receiver: Receiver):
    resource = f"users/{company.ids['ana']}/mailFolders('junkemail')/messages"
    subscribe(company, receiver, resource=resource)
    company.receive("ana")
    assert receiver.is_quiet()
    mail = company.mails("ana", headers=IMMUTABLE)[0]["id"]
    company.post(f"users/{company.mail('ana')}/messages/{mail}/move",
                 {"destinationId": "junkemail"})  # fmt: skip
    assert receiver.next()[0]["resourceData"]["id"] == mail


def test_each_address_is_validated_before_the_subscription_is_made(
    company: Company, receiver: Receiver
):
    subscribe(company, receiver, lifecycleNotificationUrl=receiver.url)
    assert len(receiver.handshakes) == 2
    receiver.is_valid = False
    answer = company.post("subscriptions", wanted(company, receiver), 400)
    assert answer["error"]["code"] == "ValidationError"
    nobody = wanted(company, receiver, notificationUrl="http://127.0.0.1:9/")
    assert company.post("subscriptions", nobody, 400)["error"]["code"] == "ValidationError"
    assert len(company.get("subscriptions")["value"]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"expirationDateTime": in_minutes(10_200)},
        {"expirationDateTime": in_minutes(-1)},
        {"expirationDateTime": "soon"},
        {"changeType": "created,read"},
        {"resource": "/users/{user}/events"},
        {"clientState": "x" * 129},
        {"notificationUrl": "http://example.com/"},
        {"includeResourceData": True},
    ],
)
def test_what_graph_refuses_is_refused(
    company: Company, receiver: Receiver, changes: dict[str, Any]
):
    body = wanted(company, receiver) | changes
    assert company.graph.post("subscriptions", json=body).status_code == 400
    assert receiver.handshakes == []


def test_a_short_life_becomes_45_minutes_and_can_be_renewed_and_ended(
    company: Company, receiver: Receiver
):
    made = subscribe(company, receiver, expirationDateTime=in_minutes(5))
    assert made["expirationDateTime"] > in_minutes(44)
    path = f"subscriptions/{made['id']}"
    renewed = company.graph.patch(path, json={"expirationDateTime": in_minutes(500)}).json()
    assert renewed["expirationDateTime"] > in_minutes(490)
    assert company.graph.patch(path, json={"lifecycleNotificationUrl": "x"}).status_code == 400
    assert company.graph.post(f"{path}/reauthorize").status_code == 204
    assert company.graph.delete(path).status_code == 204
    company.receive("ana")
    assert receiver.is_quiet()
    assert company.get(path, 404)["error"]["code"] == "ResourceNotFound"


def test_another_tenant_sees_no_subscription_and_cannot_make_one_on_our_mailbox(
    company: Company, other: Company, receiver: Receiver
):
    made = subscribe(company, receiver)
    assert other.get("subscriptions")["value"] == []
    assert other.graph.delete(f"subscriptions/{made['id']}").status_code == 404
    body = wanted(company, receiver)
    assert other.graph.post("subscriptions", json=body).status_code == 404


def test_one_post_may_carry_changes_of_two_tenants_and_is_repeated_until_taken(
    company: Company, other: Company, receiver: Receiver
):
    subscribe(company, receiver)
    subscribe(other, receiver)
    receiver.refusals = 2
    company.receive("ana")
    other.receive("ana")
    told = receiver.collect(2)
    assert {item["tenantId"] for item in told} == {company.tenant_id, other.tenant_id}
    assert receiver.refusals == 0


def test_lifecycle_events_are_sent_on_demand(company: Company, receiver: Receiver):
    made = subscribe(company, receiver, lifecycleNotificationUrl=receiver.url)
    order = {"subscription_id": made["id"]}
    for event in ("reauthorizationRequired", "missed", "subscriptionRemoved"):
        company.cloud.admin("POST", "lifecycle", order | {"event": event})
        (told,) = receiver.next()
        assert (told["lifecycleEvent"], told["clientState"]) == (event, "a secret")
    assert company.get("subscriptions")["value"] == []
    company.cloud.admin("POST", "lifecycle", order | {"event": "missed"}, 409)


@pytest.mark.parametrize(("kind", "count"), [("lost", 1), ("duplicate", 3)])
def test_a_lost_notification_never_comes_and_a_duplicate_comes_twice(
    company: Company, receiver: Receiver, kind: str, count: int
):
    subscribe(company, receiver)
    company.cloud.admin("POST", "faults", {
        "kind": f"{kind}_notification", "match": company.ids["ana"],
    }, 201)  # fmt: skip
    first = company.receive("ana")
    assert first
    company.receive("ana")
    assert len(receiver.collect(count)) == count
    assert receiver.is_quiet()


def test_a_delayed_notification_is_overtaken_by_the_next(company: Company, receiver: Receiver):
    subscribe(company, receiver)
    company.cloud.admin("POST", "faults", {
        "kind": "delayed_notification", "match": company.ids["ana"], "seconds": 2,
    }, 201)  # fmt: skip
    sent = [company.receive("ana"), company.receive("ana")]
    base = f"users/{company.mail('ana')}/messages"
    told = [
        company.get(f"{base}/{item['resourceData']['id']}")["internetMessageId"]
        for item in receiver.collect(2)
    ]
    assert told == [sent[1], sent[0]]
