"""The nightly pass and mail that comes in while it looks: neither waits, neither undoes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from incidents.campaigns import looking
from incidents.campaigns.canonical import canonical
from incidents.campaigns.nightly import MOST_LOOKS, make_canonical, serve_regroup
from incidents.models import Incident, IncidentMessage, Message
from incidents.services import assign_incident
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.campaigns.test_nightly import (
    campaigns,
    some_mails,
    take,
    threat,
    vars_of,
)


def worker(tenant: Tenant):
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def beside_the_look(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> None:
    """Each step happens in one look, after it has read and before anything is set right."""
    waiting, compute = list(steps), canonical

    def computed(*args: Any, **kwargs: Any) -> Any:
        found = compute(*args, **kwargs)
        if waiting:
            waiting.pop(0)()
        return found

    monkeypatch.setattr(looking, "canonical", computed)


def out_of_place(tenant: Tenant) -> None:
    """Two strangers in one incident: something for the pass to set right."""
    one, other = Incident.objects.filter(tenant=tenant).order_by("number")[:2]
    IncidentMessage.objects.filter(incident=other).update(incident=one)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_mail_that_comes_in_meanwhile_is_neither_undone_nor_lost(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, seed: int
):
    mails = some_mails(seed)
    with worker(cast.globex):
        for each in mails:
            take(cast.globex, *threat(cast.globex, **each))
    make_canonical(cast.globex)
    with worker(cast.acme):
        for each in mails[:8]:
            take(cast.acme, *threat(cast.acme, **each))
        out_of_place(cast.acme)
        rest = [one for each in mails[8:] for one in threat(cast.acme, **each)]
        beside_the_look(monkeypatch, lambda: take(cast.acme, *rest))
        make_canonical(cast.acme)
        assert IncidentMessage.objects.count() == Message.objects.count() == len(mails)
        assert not any(vars_of(make_canonical(cast.acme)))
        here = campaigns(cast.acme)
    with worker(cast.globex):
        assert here == campaigns(cast.globex)


def test_what_a_person_takes_meanwhile_is_not_torn_apart(cast: Cast, monkeypatch):
    with worker(cast.acme):
        for number in (1, 2):
            take(cast.acme, *threat(cast.acme, number, at=number))
        out_of_place(cast.acme)
        kept = Incident.objects.get(number=1)
        beside_the_look(
            monkeypatch, lambda: assign_incident(incident=kept, actor=cast.mo, owner=cast.ana)
        )
        assert make_canonical(cast.acme).split == 0
        assert IncidentMessage.objects.filter(incident=kept).count() == 2


def test_what_never_stands_still_is_left_and_wanted_again(cast: Cast, monkeypatch):
    with worker(cast.acme):
        for number in (1, 2, 3):
            take(cast.acme, *threat(cast.acme, number, at=number))
        out_of_place(cast.acme)
        restless = Incident.objects.filter(number=1)
    beside_the_look(
        monkeypatch, *[lambda: restless.update(title="again") for _ in range(MOST_LOOKS)]
    )
    claimed = ClaimedWork(cast.acme.id, cast.provider.id, 1)
    with worker(cast.acme):
        assert serve_regroup(claimed) is not None
        entry = AuditEntry.objects.get(action="incidents.campaigns.made_canonical")
        assert (entry.detail["split"], entry.detail["left"]) == (0, 1)
        assert serve_regroup(claimed) is None, "then it stands still"
        assert Incident.objects.get(number=1).memberships.count() == 1


def test_intake_does_not_wait_while_the_pass_looks(transactional_cast: Cast, monkeypatch):
    """Over two connections: the pass stands in the middle of its look until the mail is in."""
    acme = transactional_cast.acme
    with worker(acme):
        for number in (1, 2):
            take(acme, *threat(acme, number, at=number))
        out_of_place(acme)
    looked, go_on, passed = threading.Event(), threading.Event(), []

    def stand_still() -> None:
        looked.set()
        go_on.wait(30)

    beside_the_look(monkeypatch, stand_still)

    def make() -> None:
        try:
            passed.append(make_canonical(acme))
        finally:
            connection.close()

    thread = threading.Thread(target=make)
    thread.start()
    assert looked.wait(30)
    with worker(acme), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        take(acme, *threat(acme, 3, at=3))
    go_on.set()
    thread.join(30)
    assert passed[0].split == 1
    with worker(acme):
        homes = IncidentMessage.objects.values_list("incident", flat=True)
        assert len(homes) == len(set(homes)) == 3
        assert not any(vars_of(make_canonical(acme)))
