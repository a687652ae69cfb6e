"""What the API shows: every object says whose it is, and closed lists are in the schema."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.serializers import BaseSerializer

from console import api
from incidents.codes import COUNTS, CROSS_LAYER
from incidents.models import ContentAccess, Incident
from tenants.models import Person
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.console.api.caller import assert_problem
from tests.console.api.test_problems import LISTS
from tests.isolation.surfaces import signed_in_as
from tests.isolation.visits import visitors
from tests.isolation.world import raw_mail

COUNTED = Path(__file__).resolve().parents[1] / "query_counts.json"
PAGES = (
    *("", "handled", "health", "mail", "held", "clients", "jobs", "ledger"),
    *("disagreements", "rules", "standing-orders", "reported"),
    *("kpis", "sla", "mentions", "suppressions", "incidents/bulk", "?tab=quiet"),
)


@pytest.mark.parametrize("name", LISTS)
def test_every_object_carries_its_id_and_its_client(mo, name):
    rows = mo.get(f"{name}/?page_size=500").json()["results"]
    assert {row["tenant"] for row in rows} == {"acme", "globex"}
    for row in rows:
        assert row["id"]
        one = mo.get(f"{name}/{row['id']}") if name != "accesses" else None
        # Of some things more is told than a list of them shows.
        assert one is None or one.json() | row == one.json()


def test_an_incident_says_what_both_layers_say(mo, world):
    incident = mo.get(f"incidents/{world.acme.ids['incident']}").json()
    assert {"title", "kind", "severity", "state", "layers", "cross_layer"} <= set(incident)
    assert incident["layers"] == {"gateway": "clean", "mailbox": "phish"}
    assert "gateway_passed_mailbox_condemned" in incident["cross_layer"]
    assert set(incident["counts"]) == set(COUNTS)
    assert incident["first_seen"] <= incident["last_seen"]


def test_a_delivery_is_found_by_its_message_id_in_brackets(mo):
    found = mo.get("deliveries/?internet_message_id=<1.acme@evil.example>").json()["results"]
    (delivery,) = found
    assert delivery["internet_message_id"] == "<1.acme@evil.example>"
    assert delivery["recipient"] == "info@acme.example"
    assert {"outcome", "place", "verified_at", "verdicts"} <= set(delivery)


def test_closed_lists_are_in_the_schema(schema):
    shown = schema["components"]["schemas"]
    text = json.dumps(schema)
    for code in (*CROSS_LAYER, *Incident.Kind.values, *Incident.State.values):
        assert f'"{code}"' in text, code
    assert set(shown["Counts"]["properties"]) == set(COUNTS)


def test_no_two_shapes_of_the_schema_have_one_name():
    """The schema knows a shape by its name: one of two would be told by the other's fields."""
    for module in iter_modules(api.__path__):
        import_module(f"{api.__name__}.{module.name}")
    shapes: list[type] = [BaseSerializer]
    for shape in shapes:  # grows while it is walked
        shapes += shape.__subclasses__()
    own = {shape for shape in shapes if shape.__module__.startswith(f"{api.__name__}.")}
    names = Counter(shape.__name__ for shape in own)
    assert [name for name, n in names.items() if n > 1] == []


def test_the_way_in_names_what_there_is(mo):
    root = mo.get("").json()
    for name, address in root.items():
        assert mo.get(f"{name}/").status_code == 200, address


def accesses(side) -> int:
    with tenant_scope(Role.ANALYST, [side.tenant.id]):
        return int(ContentAccess.objects.filter(message_id=side.ids["message"]).count())


@pytest.mark.parametrize("reason", ["", "    ", "why", None])
def test_the_original_needs_a_reason(mo, world, reason):
    before = accesses(world.acme)
    answer = mo.post(f"messages/{world.acme.ids['message']}/original", {"reason": reason})
    assert_problem(answer, 400)
    assert accesses(world.acme) == before


def test_the_original_needs_the_right(mo, world):
    def give(right: bool) -> None:
        with maintenance_scope():
            Person.objects.filter(id=world.cast.mo.id).update(may_open_content=right)

    _as_owner(give, False)
    try:
        before = accesses(world.acme)
        body = {"reason": "the client asked"}
        assert_problem(mo.post(f"messages/{world.acme.ids['message']}/original", body), 403)
        assert accesses(world.acme) == before
    finally:
        _as_owner(give, True)


