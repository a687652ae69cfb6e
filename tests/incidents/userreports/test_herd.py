"""Several reporters of one incident: nothing, a dry run or a pull, each once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from incidents.automation import serve_responses, set_late_verdicts
from incidents.models import HerdAct, Incident, Job, LateVerdicts, PullProposal, UserReport
from incidents.modes import set_mode
from incidents.services import resolve_incident
from incidents.story.people import audit_lines
from incidents.userreports.herd import Rehearsed, follow_herd, most_within, rehearse_herd
from incidents.userreports.terms import set_terms
from tenants.doors import ClaimedWork
from tenants.errors import NotAllowed, WrongInput
from tenants.models import AuditEntry, Mailbox, Tenant
from tests.factories import Cast
from tests.incidents.userreports.mails import (
    arrived,
    come,
    lure,
    more_people,
    report,
    the_incident,
    work,
    worker,
)

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
H = timedelta(hours=1)


@pytest.mark.parametrize(
    ("reports", "most"),
    [
        ([], 0),
        ([(0, "a"), (1, "a"), (2, "a")], 1),
        ([(0, "a"), (23, "b"), (24, "c")], 2),
        ([(0, "a"), (10, "b"), (20, "c"), (50, "d")], 3),
        ([(30, "a"), (0, "b"), (29, "c"), (28, "a")], 2),
    ],
)
def test_distinct_reporters_within_a_day(reports: list[tuple[int, str]], most: int):
    assert most_within([(AT + hour * H, who) for hour, who in reports]) == most


def reported(tenant: Tenant, people: list[str]) -> None:
    arrived(tenant, *people)
    for whom in people:
        come(tenant, report(whom, lure(whom)))
    work(tenant)


def agree(cast: Cast, mode: str = "auto", /, **changes: object) -> None:
    with worker(cast.acme):
        set_mode(tenant=cast.acme, mode=mode, actor=cast.mo)
        set_terms(tenant=cast.acme, actor=cast.mo, **changes)


@pytest.mark.parametrize(
    ("mode", "acts", "jobs"), [("off", 0, 0), ("dry_run", 1, 0), ("pull", 1, 1)]
)
def test_the_rule_acts_as_the_client_wishes_and_once(cast: Cast, mode: str, acts: int, jobs: int):
    agree(cast, herd_mode=mode, herd_reporters=3)
    people = more_people(cast.acme, 5)
    reported(cast.acme, people)
    with worker(cast.acme):
        assert HerdAct.objects.count() == acts
        assert Job.objects.filter(kind=Job.Kind.PULL).count() == jobs
        if acts:
            act = HerdAct.objects.get()
            assert (act.reporters, act.copies) == (5, 5)
            assert (act.job is not None) == bool(jobs)
        if jobs:
            job = Job.objects.get(kind=Job.Kind.PULL)
            assert job.requested_by == "Bailey, by reports"
            assert job.reason == "Reported by 5 people within 24 hours."
        noted = AuditEntry.objects.filter(action="incidents.herd.noted")
        assert noted.count() == (mode == "dry_run")
        told = [line.lead for line in audit_lines(Incident.objects.get())]
        dry = "Bailey, by reports would have pulled 5 copies (dry run of the herd rule)."
        assert (dry in told) == (mode == "dry_run")


def test_a_dry_run_does_not_use_up_the_pull(cast: Cast):
    agree(cast, herd_mode="dry_run", herd_reporters=2)
    reported(cast.acme, more_people(cast.acme, 2))
    agree(cast, herd_mode="pull")
    come(cast.acme, report("p0@acme.example", lure("p0@acme.example")), key="more")
    work(cast.acme)
    with worker(cast.acme):
        assert set(HerdAct.objects.values_list("mode", flat=True)) == {"dry_run", "pull"}


@pytest.mark.parametrize(("mode", "waiting"), [("ask", 3), ("monitor", 0)])
def test_where_bailey_does_not_act_by_itself_the_rule_asks_or_only_tells(
    cast: Cast, mode: str, waiting: int
):
    agree(cast, mode, herd_mode="pull", herd_reporters=3)
    reported(cast.acme, more_people(cast.acme, 3))
    serve_responses(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with worker(cast.acme):
        assert not Job.objects.filter(kind=Job.Kind.PULL).exists()
        asked = list(PullProposal.objects.values_list("waiting", "why"))
        noted = AuditEntry.objects.get(action="incidents.herd.left").detail
    assert asked == ([(3, "Reported by 3 people within 24 hours.")] if waiting else [])
    assert noted["left_to_a_person"] == waiting


@pytest.mark.parametrize("why", ["stopped", "too many", "few", "one reporter", "not junk"])
def test_what_keeps_the_rule_from_pulling(cast: Cast, why: str):
    agree(cast, herd_mode="pull", herd_reporters=3)
    with worker(cast.acme):
        set_late_verdicts(tenant=cast.acme, actor=cast.ana, stop=why == "stopped")
        LateVerdicts.objects.update(most_copies=2 if why == "too many" else 50)
    people = more_people(cast.acme, 2 if why == "few" else 3)
    arrived(cast.acme, *people)
    for n, whom in enumerate(people):
        who = people[0] if why == "one reporter" else whom
        subject = "2|" if why == "not junk" else "3|"
        come(cast.acme, report(who, lure(who), subject=subject), key=str(n))
    work(cast.acme)
    with worker(cast.acme):
        assert not Job.objects.filter(kind=Job.Kind.PULL).exists()
        noted = AuditEntry.objects.filter(action="incidents.herd.left")
        assert [entry.detail["left_to_a_person"] for entry in noted] == (
            [3] if why == "too many" else []
        )


def test_a_closed_incident_is_left_alone(cast: Cast):
    reported(cast.acme, more_people(cast.acme, 3))
    incident = the_incident(cast.acme)
    with worker(cast.acme):
        resolve_incident(incident=incident, actor=cast.ana, classification="benign", cause="Ours.")
    agree(cast, herd_mode="pull", herd_reporters=2)
    with worker(cast.acme):
        assert follow_herd(Incident.objects.get()) is None


def test_the_last_thirty_days_are_counted_without_effect(cast: Cast):
    reported(cast.acme, more_people(cast.acme, 4))
    with worker(cast.acme):
        told = rehearse_herd(cast.acme.id, (2, 4, 5))
        assert told == [Rehearsed(2, 1, 4), Rehearsed(4, 1, 4), Rehearsed(5, 0, 0)]
        UserReport.objects.update(reported_at=AT - timedelta(days=400))
        assert rehearse_herd(cast.acme.id, (2,)) == [Rehearsed(2, 0, 0)]
        assert not HerdAct.objects.exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"herd_mode": "explode"}, "off, dry_run or pull"),
        ({"herd_reporters": 1}, "2 to 500"),
        ({"mailbox": "who@acme.example"}, "has no mailbox"),
        ({"mailbox": "info@acme.example"}, "does not read"),
    ],
)
def test_terms_that_cannot_be(cast: Cast, changes: dict[str, object], says: str):
    with pytest.raises(WrongInput, match=says):
        agree(cast, **changes)


def test_two_workers_at_once_pull_once(transactional_cast: Cast):
    cast = transactional_cast
    agree(cast, herd_reporters=2)
    with worker(cast.acme):
        Mailbox.objects.filter(address="it@acme.example").update(external_id="x")
    reported(cast.acme, more_people(cast.acme, 2))
    incident = the_incident(cast.acme)
    agree(cast, herd_mode="pull")
    at_once = threading.Barrier(2, timeout=30)
    made: list[HerdAct | None] = []

    def one() -> None:
        try:
            with worker(cast.acme):
                mine = Incident.objects.get(id=incident.id)
                at_once.wait()
                made.append(follow_herd(mine))
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(each is None for each in made) == [False, True]
    with worker(cast.acme):
        assert Job.objects.filter(kind=Job.Kind.PULL).count() == 1


@pytest.mark.parametrize(
    ("now", "wanted", "is_a_leads"),
    [
        ({}, {"herd_mode": "pull"}, True),
        ({}, {"herd_mode": "dry_run", "herd_reporters": 2}, False),
        ({"herd_mode": "pull", "herd_reporters": 5}, {"herd_reporters": 4}, True),
        ({"herd_mode": "pull", "herd_reporters": 5}, {"herd_reporters": 6}, False),
        ({"herd_mode": "pull", "herd_reporters": 5}, {"herd_mode": "dry_run"}, False),
    ],
)
def test_that_reports_pull_is_a_leads_and_anybody_holds_them_back(
    cast: Cast, now: dict[str, object], wanted: dict[str, object], is_a_leads: bool
):
    agree(cast, **now)
    with worker(cast.acme):
        if is_a_leads:
            with pytest.raises(NotAllowed), transaction.atomic():
                set_terms(tenant=cast.acme, actor=cast.ana, **wanted)
            set_terms(tenant=cast.acme, actor=cast.mo, **wanted)
        else:
            set_terms(tenant=cast.acme, actor=cast.ana, **wanted)
