"""One act on many incidents of many clients: a result for each, and no client's harm to another."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from incidents.models import Incident, SavedView
from incidents.services import resolve_incident
from incidents.services.many import MOST, Order, act_on_many
from incidents.services.views import remove_view, save_view, views_of
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.ids import new_id
from tenants.models import Assignment, AuditEntry, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.factories import Cast
from tests.incidents.work_on import open_incident, staff

CLIENTS, INCIDENTS = 30, 200


@pytest.fixture
def crowd(cast: Cast) -> list[Tenant]:
    """Thirty clients of Ana's with 200 open incidents among them."""
    now = timezone.now()
    with maintenance_scope():
        clients = [
            Tenant.objects.create(provider=cast.provider, slug=f"c{n}", name=f"C{n}")
            for n in range(CLIENTS)
        ]
        for client in clients:
            Assignment.objects.create(tenant=client, person=cast.ana)
        Incident.objects.bulk_create(
            Incident(
                tenant=clients[n % CLIENTS],
                number=n,
                title=f"Phishing {n}",
                kind="phish",
                severity="high",
                counts={"in_inbox": 1, "copies": 1},
                first_seen_at=now,
                last_seen_at=now,
            )
            for n in range(INCIDENTS)
        )
    return clients


def of(cast: Cast, clients: list[Tenant]):
    ids = [client.id for client in clients]
    return tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id)


def ids_of(clients: list[Tenant]) -> list[UUID]:
    return list(Incident.objects.filter(tenant__in=clients).values_list("id", flat=True))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order("triage"), {"state": "triaged"}),
        (Order("resolve", classification="benign", cause="A drill"), {"state": "resolved"}),
        (
            Order("snooze", until=timezone.now() + timedelta(days=2), reason="Tomorrow"),
            {"quiet": "snoozed"},
        ),
    ],
    ids=lambda value: value.action if isinstance(value, Order) else "",
)
def test_200_incidents_of_30_clients_in_one_action(cast, crowd, order, expected):
    with of(cast, crowd):
        results = act_on_many(incident_ids=ids_of(crowd), order=order, actor=cast.ana)
        assert len(results) == INCIDENTS
        assert all(result.ok for result in results)
        assert Incident.objects.filter(**expected).count() == INCIDENTS
        entries = AuditEntry.objects.filter(object_kind="incident", actor_name="Ana")
        assert entries.values("object_id").distinct().count() == INCIDENTS
        assert entries.values("tenant").distinct().count() == CLIENTS


def test_200_chosen_incidents_of_30_clients_by_the_page(cast, crowd, client):
    """As the queue's checkboxes send them, with one of somebody else's and one that is gone."""
    client.force_login(cast.ana)
    foreign = open_incident(cast.acme)
    with maintenance_scope():
        Assignment.objects.filter(tenant=cast.acme, person=cast.ana).delete()
        rows = Incident.objects.filter(tenant__in=crowd).order_by("number")
        chosen = [f"{incident.id}.{incident.revision}" for incident in rows]
    chosen += [f"{foreign.id}.{foreign.revision}", f"{new_id()}.0"]
    form = client.get("/console/incidents/bulk", {"chosen": "yes", "incident": chosen})
    assert form.content.decode().count('name="incident"') == INCIDENTS
    said = {"incident": chosen, "action": "triage", "hours": "24"}
    foreseen = client.post("/console/incidents/bulk", said).content.decode()
    assert f"{INCIDENTS} of {INCIDENTS + 2} would be done" in foreseen
    with staff(cast):
        assert not Incident.objects.filter(state="triaged").exists()
    said["seen"] = "yes"
    done = client.post("/console/incidents/bulk", said).content.decode()
    assert f"Done: {INCIDENTS} of {INCIDENTS + 2}" in done
    assert done.count("There is nothing here that you may see.") == 2
    with staff(cast):
        assert Incident.objects.get(id=foreign.id).state == "new"
    with of(cast, crowd):
        assert Incident.objects.filter(state="triaged").count() == INCIDENTS


def test_200_incidents_of_30_clients_get_an_owner(cast, crowd):
    with of(cast, crowd):
        order = Order("assign", owner=cast.ana)
        results = act_on_many(incident_ids=ids_of(crowd), order=order, actor=cast.mo)
        assert sum(result.ok for result in results) == INCIDENTS
        assert Incident.objects.filter(owner_name="Ana", state="triaged").count() == INCIDENTS


