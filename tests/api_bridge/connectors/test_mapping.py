"""Graph's JSON, official samples and nonsense alike, becomes our dataclasses or nothing."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_bridge.connectors import MailboxState
from api_bridge.connectors.graph.client import entries_of, next_link_of
from api_bridge.connectors.graph.mapping import (
    ITEM_FIELDS,
    item_of,
    mailbox_of,
    plain_address,
    state_of,
    subscription_of,
    time_of,
)
from api_bridge.connectors.graph.rebuild import rebuild_mail
from api_bridge.connectors.graph.traces import trace_of
from api_bridge.connectors.traces import TraceStatus
from incidents.words import Place

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FIELDS = [*ITEM_FIELDS.split(","), "accountEnabled", "mail", "proxyAddresses", "userType"]


@pytest.fixture(scope="module")
def samples(shared_dir):
    return json.loads((shared_dir / "contracts/graph/graph-doc-samples.json").read_text())


def bodies(samples, *paths):
    """The JSON objects of the official answers under these paths; the elements of lists singly."""
    for sample in samples:
        body = sample["body"]
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except ValueError:
                continue
        if sample["path"].endswith(paths) and isinstance(body, dict):
            value = body.get("value", body)
            yield from value if isinstance(value, list) else [value]


@pytest.mark.shared
def test_every_official_message_becomes_an_item_and_a_state(samples):
    seen = 0
    for body in bodies(samples, "/messages", "/messages/{message-id}", "/move", "/copy"):
        item = item_of(body, "u", Place.INBOX, NOW)
        assert (item is None) == ("id" not in body)
        assert state_of(body, Place.INBOX).exists
        if item is not None:
            assert rebuild_mail(item)
            seen += 1
    assert seen >= 5


@pytest.mark.shared
def test_every_official_user_becomes_a_mailbox(samples):
    users = list(bodies(samples, "/users", "/users/{user-id}"))
    assert len(users) >= 5
    for user in users:
        mailbox = mailbox_of(user)
        assert (mailbox is None) == ("id" not in user)


@pytest.mark.shared
def test_every_official_subscription_is_read(samples):
    found = list(bodies(samples, "/subscriptions", "/subscriptions/{subscription-id}"))
    assert len(found) >= 2
    for body in found:
        assert subscription_of(body).expires_at.tzinfo is not None


@pytest.mark.shared
def test_every_official_answer_is_read_as_a_page_or_an_object(samples):
    """Whatever list it is of, its rows and its next link are found, and nothing is made up."""
    lists = 0
    for sample in samples:
        body = sample["body"]
        if sample["method"] != "get" or not isinstance(body, dict):
            continue
        if isinstance(body.get("value"), list):
            assert len(entries_of(body)) == len(body["value"])
            assert next_link_of(body) == body.get("@odata.nextLink", "")
            lists += 1
    assert lists >= 15


@pytest.mark.shared
def test_no_official_answer_of_another_kind_is_taken_for_ours(samples):
    for body in bodies(samples, ""):
        if not isinstance(body, dict):
            continue
        traced = trace_of(body)
        assert traced is None
        item = item_of(body, "u", Place.INBOX, NOW)
        assert item is None or item.ref.item_id == body["id"]


# As Microsoft's page of messageTraces shows one (January 2026).
TRACE = {
    "id": "4451a062-48cb-e80d-e8c0-196330437ae6",
    "senderAddress": "sender@contoso.com",
    "recipientAddress": "Recipient@contoso.com",
    "messageId": "<d9683b4c-127b-413a-ae2e-fa7dfb32c69d@contoso.com>",
    "receivedDateTime": "2025-06-13T10:30:00Z",
    "subject": "Quarterly Report",
    "size": 45678,
    "fromIP": "192.168.1.100",
    "toIP": "",
    "status": "delivered",
}


def test_the_official_trace_is_read():
    traced = trace_of(TRACE)
    assert traced is not None
    assert (traced.recipient, traced.status) == ("recipient@contoso.com", TraceStatus.DELIVERED)
    assert traced.internet_message_id == TRACE["messageId"]
    assert traced.received_at == datetime(2025, 6, 13, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize("missing", ["id", "recipientAddress", "receivedDateTime"])
def test_a_trace_that_does_not_say_which_mail_is_none(missing):
    assert trace_of({**TRACE, missing: None}) is None


@pytest.mark.parametrize(
    ("said", "status"),
    [("FilteredAsSpam", "filtered"), ("recalled", "other"), (None, "other"), (7, "other")],
)
def test_a_status_that_is_not_known_is_another(said, status):
    traced = trace_of({**TRACE, "status": said})
    assert traced is not None
    assert traced.status == status


@pytest.mark.shared
def test_the_headers_of_the_official_sample_keep_their_order(samples):
    body = next(
        body
        for body in bodies(samples, "/messages/{message-id}")
        if "internetMessageHeaders" in body
    )
    item = item_of(body, "u", Place.INBOX, NOW)
    assert item is not None
    assert [name for name, _ in item.headers] == [
        header["name"] for header in body["internetMessageHeaders"]
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["emailAddress", "address", "name", "value", "content", "contentType", "x"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_no_shape_of_an_answer_breaks_the_reading(data):
    item = item_of(data, "u", Place.OTHER, NOW)
    state_of(data, Place.OTHER)
    mailbox_of(data)
    if item is not None:
        assert item.received_at.tzinfo is not None
        assert rebuild_mail(item)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00:00.1234567Z", datetime(2026, 11, 22, 10, 0, 0, 123456, UTC)),
        ("2026-11-22T11:00:00+01:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("datetime-value", None),
        ("", None),
        ("9999-12-31T23:59:59-23:00", None),
    ],
)
def test_times_are_utc_or_unknown(written, read):
    assert time_of({"at": written}, "at") == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Ceo@Acme.Example", "ceo@acme.example"),
        ("x@bücher.example", "x@xn--bcher-kva.example"),
        ("/O=EXCHANGELABS/OU=GROUP/CN=RECIPIENTS/CN=X", ""),
        ("@acme.example", ""),
        ("x@" + "ü" * 300, ""),
    ],
)
def test_addresses_are_lower_case_with_an_a_label_domain(written, read):
    assert plain_address(written) == read


def test_aliases_are_all_addresses_but_the_main_one():
    mailbox = mailbox_of(
        {
            "id": "1",
            "mail": "Ceo@acme.example",
            "userPrincipalName": "c.e@acme.example",
            "proxyAddresses": ["SMTP:ceo@acme.example", "smtp:Chief@acme.example", "x500:/o=x"],
            "accountEnabled": False,
        }
    )
    assert mailbox is not None
    assert (mailbox.address, mailbox.aliases) == ("ceo@acme.example", ("chief@acme.example",))
    assert (mailbox.state, mailbox.is_enabled) == (MailboxState.ACTIVE, False)


def test_guests_and_users_without_mail_have_no_mailbox():
    guest = mailbox_of({"id": "1", "mail": "a@b.example", "userType": "Guest"})
    bare = mailbox_of({"id": "2", "userPrincipalName": "x@acme.example", "mail": None})
    assert guest is not None
    assert bare is not None
    assert {guest.state, bare.state} == {MailboxState.NO_MAILBOX}


def test_the_content_hash_does_not_see_folder_or_flags():
    body = {"subject": "a", "body": {"contentType": "html", "content": "<p>x"}, "isRead": True}
    moved = {**body, "parentFolderId": "other", "isRead": False, "categories": ["x"]}
    edited = {**body, "body": {"contentType": "html", "content": "<p>y"}}
    hashes = [state_of(data, Place.INBOX).content_hash for data in (body, moved, edited)]
    assert hashes[0] == hashes[1] != hashes[2]
