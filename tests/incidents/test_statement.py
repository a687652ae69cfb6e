"""The statement of agreed times: what was agreed, kept and missed; the same bytes each time."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from incidents.models import Job, Report
from incidents.models.evidence import period_words
from incidents.reports import ask_statement, serve_reports, statement
from incidents.reports.csv_file import render_csv
from incidents.reports.pdf_file import render_pdf
from incidents.reports.statement import build_statement
from incidents.services import resolve_incident, share_incident, take_incident
from incidents.services.waiting import stop_waiting, wait_for
from tenants.doors import ClaimedWork
from tenants.errors import WrongInput
from tests.incidents.sla.test_reckoning import BUSINESS, MINUTE, MONDAY, agreed, fresh
from tests.incidents.test_reports import text_of
from tests.incidents.work_on import open_incident, portal, staff

DAY = timedelta(days=1)
PERIOD: dict[str, Any] = {"since": MONDAY - DAY, "until": MONDAY + DAY}


@pytest.fixture
def monday(cast):
    """One target kept, and one missed after its clock had stood still for an hour."""
    with time_machine.travel(MONDAY, tick=False) as clock:
        with staff(cast):
            always = {name: each | {"hours": "always"} for name, each in BUSINESS.items()}
            agreed(cast, targets=always | {"low": BUSINESS["low"]})
        clock.shift(MINUTE)
        kept, missed = open_incident(cast.acme, 1), open_incident(cast.acme, 2)
        with staff(cast):
            take_incident(incident=kept, actor=cast.ana)
            wait_for(incident=missed, actor=cast.ana, cause="vendor", asked="The host is down")
        clock.shift(60 * MINUTE)
        with staff(cast):
            stop_waiting(incident=fresh(missed), actor=cast.ana)
        clock.shift(61 * MINUTE)
        with staff(cast):
            take_incident(incident=fresh(missed), actor=cast.ana)
            share_incident(incident=fresh(kept), actor=cast.ana)
        clock.shift(MINUTE)
        yield clock, kept, missed


def build(cast, audience="internal", as_of=None, **period):
    with staff(cast):
        return build_statement(
            cast.acme,
            **(PERIOD | period),
            as_of=as_of or MONDAY + 180 * MINUTE,
            audience=audience,
            created_by="Ana",
        )


def test_it_says_what_was_agreed_kept_and_missed_and_how_it_is_computed(cast, monday):
    _, _, missed = monday
    document = build(cast)
    (agreement,) = document["agreements"]
    assert (agreement["name"], agreement["agreed_with"]) == ("Office hours", "the client")
    assert agreement["valid_from"] == MONDAY.isoformat(timespec="seconds")
    assert {"severity": "low", "target": "triage", "minutes": 60, "hours": "business"} in agreement[
        "targets"
    ]
    assert agreement["calendar"]["weekly"][0] == {"day": "Monday", "hours": "09:00–17:00"}
    triage = [line for line in document["lines"] if line["target"] == "triage"]
    assert [(line["kept"], line["missed"], line["open"]) for line in triage] == [(1, 1, 0)]
    assert [line["share_percent"] for line in triage] == [50]
    [miss] = [each for each in document["misses"] if each["target"] == "triage"]
    assert miss["number"] == missed.number
    assert (miss["agreed_s"], miss["ran_s"], miss["over_s"]) == (3600, 3660, 60)
    assert [(still["why"], still["said"]) for still in miss["standstills"]] == [
        ("Waiting for the mail host", "The host is down")
    ]
    assert any("Missed: it had run longer" in sentence for sentence in document["how"])


def test_the_numbers_are_those_of_the_targets_listed(cast, monday):
    document = build(cast)
    for line in document["lines"]:
        for state in ("kept", "missed", "open"):
            listed = [
                each
                for each in document["targets"]
                if (each["severity"], each["target"], each["state"])
                == (line["severity"], line["target"], state)
            ]
            assert len(listed) == line[state]
    missed = [each for each in document["targets"] if each["state"] == "missed"]
    assert len(document["misses"]) == len(missed)


def test_the_same_inputs_give_the_same_bytes(cast, monday):
    first, second = build(cast), build(cast)
    assert first["inputs_sha256"] == second["inputs_sha256"]
    assert render_pdf(first) == render_pdf(second)
    assert render_csv(first) == render_csv(second)


def test_what_happens_later_does_not_change_what_stood_then(cast, monday):
    clock, kept, missed = monday
    then = MONDAY + 123 * MINUTE
    before = build(cast, as_of=then)
    clock.shift(DAY)
    with staff(cast):
        for incident in (kept, missed):
            resolve_incident(
                incident=fresh(incident), actor=cast.ana, classification="benign", cause="x"
            )
    assert build(cast, as_of=then)["inputs_sha256"] == before["inputs_sha256"]
    assert build(cast)["inputs_sha256"] != before["inputs_sha256"]


def test_pdf_and_csv_say_what_the_document_says(cast, monday):
    document = build(cast)
    text = text_of(render_pdf(document))
    assert "Agreed times of Acme" in text
    assert "Office hours" in text
    assert "1 h 1 min of 1 h 0 min" in text
    assert "Waiting for the mail host" in text
    assert "How it is computed" in text
    rows = list(csv.DictReader(io.StringIO(render_csv(document).decode("utf-8-sig"))))
    assert len(rows) == len(document["targets"])
    assert {row["state"] for row in rows} == {each["state"] for each in document["targets"]}
    assert any("Waiting for the mail host" in row["stood_still"] for row in rows)


def test_the_client_reads_no_name_of_an_incident_that_she_does_not_see(cast, monday):
    _, kept, missed = monday
    document = build(cast, "client", as_of=MONDAY + 9 * DAY)
    titles = {each["number"]: each["title"] for each in document["misses"]}
    assert titles[missed.number] == ""
    assert titles[kept.number] == fresh_title(cast, kept)
    assert "The host is down" not in str(document)
    assert build(cast)["inputs_sha256"] == build(cast, "client")["inputs_sha256"]


def fresh_title(cast, incident):
    with staff(cast):
        return fresh(incident).title


def test_a_period_without_incidents_says_so(cast):
    document = build(cast)
    assert document["lines"] == document["agreements"] == document["misses"] == []
    assert "No incident opened in this period" in text_of(render_pdf(document))


def test_a_period_with_too_many_incidents_is_refused_at_once(cast, monday, monkeypatch):
    monkeypatch.setattr(statement, "MOST", 1)
    with staff(cast), pytest.raises(WrongInput, match="choose a shorter period"):
        ask_statement(tenant=cast.acme, actor=cast.ana, **PERIOD)
    with staff(cast):
        assert not Job.objects.filter(kind="report").exists()


def test_it_is_made_listed_and_read_by_whom_it_was_made_for(cast, monday):
    with staff(cast):
        jobs = [
            ask_statement(tenant=cast.acme, actor=cast.ana, audience=audience, **PERIOD)
            for audience in ("internal", "client")
        ]
    for _ in jobs:
        serve_reports(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with staff(cast):
        assert {job.state for job in Job.objects.filter(kind="report")} == {"done"}
        made = list(Report.objects.filter(kind="agreed_times").order_by("audience"))
        assert [report.title for report in made] == [
            "Agreed times, 22 to 24 November 2026",
            "Agreed times, 22 to 24 November 2026",
        ]
    with portal(cast.acme):
        assert [report.audience for report in Report.objects.all()] == ["client"]
    with portal(cast.globex):
        assert not Report.objects.exists()


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (("2026-11-01", "2026-12-01"), "1 to 30 November 2026"),
        (("2026-11-28", "2026-12-03"), "28 November 2026 to 2 December 2026"),
        (("2026-11-28", "2026-11-29"), "28 November 2026"),
    ],
)
def test_a_period_is_said_in_days(days, words):
    since, until = (MONDAY.fromisoformat(f"{day}T00:00:00+00:00") for day in days)
    assert period_words(since, until) == words


def test_it_is_asked_for_from_the_clients_page_and_its_files_stand_on_the_job(cast, monday):
    console = Client()
    console.force_login(cast.ana)
    assert "Make the statement" in console.get("/console/clients/acme").content.decode()
    answer = console.post(
        "/console/clients/acme/statement",
        {"first_day": "2026-11-22", "last_day": "2026-11-23", "audience": "client"},
    )
    assert answer.status_code == 302
    serve_reports(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    page = console.get(answer["Location"]).content.decode()
    with staff(cast):
        report = Report.objects.get(kind="agreed_times")
    assert f"/console/reports/{report.id}.pdf" in page
    for address in ("/console/clients/acme", "/console/sla", "/console/sla?client=acme"):
        assert f"/console/reports/{report.id}.csv" in console.get(address).content.decode()
