"""Closing needs what it was, what caused it and a sentence; what is open of it ends with it."""

from __future__ import annotations

from typing import Any

import pytest

from incidents.models import Incident, Pause
from incidents.services import reopen_incident, resolve_incident
from incidents.services.waiting import wait_for
from tenants.errors import Conflict, WrongInput
from tenants.models import AuditEntry
from tests.factories import Cast
from tests.incidents.work_on import open_incident, staff

WHOLE: dict[str, Any] = {
    "classification": "true_positive",
    "cause_code": "allowed",
    "cause": " An old entry ",
}


@pytest.fixture
def phish(cast: Cast) -> Incident:
    return open_incident(cast.acme)


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ({"classification": ""}, "Say what it was"),
        ({"classification": "harmless"}, "Say what it was"),
        ({"cause_code": ""}, "Choose what caused it"),
        ({"cause_code": "the moon"}, "Choose what caused it"),
        ({"cause": ""}, "in a sentence"),
        ({"cause": " \n"}, "in a sentence"),
    ],
)
def test_it_is_not_closed_without(cast, phish, missing, sentence):
    with staff(cast):
        with pytest.raises(WrongInput, match=sentence):
            resolve_incident(incident=phish, actor=cast.ana, **WHOLE | missing)
        now = Incident.objects.get(id=phish.id)
    assert (now.state, now.resolved_at, now.revision) == ("new", None, 0)


def test_what_was_said_when_it_was_closed_is_kept_and_on_record(cast, phish):
    with staff(cast):
        resolve_incident(incident=phish, actor=cast.ana, **WHOLE)
        now = Incident.objects.get(id=phish.id)
        entry = AuditEntry.objects.get(action="incidents.incident.resolved")
    assert (now.classification, now.cause_code) == ("true_positive", "allowed")
    assert now.cause == entry.reason == "An old entry"
    assert entry.detail["classification"] == "true_positive"
    assert entry.actor_name == "Ana"
    with staff(cast), pytest.raises(Conflict, match="already resolved"):
        resolve_incident(incident=phish, actor=cast.bo, **WHOLE)


def test_nothing_waits_for_the_client_once_it_is_closed(cast, phish):
    with staff(cast):
        wait_for(incident=phish, actor=cast.ana, cause="client_answer", asked="Paid?")
        resolve_incident(incident=phish, actor=cast.bo, **WHOLE)
        pause, now = Pause.objects.get(), Incident.objects.get(id=phish.id)
    assert pause.ended_by == "Bo"
    assert pause.ended_at is not None
    assert (now.waiting_since, now.waiting_for, now.due_at) == (None, "", None)


def test_open_again_it_is_somebodys_to_decide_and_the_reason_stands(cast, phish):
    with staff(cast):
        with pytest.raises(Conflict, match="open already"):
            reopen_incident(incident=phish, actor=cast.ana, reason="x")
        resolve_incident(incident=phish, actor=cast.ana, **WHOLE)
        reopen_incident(incident=phish, actor=cast.bo, reason="He wrote again")
        now = Incident.objects.get(id=phish.id)
        entry = AuditEntry.objects.get(action="incidents.incident.reopened")
    assert (now.state, now.resolved_at) == ("triaged", None)
    assert now.due_for
    assert (entry.actor_name, entry.reason) == ("Bo", "He wrote again")
