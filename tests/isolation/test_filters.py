"""Somebody else's ids and names in filters, cursors and bodies are worth what nonsense is worth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse

from console.api import accounts, filters, held
from console.api.renewals import RenewalFilter
from console.api.user_reports import UserReportFilter
from tests.isolation.surfaces import surface
from tests.isolation.visits import Visitor, body_of, visitors
from tests.isolation.world import Side, World, missing_id

LISTS = (
    *("tenants", "incidents", "messages", "deliveries", "observations", "held", "actions"),
    *("jobs", "reports", "gateway-rules", "accesses", "suppressions", "release-looks"),
    *("digests", "wishes", "sent-mail", "legal-holds", "mailboxes", "user-reports"),
    *("accounts/signs", "accounts/steps", "accounts/snapshots"),
)
FILTERS = {
    "incidents": filters.IncidentFilter,
    "messages": filters.MessageFilter,
    "deliveries": filters.DeliveryFilter,
    "held": filters.DeliveryFilter,
    "observations": filters.ObservationFilter,
    "jobs": filters.JobFilter,
    "actions": filters.ActionFilter,
    "reports": filters.ReportFilter,
    "gateway-rules": filters.GatewayRuleFilter,
    "suppressions": filters.SuppressionFilter,
    "digests": held.DigestFilter,
    "wishes": held.WishFilter,
    "sent-mail": held.SentMailFilter,
    "legal-holds": held.LegalHoldFilter,
    "mailboxes": held.MailboxFilter,
    "release-looks": filters.ReleaseLookFilter,
    "user-reports": UserReportFilter,
    "renewals": RenewalFilter,
    "accounts/signs": accounts.AccountSignFilter,
    "accounts/steps": accounts.AccountStepFilter,
    "accounts/snapshots": accounts.MailboxSnapshotFilter,
}
# Filters whose values are no client's: closed lists, times, yes and no.
NOBODYS = {
    *("kind", "severity", "state", "cross_layer", "is_open", "since", "until", "direction"),
    *("outcome", "place", "is_bypass", "layer", "verdict", "action", "audience", "match"),
    *("in_force", "is_vip", "is_over", "way", "said", "trust", "code"),
}


def values(side: Side) -> dict[str, tuple[str, str]]:
    """Filter → a value of this client's, and one that nobody has."""
    slug, nothing = side.tenant.slug, missing_id()
    ids = {name: (side.ids[name], nothing) for name in ("incident", "message", "delivery", "job")}
    return ids | {
        "tenant": (slug, "nobody"),
        "group": (side.ids["own-group"], nothing),
        "order": (side.ids["group"], nothing),
        "replay": (side.ids["replay"], nothing),
        "internet_message_id": (f"<1.{slug}@evil.example>", "<none@evil.example>"),
        "q": (f"<1.{slug}@evil.example>", "zqnothing"),
        "ticket": (side.inner, "nobody"),
        "mailbox": (f"cfo@{slug}.example", "cfo@nobody.example"),
        "address": (f"info@{slug}.example", "info@nobody.example"),
        "to_address": (f"{side.inner}@{slug}.example", "nobody@nobody.example"),
        "recipient": (f"cfo@{slug}.example", "cfo@nobody.example"),
        "sender": (f"{side.open}@evil.example", "nobody@evil.example"),
        "sender_address": (f"{side.open}@evil.example", "nobody@evil.example"),
        "source": (f"graph:info@{slug}.example", "graph:nobody"),
        "reporter": (side.inner, "nobody@evil.example"),
        "value": (f"{side.inner}@evil.example", "nobody@evil.example"),
    }


@pytest.fixture
def staff(world: World) -> Iterator[dict[str, Visitor]]:
    with surface("console"):
        yield visitors(world, "console")


def results(answer: HttpResponse) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = json.loads(answer.content)["results"]
    return found


def test_every_filter_is_known_here(world):
    known = set(values(world.globex)) | NOBODYS
    for name, filterset in FILTERS.items():
        assert set(filterset.base_filters) - known == set(), f"{name}: whose values are these?"


@pytest.mark.parametrize("name", FILTERS)
def test_a_foreign_value_finds_what_nonsense_finds(name, staff, world):
    bo, mo = staff["token of bo"], staff["token of mo"]
    for wish, (foreign, nonsense) in values(world.globex).items():
        if wish not in FILTERS[name].base_filters:
            continue
        answers = [
            bo.ask("GET", f"/api/v1/{name}/?{wish}={value}") for value in (foreign, nonsense)
        ]
        assert results(answers[0]) == results(answers[1]) == [], wish
        found = results(mo.get(f"/api/v1/{name}/?{wish}={foreign}"))
        assert {row["tenant"] for row in found} <= {"globex"}
        assert found or (name, wish) in EMPTY_FOR_MO, f"{wish} finds nothing even for a lead"


# What the world has no row for.
EMPTY_FOR_MO = {
    ("accounts/signs", "mailbox"),
    ("accounts/steps", "mailbox"),
    ("accounts/snapshots", "mailbox"),
    ("release-looks", "delivery"),
    ("release-looks", "job"),
    ("release-looks", "order"),
    ("held", "message"),
    ("held", "incident"),
    ("held", "internet_message_id"),
    ("held", "q"),
    ("reports", "job"),
    ("suppressions", "value"),
    ("wishes", "delivery"),
    ("legal-holds", "message"),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_the_same_as_if_there_were_no_other_client(name, staff):
    bo = results(staff["token of bo"].get(f"/api/v1/{name}/?page_size=500"))
    wish = "" if name in ("tenants", "accesses") else "&tenant=acme"
    mo = results(staff["token of mo"].get(f"/api/v1/{name}/?page_size=500{wish}"))
    assert bo
    assert bo == [row for row in mo if row["tenant"] == "acme"]


@pytest.mark.parametrize("name", LISTS)
def test_somebody_elses_cursor_leads_through_ones_own_rows(name, staff):
    mo, bo = staff["token of mo"], staff["token of bo"]
    first = json.loads(mo.get(f"/api/v1/{name}/?page_size=1").content)
    seen = []
    while first["next"]:
        address = first["next"].removeprefix("http://testserver")
        seen += results(bo.get(address))
        first = json.loads(mo.get(address).content)
    assert {row["tenant"] for row in seen} <= {"acme"}


@pytest.mark.parametrize("name", ["", "handled", "mail", "held", "reported"])
def test_pages_filter_by_a_foreign_client_as_by_none(name, staff, world):
    bo = staff["bo"]
    for wish, foreign, nonsense in (
        ("client", "globex", "nobody"),
        ("q", world.globex.inner, "zqnothing"),
        ("q", world.globex.ids["incident"], missing_id()),
    ):
        answers = [
            body_of(bo.get(f"/console/{name}?{wish}={value}")) for value in (foreign, nonsense)
        ]
        assert answers[0].replace(foreign.encode(), nonsense.encode()) == answers[1]


@pytest.mark.parametrize(
    "name", ["", "mail", "held", "clients", "jobs", "handled", "health", "reported"]
)
def test_a_page_of_one_client_does_not_show_that_there_are_others(name, staff):
    page = body_of(staff["bo"].get(f"/console/{name}"))

    assert b"globex" not in page.lower()
    assert body_of(staff["ana"].get(f"/console/{name}")) != page, "who has both sees more"