def test_an_owner_gets_only_what_is_her_clients_and_each_refusal_is_said(cast):
    mine, foreign = open_incident(cast.acme), open_incident(cast.globex)
    with staff(cast):
        results = act_on_many(
            incident_ids=[foreign.id, mine.id], order=Order("assign", owner=cast.bo), actor=cast.mo
        )
        assert [(result.incident_id, result.ok) for result in results] == [
            (foreign.id, False),
            (mine.id, True),
        ]
        assert results[0].sentence == "Bo does not work for Globex."
        assert not Incident.objects.get(id=foreign.id).owner_name


def test_somebody_elses_incident_is_not_there_and_holds_up_nothing(cast):
    mine, foreign = open_incident(cast.acme), open_incident(cast.globex)
    with staff(cast, cast.acme):
        ids = [foreign.id, mine.id, new_id()]
        results = act_on_many(incident_ids=ids, order=Order("triage"), actor=cast.bo)
    assert [result.ok for result in results] == [False, True, False]
    assert results[0].sentence == results[2].sentence
    assert results[0].incident is None
    with staff(cast):
        assert Incident.objects.get(id=foreign.id).state == "new"


def test_what_somebody_changed_meanwhile_is_left_and_named(cast):
    one, two = open_incident(cast.acme, 1), open_incident(cast.acme, 2)
    assert one.id != two.id
    seen = {one.id: one.revision, two.id: two.revision}
    with staff(cast):
        resolve_incident(incident=one, actor=cast.bo, classification="benign", cause="A letter")
        results = act_on_many(
            incident_ids=list(seen), order=Order("triage"), actor=cast.ana, revisions=seen
        )
        assert [result.ok for result in results] == [False, True]
        assert "Bo resolved it" in results[0].sentence


@pytest.mark.parametrize(
    "order", [Order("purge"), Order("snooze", reason="x"), Order("mute", reason="x")]
)
def test_an_order_that_makes_no_sense_does_nothing_at_all(cast, order):
    incident = open_incident(cast.acme)
    with staff(cast), pytest.raises(WrongInput):
        act_on_many(incident_ids=[incident.id], order=order, actor=cast.ana)


def test_there_is_a_most(cast):
    ids = [new_id() for _ in range(MOST + 1)]
    with staff(cast), pytest.raises(WrongInput, match="At most"):
        act_on_many(incident_ids=ids, order=Order("triage"), actor=cast.ana)


def test_a_view_is_ones_own_until_it_is_shared(cast):
    with staff(cast):
        save_view(person=cast.ana, name="Fraud", filters={"kind": "bec", "q": ""})
        assert [view.filters for view in views_of(cast.ana)] == [{"kind": "bec"}]
        assert views_of(cast.bo) == []
        with pytest.raises(Conflict):
            save_view(person=cast.ana, name="Fraud", filters={})
        about = {"client": "acme"}
        shared = save_view(person=cast.ana, name="All", filters=about, is_shared=True)
        assert [view.name for view in views_of(cast.bo)] == ["All"]
        with pytest.raises(NotThere):
            remove_view(view_id=shared.id, person=cast.bo)
        remove_view(view_id=shared.id, person=cast.ana)
        assert views_of(cast.bo) == []


def test_a_shared_view_of_a_client_is_not_shown_to_who_may_not_see_it(cast):
    with staff(cast):
        save_view(person=cast.ana, name="G", filters={"client": "globex"}, is_shared=True)
        assert [view.name for view in views_of(cast.mo)] == ["G"]
    with staff(cast, cast.acme):
        assert views_of(cast.bo) == []


@pytest.mark.parametrize("filters", [{}, {"q": "Globex"}, {"entity": "cfo@globex.example"}])
def test_a_view_that_names_no_client_stays_its_authors_own(cast, filters):
    """Its words may be about a client that a colleague does not have."""
    with staff(cast):
        with pytest.raises(WrongInput, match="one client"):
            save_view(person=cast.ana, name="The CFO", filters=filters, is_shared=True)
        SavedView.objects.create(
            provider=cast.provider, person=cast.ana, name="Old", filters=filters, is_shared=True
        )
        assert [view.name for view in views_of(cast.ana)] == ["Old"]
    with staff(cast, cast.acme):
        assert views_of(cast.bo) == []
