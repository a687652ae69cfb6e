"""Whatever is wrong with a request, the answer is a problem document that says what (RFC 9457)."""

from __future__ import annotations

from base64 import b64encode
from uuid import uuid4

import pytest

from tests.console.api.caller import Caller, assert_problem

LISTS = (
    *("tenants", "incidents", "messages", "deliveries", "observations", "held", "actions"),
    *("jobs", "reports", "gateway-rules", "accesses"),
    *("disagreements", "rehearsals", "standing-orders", "user-reports", "pull-proposals"),
    "renewals",
    "suppressions",
    *("sender-stops", "queues"),
)


def cursor(text: str) -> str:
    return b64encode(text.encode()).decode()


# The same in every process: two of them share the tests out by their names.
NOBODYS_ID = "6f1f7d0e-52a4-4c3e-9d1b-1c0c4e6b7a10"


@pytest.mark.parametrize("token", ["", "wrong", "token-of-late", "token-of-ina", "\x00", "é" * 300])
def test_without_a_good_token_there_is_nothing(console, token):
    answer = Caller("").ask("GET", "incidents/", headers={"Authorization": f"Bearer {token}"})
    assert_problem(answer, 401)
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", [name for name in LISTS if name not in ("tenants", "accesses")])
@pytest.mark.parametrize(
    "object_id", [NOBODYS_ID, "0" * 36, "-" * 36, "1", "..", "%00", "a" * 2000, "é"]
)
def test_an_id_that_is_none(mo, name, object_id):
    assert_problem(mo.get(f"{name}/{object_id}"), 404)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "query",
    [
        *("unknown=1", "page_size=x", "page_size=0", "page_size=-1", "page_size=1.5"),
        *("cursor=%%%", "cursor=x", f"cursor={cursor('p=abc')}", f"cursor={cursor('o=x')}"),
        *(f"cursor={cursor('p=')}", f"cursor={cursor('p=%00')}", f"cursor={cursor('r=1&p=é')}"),
        f"cursor={cursor('p=99999999999999999999999')}",
    ],
)
def test_paging_and_filters_that_make_no_sense(mo, name, query):
    assert_problem(mo.get(f"{name}/?{query}"), 400, 404)


@pytest.mark.parametrize(
    "query",
    [
        *("since=yesterday", "since=2026-13-01T00:00:00Z", "until=0000-00-00T00:00:00Z"),
        *("since=0001-01-01T00:00:00%2B14:00", "until=9999-12-31T23:59:59-14:00", "since=%00"),
        *("kind=nonsense", "severity=0", "state=closed", "cross_layer=x", "is_open=perhaps"),
        *("internet_message_id=%00", "tenant=%00", "sender=%00"),
    ],
)
def test_values_of_filters_that_make_no_sense(mo, query):
    answer = mo.get(f"incidents/?{query}")
    if answer.status_code == 200:
        # No error where the value is merely odd, like a year that no row has.
        assert query.startswith(("since=0001", "until=9999", "is_open", "tenant", "sender"))
        return
    assert_problem(answer, 400)


@pytest.mark.parametrize("wish", ["incident", "message", "replay"])
@pytest.mark.parametrize("value", ["x", "1", "%00", NOBODYS_ID + "0"])
def test_an_id_in_a_filter_that_is_none(mo, wish, value):
    assert_problem(mo.get(f"deliveries/?{wish}={value}"), 400)


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "[]", "null", "1", '"text"', '{"value": 1e999}', b"\xff\xfe", "[" * 5000),
        *('{"tenant": null}', '{"tenant": {}}', '{"tenant": "acme", "value": ["x"]}'),
        *('{"tenant": "acme", "value": "\\u0000"}', '{"tenant": "acme", "value": "\\ud800@x.y"}'),
        '{"tenant": "acme", "value": "x@evil.example", "expires_at": "2020-01-01T00:00:00Z"}',
        '{"tenant": "acme", "value": "x@evil.example", "expires_at": "0001-01-01T00:00:00+14:00"}',
        '{"tenant": "acme", "value": "x@evil.example", "kind": "maybe"}',
        '{"tenant": "acme", "value": "not an address", "match": "client_ip"}',
    ],
)
@pytest.mark.parametrize("key", ["", "key"])
def test_a_body_that_makes_no_sense(mo, body, key):
    assert_problem(mo.ask("POST", "gateway-rules/", body, key=key and str(uuid4())), 400)


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "", "é/é", "json"])
def test_a_body_of_another_type(mo, content_type):
    answer = mo.ask("POST", "gateway-rules/", "x", content_type=content_type)
    assert_problem(answer, 400, 415)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"])
