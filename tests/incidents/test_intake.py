from dataclasses import replace

import pytest
from django.db import connection

from incidents.intake import ForeignObservation, record
from incidents.models import Backlog, Observation
from incidents.observations import Reason
from tenants.scope import NoTenantScope, Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json


def test_an_observation_is_stored_once_however_often_it_comes(cast: Cast):
    seen = [gateway_saw(cast.acme, "info@acme.example"), gateway_saw(cast.acme, "it@acme.example")]
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        assert (record(seen).stored, record(seen[::-1]).duplicates) == (2, 2)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        assert Observation.objects.count() == 2
        assert Backlog.objects.count() == 2


def test_an_observation_of_a_foreign_client_is_refused(cast: Cast):
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        with pytest.raises(ForeignObservation):
            record([gateway_saw(cast.globex, "info@globex.example")])
        assert not Observation.objects.exists()


def test_nothing_is_recorded_without_a_scope(cast: Cast):
    with pytest.raises(NoTenantScope):
        record([gateway_saw(cast.acme, "info@acme.example")])


def test_a_nul_in_hostile_mail_is_kept_as_a_visible_mark(cast: Cast):
    seen = gateway_saw(cast.acme, "info@acme.example", mail=mail_json(subject="a\x00b"))
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        record([replace(seen, rule="x\x00y")])
        row = Observation.objects.get()
    assert (row.mail["subject"], row.rule) == ("a\ufffdb", "x\ufffdy")


def test_facts_are_stored_as_they_are_however_odd(cast: Cast):
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    odd = {"half": "a\ud800b", "number": 2**70, "text": "ü\u202e\U0001f4a9", "pair": (1, 2)}
    seen = gateway_saw(cast.acme, "info@acme.example", mail=mail_json(**odd), detail={"deep": deep})
    reason = Reason("looks_like", "Looks like “Müller”.", "mü\x00ller", 1.5)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        record([replace(seen, reasons=(reason,))])
        row = Observation.objects.get()
    assert row.mail | {"half": "a\ufffdb", "pair": [1, 2]} == row.mail
    assert (row.mail["number"], row.mail["text"]) == (odd["number"], odd["text"])
    assert row.detail == {"deep": deep}
    assert row.reasons == [
        {"code": "looks_like", "text": reason.text, "value": "mü\ufffdller", "weight": 1.5}
    ]


def test_observations_cannot_be_changed_or_removed(cast: Cast):
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        record([gateway_saw(cast.acme, "info@acme.example")])
    for statement in (
        "UPDATE incidents_observation SET rule = ''",
        "DELETE FROM incidents_observation",
    ):
        with (
            pytest.raises(Exception, match="permission denied"),
            tenant_scope(Role.WORKER, [cast.acme.id]),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
