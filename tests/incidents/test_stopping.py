"""A pull or restore that is stopped: nothing more is called for it, and nothing is left untold."""

from __future__ import annotations

from typing import Any

import pytest

from incidents.execution import serve_remediation
from incidents.layers import Copy, LayerBlind
from incidents.models import Incident, Intent, Job, StandingOrder
from incidents.remediation import pull_incident
from incidents.story import tell_story
from incidents.taking_back import restore_incident, stop_job
from incidents.words import Place
from tenants.doors import ClaimedWork
from tenants.errors import Conflict
from tenants.models import AuditEntry
from tests.factories import Cast
from tests.incidents.test_remediation import Mailboxes, _scope, incident, mailboxes, pull, work

__all__ = ["incident", "mailboxes"]

WHERE_THEY_LAY = {"i1": Place.INBOX, "i2": Place.JUNK}


def asked(cast: Cast, incident: Incident) -> Job:
    with _scope(cast.acme):
        return pull_incident(incident=incident, actor=cast.ana, reason="phish")


def stop(cast: Cast, job: Job) -> Job:
    with _scope(cast.acme):
        stop_job(job=job, actor=cast.bo, reason="It is our own newsletter")
        job.refresh_from_db()
    return job


def turn(cast: Cast) -> None:
    serve_remediation(ClaimedWork(cast.acme.id, cast.provider.id, 1))


def states(cast: Cast, action: str = "pull") -> list[str]:
    with _scope(cast.acme):
        rows = Intent.objects.filter(action=action).order_by("id")
        return list(rows.values_list("state", flat=True))


def test_what_was_not_sent_is_not_done_and_it_says_who_stopped_it(
    cast: Cast, incident: Incident, mailboxes: Mailboxes
):
    job = stop(cast, asked(cast, incident))
    work(cast.acme)
    assert mailboxes.places == WHERE_THEY_LAY
    assert mailboxes.moves == 0
    assert job.state == Job.State.FAILED
    assert (job.counts["copies"], job.counts["failed"]) == (2, 2)
    with _scope(cast.acme):
        assert {each.error for each in Intent.objects.all()} == {
            f"Not done: {cast.bo.name} has stopped it."
        }
        assert not StandingOrder.objects.filter(withdrawn_at=None).exists()
        entry = AuditEntry.objects.get(action="incidents.job.stopped")
        (told,) = [line for line in tell_story(incident).lines if line.source == f"job:{job.id}"]
    assert (entry.reason, entry.detail["copies"]) == ("It is our own newsletter", 2)
    assert f"{cast.bo.name} stopped it. Two not done." in told.text


def test_a_worker_that_is_about_to_send_finds_that_its_turn_is_over(
    cast: Cast, incident: Incident, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
):
    job = asked(cast, incident)
    prepare = mailboxes.prepare

    def meanwhile(copy: Copy) -> dict[str, Any]:
        if states(cast).count(Intent.State.FAILED) == 0:
            stop(cast, job)
        return prepare(copy)

    monkeypatch.setattr(mailboxes, "prepare", meanwhile)
    work(cast.acme)
    assert mailboxes.moves == 0
    assert states(cast) == [Intent.State.FAILED] * 2


@pytest.mark.parametrize("trouble", ["lost before", "lost after"])
def test_what_may_have_been_sent_is_settled_by_what_is_seen(
    cast: Cast, incident: Incident, mailboxes: Mailboxes, trouble: str
):
    job = asked(cast, incident)
    with _scope(cast.acme):
        first = Intent.objects.order_by("id")[0]
        Intent.objects.exclude(id=first.id).update(due_at=first.due_at.replace(year=2100))
    mailboxes.trouble = [trouble]
    turn(cast)
    assert states(cast) == [Intent.State.UNKNOWN, Intent.State.PENDING]
    stop(cast, job)
    work(cast.acme)
    was_sent = trouble == "lost after"
    assert mailboxes.moves == was_sent, "nothing is called again"
    assert states(cast) == [
        Intent.State.VERIFIED if was_sent else Intent.State.FAILED,
        Intent.State.FAILED,
    ]
    with _scope(cast.acme):
        job.refresh_from_db()
    assert job.is_over
    assert sum(job.counts[state] for state in Intent.State.values) == 2


def test_what_waits_for_access_does_not_go_on_when_it_comes_back(
    cast: Cast, incident: Incident, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
):
    job = asked(cast, incident)

    def blind(copy: Copy) -> None:
        raise LayerBlind("Consent was withdrawn.", again_after_s=60)

    with monkeypatch.context() as patch:
        patch.setattr(mailboxes, "read_state", blind)
        turn(cast)
    with _scope(cast.acme):
        assert Intent.objects.filter(waits_since=None).count() < 2
    stop(cast, job)
    work(cast.acme)
    assert mailboxes.moves == 0
    assert states(cast) == [Intent.State.FAILED] * 2


def test_a_removed_copy_that_comes_back_is_let_be_once_the_rest_was_stopped(
    cast: Cast, incident: Incident, mailboxes: Mailboxes
):
    job = asked(cast, incident)
    with _scope(cast.acme):
        first = Intent.objects.order_by("id")[0]
        Intent.objects.exclude(id=first.id).update(due_at=first.due_at.replace(year=2100))
    turn(cast)
    stop(cast, job)
    mailboxes.places["i1"] = Place.INBOX
    with _scope(cast.acme):
        Intent.objects.update(due_at=first.due_at)
    turn(cast)
    assert mailboxes.moves == 1
    with _scope(cast.acme):
        first.refresh_from_db()
    assert first.state == Intent.State.FAILED
    assert "came back" in first.error


def test_what_is_over_cannot_be_stopped(cast: Cast, incident: Incident, mailboxes: Mailboxes):
    job = pull(cast, incident)
    with pytest.raises(Conflict, match="over"):
        stop(cast, job)


def test_who_restores_stops_the_pull_that_is_not_over(
    cast: Cast, incident: Incident, mailboxes: Mailboxes
):
    job = asked(cast, incident)
    with _scope(cast.acme):
        second = Intent.objects.order_by("id")[1]
        Intent.objects.filter(id=second.id).update(due_at=second.due_at.replace(year=2100))
    turn(cast)
    assert mailboxes.places == {"i1": Place.QUARANTINE, "i2": Place.JUNK}
    with _scope(cast.acme):
        restore_incident(incident=incident, actor=cast.bo, reason="harmless")
    work(cast.acme)
    assert mailboxes.places == WHERE_THEY_LAY
    assert states(cast) == [Intent.State.VERIFIED, Intent.State.FAILED]
    with _scope(cast.acme):
        job.refresh_from_db()
    assert job.detail["stopped_by"] == cast.bo.name


@pytest.mark.parametrize("trouble", ["lost before", "lost after"])
def test_who_restores_gets_back_what_was_being_sent_at_that_moment(
    cast: Cast, incident: Incident, mailboxes: Mailboxes, trouble: str
):
    asked(cast, incident)
    mailboxes.trouble = [trouble, trouble]
    turn(cast)
    assert states(cast) == [Intent.State.UNKNOWN] * 2
    with _scope(cast.acme):
        restore_incident(incident=incident, actor=cast.bo)
    work(cast.acme)
    assert mailboxes.places == WHERE_THEY_LAY
    done = Intent.State.VERIFIED if trouble == "lost after" else Intent.State.ALREADY
    assert states(cast, "restore") == [done] * 2
