"""An analyst says what a mail is, and both layers had let it through, or had held it."""

from __future__ import annotations

import pytest

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Delivery, Incident, LedgerEntry, Message, Observation
from incidents.reported import report_mail
from incidents.words import Outcome, Place, Verdict
from tenants.errors import WrongInput
from tenants.models import AuditEntry, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mailbox_saw

INFO, IT = "info@acme.example", "it@acme.example"


@pytest.fixture
def acme(cast: Cast):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield cast.acme


def passed_by_both(acme: Tenant) -> Message:
    for whom in (INFO, IT):
        record([gateway_saw(acme, whom), mailbox_saw(acme, whom)])
    make_sense_of_backlog(acme)
    assert not Incident.objects.exists()
    return Message.objects.get()


def test_a_missed_threat_gets_an_incident_and_counts_as_found_by_a_person(acme: Tenant, cast: Cast):
    message = passed_by_both(acme)
    said = report_mail(message=message, actor=cast.ana, verdict="bec", reason="Not our CFO.")
    make_sense_of_backlog(acme)
    assert said == 2
    incident = Incident.objects.get()
    assert incident.kind == Incident.Kind.BEC
    assert incident.counts["in_inbox"] == 2
    assert LedgerEntry.objects.get().counted_as == "person_only"
    assert set(Delivery.objects.values_list("person_verdict", flat=True)) == {"bec"}
    word = Observation.objects.filter(layer="person")[0]
    assert word.source == f"person:{cast.ana.id}"
    assert word.reasons[0]["text"] == "Ana judged it fraud: Not our CFO."
    entry = AuditEntry.objects.get(action="incidents.message.reported")
    assert (entry.actor_name, entry.reason, entry.detail["copies"]) == ("Ana", "Not our CFO.", 2)


def test_harmless_mail_that_was_held_counts_as_a_false_alarm(acme: Tenant, cast: Cast):
    held = {"verdict": Verdict.PHISH, "action": Outcome.HELD, "place": Place.HOLD}
    record([gateway_saw(acme, INFO, **held)])
    make_sense_of_backlog(acme)
    report_mail(message=Message.objects.get(), actor=cast.ana, verdict="clean", reason="Our bank.")
    make_sense_of_backlog(acme)
    assert LedgerEntry.objects.get().counted_as == "false_gateway_only_unseen"


def test_a_later_word_of_the_same_person_stands(acme: Tenant, cast: Cast):
    message = passed_by_both(acme)
    for verdict in ("phish", "clean"):
        report_mail(message=message, actor=cast.ana, verdict=verdict, reason="I looked again.")
        make_sense_of_backlog(acme)
    assert LedgerEntry.objects.get().counted_as == "false_person_only"
    assert Delivery.objects.filter(person_verdict="clean").count() == 2


@pytest.mark.parametrize(("verdict", "reason"), [("graymail", "Ads"), ("", "No"), ("phish", "  ")])
def test_what_cannot_be_said(acme: Tenant, cast: Cast, verdict: str, reason: str):
    message = passed_by_both(acme)
    with pytest.raises(WrongInput):
        report_mail(message=message, actor=cast.ana, verdict=verdict, reason=reason)
    assert not Observation.objects.filter(layer="person").exists()
