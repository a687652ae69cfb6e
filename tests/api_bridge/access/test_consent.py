"""From the button to a connected client, and everything that must not lead there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from api_bridge.access.consent import Answer, take_answer
from api_bridge.access.models import Consent, Grant, Purpose
from api_bridge.access.permissions import NEEDS
from api_bridge.models import Connection
from tenants.errors import Conflict, NotAllowed, NotThere
from tenants.models import AuditEntry, Domain
from tenants.scope import maintenance_scope
from tests.api_bridge.sandbox.running import Company

Stage = Consent.Stage


def test_a_consent_connects_the_client_and_each_purpose_is_granted_alone(yard):
    assert yard.consent().stage == Stage.GRANTED
    connection = yard.connection()
    assert (connection.cloud_tenant_id, connection.client_id) == (yard.company.tenant_id, "")
    with yard.worker():
        assert list(Grant.objects.values_list("purpose", "roles")) == [
            ("detect", sorted(need.name for need in NEEDS[Purpose.DETECT]))
        ]
    assert yard.consent(Purpose.REMEDIATE).stage == Stage.GRANTED
    with yard.worker():
        assert Grant.objects.count() == 2


def test_the_clients_no_is_kept_and_connects_nothing(yard):
    consent = yard.consent(says="no")
    assert consent.stage == Stage.REFUSED
    assert "access_denied" in consent.words
    with yard.worker():
        assert not Connection.objects.exists()


def test_a_state_is_good_once_in_its_session_for_ten_minutes_and_for_nobody_else(yard):
    answer = yard.decide(yard.ask())
    for wrong in (
        {"session": "another"},
        {"person": yard.cast.ana},
        {"answer": replace(answer, state="x" * 43)},
    ):
        with pytest.raises(NotThere):
            yard.bring(**({"answer": answer} | wrong))
    with yard.worker():
        misused = AuditEntry.objects.filter(action="api_bridge.consent.misused")
        assert misused.count() == 2
    yard.bring(answer)
    with pytest.raises(Conflict):
        yard.bring(answer)
    late = yard.decide(yard.ask())
    with yard.worker():
        Consent.objects.filter(stage=Stage.ASKED).update(ends_at=timezone.now())
    with pytest.raises(Conflict):
        yard.bring(late)


def test_an_analyst_of_another_client_does_not_even_find_the_state(yard):
    answer = yard.decide(yard.ask())
    with yard.staff(None, yard.cast.globex), pytest.raises(NotThere):
        take_answer(answer=answer, person=yard.cast.mo, session_key="s1")


def test_a_claim_without_a_consent_is_not_believed(yard):
    """The redirect is an address that anybody can write."""
    url = yard.ask()
    state = url.partition("state=")[2].partition("&")[0]
    yard.bring(Answer(state=state, cloud_tenant_id=yard.company.tenant_id, is_consented=True))
    yard.serve()
    assert yard.last().stage == Stage.RETURNED  # it may not be known everywhere yet
    with yard.worker():
        Consent.objects.update(returned_at=timezone.now() - timedelta(minutes=6))
    yard.serve()
    assert yard.last().stage == Stage.FAILED
    assert "AADSTS700016" in yard.last().words
    with yard.worker():
        assert not Connection.objects.exists()


def test_a_cloud_tenant_without_a_domain_of_the_client_is_not_the_clients(yard):
    stranger = Company(yard.cloud)
    consent = yard.consent(company=stranger)
    assert consent.stage == Stage.FAILED
    assert yard.company.domain in consent.words
    assert stranger.domain not in consent.words
    with yard.worker():
        assert not Connection.objects.exists()


def test_a_cloud_tenant_belongs_to_one_client_and_nobody_hears_to_whom(yard):
    yard.consent()
    globex = yard.cast.globex
    with maintenance_scope():
        Domain.objects.filter(name=yard.company.domain).update(is_active=False)
        Domain.objects.filter(tenant=globex).update(name="globex.example")
    answer = yard.decide(yard.ask(tenant=globex))
    yard.bring(answer)
    with maintenance_scope():
        # The same domain cannot be two clients': as if it had been moved.
        Domain.objects.filter(name=yard.company.domain).update(name="moved.example")
        Domain.objects.filter(tenant=globex).update(name=yard.company.domain)
    yard.serve(globex)
    consent = yard.last(globex)
    assert consent.stage == Stage.FAILED
    assert consent.words == (
        "This cloud tenant is connected already: it belongs to one client only."
    )
    with yard.worker(globex):
        assert not Connection.objects.exists()


def test_a_consent_from_another_tenant_than_the_connected_one_grants_nothing(yard):
    yard.consent()
    stranger = Company(yard.cloud)
    url = yard.ask(Purpose.REMEDIATE)
    assert f"/{yard.company.tenant_id}/v2.0/adminconsent" in url
    answer = replace(yard.decide(url), cloud_tenant_id=stranger.tenant_id)
    yard.bring(answer)
    yard.serve()
    assert yard.last().stage == Stage.FAILED
    with yard.worker():
        assert not Grant.objects.filter(purpose=Purpose.REMEDIATE).exists()


def test_what_has_to_be_done_first_is_said(yard):
    with pytest.raises(Conflict, match="Detect"):
        yard.ask(Purpose.REMEDIATE)
    with pytest.raises(Conflict, match="app registration"):
        yard.ask(Purpose.RESPOND)
    yard.cast.mo = yard.cast.ana
    with pytest.raises(NotAllowed):
        yard.ask()


def test_a_missing_permission_is_granted_with_its_gap(yard):
    yard.application(Purpose.DETECT, roles=["User.Read.All"])
    assert yard.consent().stage == Stage.GRANTED
    (incident,) = yard.health("permission")
    with yard.worker():
        (finding,) = incident.findings.all()
    assert finding.key == "detect/Mail.Read"
    yard.application(Purpose.DETECT)
    yard.consent()
    (incident,) = yard.health("permission")
    assert incident.state == "resolved"
