"""Health incidents without mail: one for each kind of loss, and everything that incidents can."""

from __future__ import annotations

import pytest
from django.test import Client

from console.queries.findings import wrong_with
from console.queries.portal import shared_incidents
from console.queries.story import story_of
from incidents.findings import Trouble, note_findings
from incidents.models import Finding, Incident, Report
from incidents.opening import open_bypass, refresh_incident
from incidents.reports import ask_report, serve_reports
from incidents.services import resolve_incident, share_incident, take_incident
from incidents.story import tell_story
from tenants.doors import ClaimedWork
from tenants.scope import Role, tenant_scope
from tests.factories import PASSWORD

A = Trouble(code="mx", key="acme.example", words="acme.example: mail still goes elsewhere.")
B = Trouble(code="mx", key="acme.test", words="acme.test: mail still goes elsewhere.")
OTHER = Trouble(code="dkim", key="x", words="x is gone.")


@pytest.fixture
def scope(cast):
    who = {"tenant_ids": [cast.acme.id], "provider_id": cast.provider.id}
    return lambda role=Role.WORKER: tenant_scope(role, **who)


def states(**wanted):
    return list(
        Incident.objects.filter(**wanted).order_by("number").values_list("state", flat=True)
    )


def test_one_incident_for_each_kind_and_it_settles_with_its_last_line(cast, scope):
    with scope():
        for found in ([A], [A, B], [A, B]):
            note_findings(cast.acme, ["mx", "dkim"], [*found, OTHER])
        assert states() == ["new", "new"]
        note_findings(cast.acme, ["mx"], [B])  # says nothing of keys
        assert states(finding="mx") == ["new"]
        assert states(finding="dkim") == ["new"]
        note_findings(cast.acme, ["mx"], [])
        assert states(finding="mx") == ["resolved"]
        assert Finding.objects.filter(code="mx", settled_at=None).count() == 0
        note_findings(cast.acme, ["mx"], [A])
        assert states(finding="mx") == ["resolved", "new"]


def test_it_is_no_bypass_and_mail_does_not_change_it(cast, scope):
    with scope():
        note_findings(cast.acme, ["mx"], [A])
        assert open_bypass(cast.acme) is None
        incident = Incident.objects.get()
        refresh_incident(incident)
        incident.refresh_from_db()
        assert (incident.state, incident.title) == ("new", "MX records have changed")


def test_its_story_says_what_is_wrong_and_when_it_was_put_right(cast, scope):
    with scope():
        note_findings(cast.acme, ["mx"], [A, B])
        note_findings(cast.acme, ["mx"], [B])
        incident = Incident.objects.get()
        with scope(Role.ANALYST):
            told = [(line.lane, line.lead, line.text) for line in tell_story(incident).lines]
            hrefs = {event.href for event in story_of(incident).events if event.lane != "act"}
        incident.shared_at = incident.opened_at
        incident.save()
        with scope(Role.PORTAL):
            in_portal = tell_story(incident).lines
    assert sorted(told) == [
        ("action", "Bailey opened this incident.", ""),
        ("gateway", "No longer so:", "acme.example: mail still goes elsewhere."),
        ("gateway", "acme.example: mail still goes elsewhere.", ""),
        ("gateway", "acme.test: mail still goes elsewhere.", ""),
    ]
    assert "#wrong" in hrefs
    assert in_portal == []


def sentence(incident: Incident) -> str:
    wrong = wrong_with(incident)
    assert wrong is not None
    return wrong.sentence


def test_the_page_says_what_is_wrong_and_nothing_counts_as_contained(cast, scope):
    with scope():
        note_findings(cast.acme, ["mx"], [A])
        incident = Incident.objects.get()
        refresh_incident(incident)
        incident.refresh_from_db()
        assert incident.contained_at is None, "it was never exposed"
        assert sentence(incident) == "acme.example: mail still goes elsewhere."
        note_findings(cast.acme, ["mx"], [A, B])
        assert sentence(incident) == "2 things are wrong."


def test_people_can_do_with_it_what_they_do_with_others(cast, scope, no_broker, settings, tmp_path):
    settings.EVIDENCE_DIR = tmp_path
    with scope():
        note_findings(cast.acme, ["mx"], [A])
        incident = Incident.objects.get()
    with scope(Role.ANALYST):
        take_incident(incident=incident, actor=cast.ana)
        share_incident(incident=incident, actor=cast.ana)
        ask_report(incident=incident, actor=cast.ana, audience="client")
    serve_reports(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with scope():
        assert Report.objects.get().pdf_sha256
    ana = Client()
    assert ana.login(email=cast.ana.email, password=PASSWORD)
    for path in (
        f"/console/incidents/{incident.id}",
        "/console/?tab=team",
        f"/api/v1/incidents/{incident.id}",
        f"/console/incidents/{incident.id}/together",
        f"/console/incidents/{incident.id}/story.csv",
    ):
        answer = ana.get(path)
        assert answer.status_code == 200, path
    with scope(Role.PORTAL):
        (shown,), _ = shared_incidents("")
        assert shown.exposure == "No mail is concerned."
    with scope(Role.ANALYST):
        incident.refresh_from_db()
        resolve_incident(
            incident=incident, actor=cast.ana, classification="benign", cause="On purpose."
        )
    with scope():
        note_findings(cast.acme, ["mx"], [A])
        assert states() == ["resolved"]