def test_a_method_that_is_not_there(mo, method):
    assert_problem(mo.ask(method, "incidents/"), 405)


def test_a_wish_for_a_format_that_is_not_there(mo):
    assert_problem(mo.ask("GET", "incidents/", headers={"Accept": "text/html"}), 406)
    assert_problem(mo.get("incidents/?format=xml"), 404)


@pytest.mark.parametrize("path", ["nothing", "incidents/x/y/z", "schema/x", "%00", "incidents//"])
def test_an_address_that_is_not_there(mo, path):
    assert_problem(mo.get(path), 404)


def test_a_body_that_is_too_large_is_refused(mo, world):
    body = '{"reason": "' + "x" * 3_000_000 + '"}'
    path = f"incidents/{world.acme.ids['incident']}/pull"
    for key in ("", "k"):
        assert_problem(mo.ask("POST", path, body, key=key), 413)


def test_a_key_that_is_too_long(mo, world):
    incident = world.acme.ids["incident"]
    assert_problem(mo.post(f"incidents/{incident}/take", key="k" * 201), 400)


def test_page_size_and_cursor_lead_through_all_rows(mo):
    everything = mo.get("observations/?page_size=500").json()["results"]
    seen, path = [], "observations/?page_size=2"
    while path:
        page = mo.get(path).json()
        assert len(page["results"]) <= 2
        seen += page["results"]
        path = (page["next"] or "").rpartition("/api/v1/")[2]
    assert [row["id"] for row in seen] == [row["id"] for row in everything]
    assert len(seen) > 4


def test_a_page_is_never_larger_than_the_limit(mo):
    answer = mo.get("observations/?page_size=100000")
    assert answer.status_code == 200
    assert len(answer.json()["results"]) <= 500


@pytest.mark.parametrize(
    "address",
    [
        *("ledger/", "ledger/threats/", "kpis/", "kpis/triage/", "sla/", "sla/kept/"),
        *("incidents/", "queue-hops/", "mailbox-counts/", "entities/host/", "entities/host/mails/"),
        *("tenants/acme/policy", "tenants/acme/conservation", "tenants/acme/blind-spots"),
        *("tenants/acme/blind-spots/lost", "tenants/acme/found-late/missed"),
    ],
)
def test_a_filter_that_is_not_known_is_an_error_that_names_the_others(mo, address):
    answer = mo.get(f"{address}?colour=red")
    assert_problem(answer, 400)
    assert answer.json()["detail"].startswith("Unknown filter: colour. Known are: ")


@pytest.mark.parametrize("address", ["ledger/", "kpis/", "sla/kept/", "queue-hops/", "incidents/"])
def test_a_group_that_is_no_id(mo, address):
    assert_problem(mo.get(f"{address}?group=x"), 400)


@pytest.mark.parametrize(
    ("address", "body", "wrong"),
    [
        (
            "gateway-rules/",
            {"tenant": "acme", "value": "a@b.example", "reason": "bad", "expire_at": "x"},
            "expire_at",
        ),
        ("held/{held}/release", {"reason": "asked for", "exception": {"dayz": 1}}, "exception"),
        ("incidents/{incident}/take", {"revison": 1}, "revison"),
        ("incidents/{incident}/comments", {"text": "hello", "audiense": "client"}, "audiense"),
    ],
)
def test_a_field_that_is_not_known_is_an_error(mo, world, address, body, wrong):
    path = address.format(**world.acme.ids)
    answer = mo.post(path, body)
    assert_problem(answer, 400)
    assert set(answer.json()["errors"]) == {wrong}
