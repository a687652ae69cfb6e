"""Two at once who touch the same incidents in opposite orders: one waits, none is thrown out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from incidents import everywhere
from incidents.campaigns import belonging
from incidents.campaigns.belonging import new_campaign
from incidents.everywhere import pull_everywhere
from incidents.grouping import become_one
from incidents.holding import take_turn
from incidents.models import Incident, Intent
from incidents.regroup import merge_incidents
from incidents.regroup_campaigns import join_campaign, leave_campaign
from incidents.remediation import pull_incident
from incidents.services import assign_incident, many
from incidents.services.many import Order, act_on_many
from tenants.models import Tenant
from tests.factories import Cast
from tests.incidents.work_on import arrive, staff


def four(tenant: Tenant) -> list[Incident]:
    """In the order of their ids."""
    for number in (2, 3, 4, 5):
        arrive(tenant, number)
    return list(Incident.objects.select_related("tenant").order_by("id"))


class Meeting:
    """Runs two acts, each on a connection of its own; the first pauses where ``pause`` is called
    until the second has come as far as it can.
    """

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.clients: tuple[Tenant, ...] = (cast.acme,)
        self.errors: list[Exception] = []
        self.is_first_paused = False

    def pause(self) -> None:
        if not self.is_first_paused:
            self.is_first_paused = True
            self.reached.set()
            self.go_on.wait(1.5)

    def run(self, first: Callable[[], object], second: Callable[[], object]) -> None:
        threads = [threading.Thread(target=self._act, args=(act,)) for act in (first, second)]
        threads[0].start()
        assert self.reached.wait(20)
        threads[1].start()
        for thread in threads:
            thread.join(30)
        assert self.errors == []

    def _act(self, act: Callable[[], object]) -> None:
        try:
            with staff(self.cast, *self.clients):
                act()
        except Exception as error:  # noqa: BLE001 (the test names it)
            self.errors.append(error)
        finally:
            connection.close()


def fresh(incident: Incident) -> Incident:
    return Incident.objects.select_related("tenant", "campaign").get(id=incident.id)


def assign_all(cast: Cast, incidents: list[Incident]) -> None:
    done = act_on_many(
        incident_ids=[each.id for each in incidents],
        order=Order("assign", owner=cast.ana),
        actor=cast.ana,
    )
    assert all(each.ok for each in done), [each.sentence for each in done]


@pytest.fixture
def meeting(transactional_cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Meeting:
    """Bulk acts pause after their first incident."""
    found = Meeting(transactional_cast)
    act = assign_incident

    def slowly(**kwargs: Any) -> Any:
        act(**kwargs)
        found.pause()

    monkeypatch.setattr(many, "assign_incident", slowly)
    return found


def boundaries(cast: Cast, rows: list[Incident]) -> dict[str, Callable[[], object]]:
    """Acts that hold the last of the four first and then want the others."""
    _, _, c, d = rows

    def merge() -> None:
        merge_incidents(kept=fresh(c), gone=fresh(d), actor=cast.mo, reason="one and the same")

    def join() -> None:
        join_campaign(incident=fresh(c), other=fresh(d), actor=cast.mo, reason="the same hand")

    def leave() -> None:
        leave_campaign(incident=fresh(d), actor=cast.mo, reason="another hand")

    def machine() -> None:
        take_turn(cast.acme.id)
        become_one(fresh(c), fresh(d), "One mail belongs to both.")

    return {"merge": merge, "join": join, "leave": leave, "machine": machine}


@pytest.mark.parametrize("what", ["merge", "join", "leave", "machine"])
def test_boundaries_and_an_act_on_many(meeting: Meeting, what: str):
    cast = meeting.cast
    with staff(cast, cast.acme):
        rows = four(cast.acme)
        new_campaign(cast.acme.id, [rows[0], rows[3]] if what == "leave" else [rows[1], rows[2]])
        if what != "leave":
            new_campaign(cast.acme.id, [rows[0], rows[3]])
    meeting.run(lambda: assign_all(cast, rows), boundaries(cast, rows)[what])
    with staff(cast, cast.acme):
        assert {fresh(each).owner_name for each in rows} == {"Ana"}


def test_two_campaigns_joined_from_both_ends(meeting: Meeting, monkeypatch):
    cast = meeting.cast
    with staff(cast, cast.acme):
        a, b, c, d = four(cast.acme)
        for pair in ([a, d], [b, c]):
            new_campaign(cast.acme.id, pair)
    put = belonging.put_into

    def slowly(*args: Any) -> None:
        meeting.pause()
        put(*args)

    monkeypatch.setattr(belonging, "put_into", slowly)

    def join(one: Incident, other: Incident) -> Callable[[], object]:
        return lambda: join_campaign(
            incident=fresh(one), other=fresh(other), actor=cast.mo, reason="the same hand"
        )

    def leave() -> None:
        leave_campaign(incident=fresh(d), actor=cast.ana, reason="another hand")

    meeting.run(join(a, b), leave)
    with staff(cast, cast.acme):
        assert fresh(d).campaign_id is None
        assert len({fresh(each).campaign_id for each in (a, b, c)}) == 1


def test_two_orders_over_the_same_clients_from_both_ends(meeting: Meeting, monkeypatch):
    """The work that an order wants of a client is held until the order is given."""
    cast = meeting.cast
    for client, number in ((cast.acme, 2), (cast.globex, 3), (cast.globex, 4), (cast.acme, 5)):
        arrive(client, number)
    with staff(cast):
        a, b, c, d = Incident.objects.select_related("tenant").order_by("id")
    pull = pull_incident

    def slowly(**kwargs: Any) -> Any:
        job = pull(**kwargs)
        meeting.pause()
        return job

    monkeypatch.setattr(everywhere, "pull_incident", slowly)

    def order(*incidents: Incident) -> Callable[[], object]:
        return lambda: pull_everywhere(incidents=incidents, actor=cast.ana, reason="")

    meeting.clients = (cast.acme, cast.globex)
    meeting.run(order(a, b), order(c, d))
    with staff(cast):
        assert Intent.objects.count() == 4
