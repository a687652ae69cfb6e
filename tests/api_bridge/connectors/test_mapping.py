"""Graph's JSON, official samples and nonsense alike, becomes our dataclasses or nothing."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_bridge.connectors import MailboxState
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