def _as_owner(change, value: bool) -> None:
    with signed_in_as("DATABASE_URL"):
        change(value)


def test_the_client_can_withdraw_the_right(mo, world):
    side = world.globex

    def allow(is_allowed: bool) -> None:
        with maintenance_scope():
            type(side.tenant).objects.filter(id=side.tenant.id).update(
                body_access_allowed=is_allowed
            )

    _as_owner(allow, False)
    try:
        body = {"reason": "the client asked"}
        assert_problem(mo.post(f"messages/{side.ids['message']}/original", body), 403)
    finally:
        _as_owner(allow, True)


def test_an_opening_is_on_record_before_the_bytes_are_read(mo, world, monkeypatch):
    side, seen = world.acme, []

    def read(*, tenant_id: int, digest: str) -> bytes:
        seen.append(ContentAccess.objects.filter(message_id=side.ids["message"]).count())
        return b"bytes"

    monkeypatch.setattr("incidents.content.read_evidence", read)
    before = accesses(side)
    answer = mo.post(f"messages/{side.ids['message']}/original", {"reason": "the client asked"})
    assert (answer.status_code, answer.content) == (200, b"bytes")
    assert seen == [before + 1]


def test_the_original_is_the_very_bytes(mo, world):
    answer = mo.post(
        f"messages/{world.acme.ids['message']}/original", {"reason": "the client asked"}
    )
    assert answer.content == raw_mail(world.acme, 1)
    assert answer["Content-Type"] == "message/rfc822"


def statements(ask) -> int:
    with CaptureQueriesContext(connection) as found:
        assert ask().status_code == 200
    return sum(each["sql"].startswith(("SELECT", "INSERT", "UPDATE")) for each in found)


def test_lists_cost_as_many_statements_as_recorded(mo, world):
    """Changed on purpose: UPDATE_QUERY_COUNTS=1 writes the file anew."""
    ana = visitors(world, "console")["ana"]
    counted = {f"/api/v1/{name}/": statements(lambda n=name: mo.get(f"{n}/")) for name in LISTS}
    for name in PAGES:
        ana.get(f"/console/{name}")  # what is read once per process is not the page's
        counted[f"/console/{name}"] = statements(lambda n=name: ana.get(f"/console/{n}"))
    if os.environ.get("UPDATE_QUERY_COUNTS") == "1":
        COUNTED.write_text(json.dumps(counted, indent=2, sort_keys=True) + "\n")
    assert counted == json.loads(COUNTED.read_text())


@pytest.mark.parametrize("name", [name for name in LISTS if name != "tenants"])
def test_a_longer_list_costs_no_more_statements(mo, name):
    short, long = (
        statements(lambda size=size: mo.get(f"{name}/?page_size={size}")) for size in (1, 500)
    )
    assert short == long


def test_the_agreed_times_behind_a_number_are_as_many_over_their_pages(mo):
    lines = mo.get("sla/").json()["lines"]
    for figure in ("kept", "missed", "open"):
        answer = mo.get(f"sla/{figure}/?page_size=1").json()
        found = answer["results"]
        while answer["next"]:
            answer = mo.get(answer["next"].partition("/api/v1/")[2]).json()
            assert len({each["incident"] for each in answer["results"]}) == 1
            found += answer["results"]
        assert len(found) == sum(line[figure] for line in lines)
        assert {each["state"] for each in found} <= {figure}
    assert lines
    assert_problem(mo.get("sla/nonsense/"), 404)
    assert_problem(mo.get("sla/open/?page_size=0"), 400)


def test_the_forecast_looks_as_far_as_it_is_asked_to(mo, world):
    with tenant_scope(Role.ANALYST, [world.acme.tenant.id]):
        Incident.objects.filter(id=world.acme.ids["incident"]).update(
            due_at=timezone.now() + timedelta(hours=20)
        )

    def soon(hours: str) -> bool:
        rows = mo.get(f"sla/forecast/?tenant=acme{hours}").json()["results"]
        return world.acme.ids["incident"] in {row["id"] for row in rows}

    assert [soon(""), soon("&hours=19"), soon("&hours=21")] == [False, False, True]
    assert_problem(mo.get("sla/forecast/?hours=many"), 400)
