"""Two people at one incident: who comes second is told who did what; nothing of hers is done."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.utils import timezone

from console.queries.queue import tab_counts
from incidents import remediation
from incidents.models import Incident, Intent, Job, Task
from incidents.opening import refresh_incident
from incidents.regroup import merge_incidents, undo_regrouping
from incidents.remediation import look_again, pull_incident
from incidents.services import (
    assign_incident,
    contain_incident,
    resolve_incident,
    take_incident,
    triage_incident,
)
from incidents.services.tasks import add_task, settle_task
from tenants import audit
from tenants.errors import Conflict, WrongInput
from tenants.models import AuditEntry
from tests.factories import Cast
from tests.incidents.work_on import arrive, open_incident, staff


@pytest.fixture
def phish(cast: Cast) -> Incident:
    return open_incident(cast.acme)


def fresh(incident: Incident) -> Incident:
    return Incident.objects.select_related("tenant").get(id=incident.id)


def test_the_second_is_told_who_did_what_and_when(cast, phish):
    with staff(cast):
        mine, hers = fresh(phish), fresh(phish)
        resolve_incident(
            incident=hers, actor=cast.bo, classification="benign", cause="A letter", revision=0
        )
        with pytest.raises(Conflict) as caught:
            assign_incident(incident=mine, actor=cast.ana, owner=cast.ana, revision=0)
        after = fresh(phish)
    assert f"Bo resolved it at {timezone.now():%H:}" in caught.value.sentence
    assert (after.owner_name, after.state, after.revision) == ("", "resolved", 1)


def test_every_act_in_between_is_named(cast, phish):
    with staff(cast):
        take_incident(incident=fresh(phish), actor=cast.bo)
        assign_incident(incident=fresh(phish), actor=cast.mo, owner=cast.ana)
        with pytest.raises(Conflict, match=r"Bo changed the owner .*; Mo changed the owner"):
            triage_incident(incident=fresh(phish), actor=cast.ana, revision=0)
        with pytest.raises(Conflict) as caught:
            triage_incident(incident=fresh(phish), actor=cast.ana, revision=1)
    assert "Bo" not in caught.value.sentence, "what was seen is no news"


def test_facts_do_not_count_as_somebody(cast, phish):
    arrive(cast.acme, whom="it")
    with staff(cast):
        seen = fresh(phish)
        assert (seen.counts["copies"], seen.revision) == (2, 0)
        take_incident(incident=seen, actor=cast.ana, revision=0)
        assert fresh(phish).owner_name == "Ana"


def test_facts_do_not_undo_what_a_person_did_meanwhile(cast, phish):
    with staff(cast):
        stale = fresh(phish)
        take_incident(incident=fresh(phish), actor=cast.ana)
        refresh_incident(stale)
        after = fresh(phish)
    assert (after.owner_name, after.state, after.revision) == ("Ana", "triaged", 1)


def test_nobody_is_given_a_client_that_is_not_hers(cast):
    incident = open_incident(cast.globex)
    with staff(cast), pytest.raises(WrongInput, match="Bo does not work for Globex"):
        assign_incident(incident=incident, actor=cast.ana, owner=cast.bo)


def test_what_somebody_has_called_harmless_meanwhile_is_not_pulled(cast, phish):
    with staff(cast):
        resolve_incident(incident=phish, actor=cast.bo, classification="benign", cause="A letter")
        with pytest.raises(Conflict, match="closed as no threat"):
            pull_incident(incident=fresh(phish), actor=cast.ana)


def test_words_do_not_contain_what_lies_in_an_inbox(cast, phish):
    with staff(cast), pytest.raises(Conflict, match="within reach: 1"):
        contain_incident(incident=phish, actor=cast.ana)


def test_two_at_the_same_moment_over_two_connections(transactional_cast):
    """Both have read the same page; one wins, the other is told, whichever way it goes."""
    cast = transactional_cast
    incident = open_incident(cast.acme)
    ready, answers = threading.Barrier(2, timeout=20), {}

    def act(person):
        try:
            with staff(cast, cast.acme):
                seen = fresh(incident)
                ready.wait()
                resolve_incident(
                    incident=seen,
                    actor=person,
                    classification="benign",
                    cause=f"{person.name} says so",
                    revision=seen.revision,
                )
            answers[person.name] = "done"
        except Conflict as error:
            answers[person.name] = error.sentence
        finally:
            connection.close()

    threads = [threading.Thread(target=act, args=(person,)) for person in (cast.ana, cast.bo)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    winner = next(name for name, answer in answers.items() if answer == "done")
    loser = "Bo" if winner == "Ana" else "Ana"
    assert f"{winner} resolved it" in answers[loser]
    with staff(cast, cast.acme):
        assert fresh(incident).cause == f"{winner} says so"


def test_two_orders_at_the_same_moment_do_one_thing_to_a_copy(transactional_cast, monkeypatch):
    """The first holds the copy until its job stands; the second finds the copy busy."""
    cast = transactional_cast
    incident = open_incident(cast.acme)
    asked, go_on = threading.Event(), threading.Event()
    write = audit.write_audit

    def slowly(*args, actor, **kwargs):
        if actor.id == cast.ana.id:
            asked.set()
            # Ends early only where the second got through beside the first.
            go_on.wait(2)
        else:
            go_on.set()
        write(*args, actor=actor, **kwargs)

    monkeypatch.setattr(remediation, "write_audit", slowly)

    def act(person):
        try:
            with staff(cast, cast.acme):
                look_again(incident=fresh(incident), actor=person)
        finally:
            connection.close()

    first, second = (threading.Thread(target=act, args=(who,)) for who in (cast.ana, cast.bo))
    first.start()
    assert asked.wait(20)
    second.start()
    for thread in (first, second):
        thread.join(30)
    with staff(cast, cast.acme):
        jobs = {job.requested_by: job for job in Job.objects.filter(kind=Job.Kind.LOOK)}
        assert [intent.job_id for intent in Intent.objects.all()] == [jobs["Ana"].id]
        assert jobs["Bo"].detail["left_to_other_jobs"] == 1


def test_a_merge_in_between_is_named_and_undoing_it_too(cast, phish):
    open_incident(cast.acme, 2)
    with staff(cast):
        other = Incident.objects.get(number=2)
        done = merge_incidents(kept=phish, gone=other, actor=cast.bo, reason="the same hand")
        with pytest.raises(Conflict, match="Bo merged another into it"):
            take_incident(incident=fresh(phish), actor=cast.ana, revision=0)
        undo_regrouping(done=done, actor=cast.mo)
        with pytest.raises(Conflict, match="Mo undid what was done to its boundary"):
            take_incident(incident=fresh(phish), actor=cast.ana, revision=1)
        with pytest.raises(Conflict):
            take_incident(incident=fresh(other), actor=cast.ana, revision=0)


def test_a_task_is_done_once_by_whom_did_it_first(cast, phish):
    with staff(cast):
        task = add_task(incident=phish, actor=cast.ana, title="Call the bank")
        settle_task(task=task, actor=cast.ana, state="done")
        with pytest.raises(Conflict, match="Ana changed this task"):
            settle_task(task=Task.objects.get(), actor=cast.bo, state="done")
        assert Task.objects.get().done_by == "Ana"


@pytest.mark.parametrize(("is_taken", "state"), [(True, "triaged"), (False, "new")])
def test_bailey_opening_it_again_is_on_record_and_calls_somebody(cast, phish, is_taken, state):
    with staff(cast):
        if is_taken:
            take_incident(incident=phish, actor=cast.ana)
        resolve_incident(
            incident=phish, actor=cast.ana, classification="true_positive", cause="A letter"
        )
    arrive(cast.acme, whom="it")
    with staff(cast):
        assert fresh(phish).state == state
        assert tab_counts(cast.ana)["mine"] == 1
        entry = AuditEntry.objects.get(action="incidents.incident.reopened")
        assert (entry.actor_name, entry.object_id) == ("Bailey", str(phish.id))


@pytest.mark.parametrize(("then", "state"), [("suspicious", "resolved"), ("malware", "new")])
def test_more_of_what_was_closed_as_harmless_opens_it_only_where_it_is_graver(cast, then, state):
    harmless = open_incident(cast.acme, verdict="suspicious")
    with staff(cast):
        resolve_incident(
            incident=harmless, actor=cast.ana, classification="benign", cause="A newsletter"
        )
    arrive(cast.acme, whom="it", verdict=then)
    with staff(cast):
        assert fresh(harmless).state == state
