"""Pull, restore and later checks against a mailbox that lies, loses answers and dies."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from incidents import layers
from incidents.correlation import make_sense_of_backlog
from incidents.execution import serve_remediation
from incidents.intake import record
from incidents.layers import Copy, CopyState, LayerError, OutcomeUnknown
from incidents.models import Delivery, Incident, Intent, Job
from incidents.remediation import look_again, pull_incident, settle_intent
from incidents.story import tell_story
from incidents.taking_back import restore_incident
from incidents.words import Place, Verdict
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry, Tenant
from tenants.scope import Role, has_scope, tenant_scope
from tests.factories import Cast, gateway_saw, mailbox_saw

INFO, IT = "info@acme.example", "it@acme.example"


@dataclass
class Mailboxes:
    """A mailbox provider in memory.  ``trouble`` is taken from the front at each move."""

    places: dict[str, Place]
    trouble: list[str] = field(default_factory=list)
    moves: int = 0

    def read_state(self, copy: Copy) -> CopyState:
        assert not has_scope(), "a vendor was called inside a scope"
        place = self.places.get(copy.mailbox_item_id)
        return CopyState(exists=place is not None, place=place or Place.GONE, is_read=False)

    def prepare(self, copy: Copy) -> dict[str, Any]:
        return {"place": self.places[copy.mailbox_item_id].value, "is_read": False}

    def _move(self, copy: Copy, place: Place) -> None:
        assert not has_scope(), "a vendor was called inside a scope"
        trouble = self.trouble.pop(0) if self.trouble else ""
        if trouble == "lost before":
            raise OutcomeUnknown("no answer")
        if trouble == "lies":
            return
        if trouble == "refuses":
            raise LayerError("Access denied.")
        self.moves += 1
        self.places[copy.mailbox_item_id] = place
        if trouble == "lost after":
            raise OutcomeUnknown("no answer")

    def pull(self, copy: Copy, undo: dict[str, Any], *, key: str) -> None:
        self._move(copy, Place.QUARANTINE)

    def restore(self, copy: Copy, undo: dict[str, Any], *, key: str) -> None:
        self._move(copy, Place(undo["place"]))

    def fetch(self, copy: Copy) -> tuple[bytes, str]:
        return b"Subject: x\r\n\r\n", "graph-mime"


@pytest.fixture
def mailboxes(monkeypatch: pytest.MonkeyPatch):
    boxes = Mailboxes({"i1": Place.INBOX, "i2": Place.JUNK})
    monkeypatch.setitem(layers._layers, "mailbox", boxes)
    return boxes


@pytest.fixture
def incident(cast: Cast, mailboxes: Mailboxes) -> Incident:
    seen = [
        gateway_saw(cast.acme, INFO),
        gateway_saw(cast.acme, IT),
        mailbox_saw(cast.acme, INFO, item="i1", verdict=Verdict.PHISH),
        mailbox_saw(cast.acme, IT, item="i2", verdict=Verdict.PHISH, place=Place.JUNK),
    ]
    with _scope(cast.acme):
        record(seen)
        make_sense_of_backlog(cast.acme)
        return Incident.objects.get()


def _scope(tenant: Tenant):
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def work(tenant: Tenant) -> None:
    """The worker until nothing is due, as if all pauses had passed."""
    for _ in range(20):
        with _scope(tenant):
            waiting = Intent.objects.exclude(state__in=Intent.OVER)
            waiting.update(due_at=timezone.now() - timedelta(seconds=1))
            left = waiting.exists()
        if not left:
            break
        serve_remediation(ClaimedWork(tenant.id, tenant.provider_id, 1))
    with _scope(tenant):
        make_sense_of_backlog(tenant)


def pull(cast: Cast, incident: Incident) -> Job:
    with _scope(cast.acme):
        job = pull_incident(incident=incident, actor=cast.ana, reason="phish")
    work(cast.acme)
    with _scope(cast.acme):
        job.refresh_from_db()
    return job


def test_what_a_killed_worker_left_comes_before_checks_that_fell_due_earlier(
    cast: Cast, incident: Incident, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
):
    pull(cast, incident)
    now = timezone.now()
    with _scope(cast.acme):
        checked, left = Intent.objects.select_related("delivery").order_by("id")
        Intent.objects.filter(id=checked.id).update(due_at=now - timedelta(minutes=10))
        Intent.objects.filter(id=left.id).update(
            state=Intent.State.CALLING, finished_at=None, due_at=now - timedelta(seconds=1)
        )
    read: list[str] = []
    read_state = mailboxes.read_state

    def noted(copy: Copy) -> CopyState:
        read.append(copy.mailbox_item_id)
        return read_state(copy)

    monkeypatch.setattr(mailboxes, "read_state", noted)
    serve_remediation(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    assert read == [left.delivery.mailbox_item_id, checked.delivery.mailbox_item_id]


def test_pull_then_restore_is_the_identity(cast: Cast, incident: Incident, mailboxes: Mailboxes):
    before = dict(mailboxes.places)
    job = pull(cast, incident)
    assert set(mailboxes.places.values()) == {Place.QUARANTINE}
    assert (job.state, job.counts["verified"], job.counts["copies"]) == ("done", 2, 2)
    with _scope(cast.acme):
        incident.refresh_from_db()
        assert (incident.state, incident.counts["removed"]) == ("contained", 2)
        due = min(Intent.objects.values_list("due_at", flat=True))
        [told] = [line.text for line in tell_story(incident).lines if "pulled" in line.lead]
        assert told.endswith(f"Next look at {due:%H:%M} UTC.")
        restored = restore_incident(incident=incident, actor=cast.ana)
    work(cast.acme)
    assert mailboxes.places == before
    with _scope(cast.acme):
        restored.refresh_from_db()
        assert restored.state == "done"
        assert not [line for line in tell_story(incident).lines if "Next look" in line.text]
        assert set(Delivery.objects.values_list("place", flat=True)) == {"inbox", "junk"}


def test_asking_twice_moves_once(cast: Cast, incident: Incident, mailboxes: Mailboxes):
    with _scope(cast.acme):
        pull_incident(incident=incident, actor=cast.ana)
        second = pull_incident(incident=incident, actor=cast.bo)
        assert second.counts["copies"] == 0
        assert second.detail["left_to_other_jobs"] == 2
    work(cast.acme)
    assert mailboxes.moves == 2


@pytest.mark.parametrize("trouble", ["lost before", "lost after", "lies"])
def test_an_unclear_answer_is_settled_by_reading(
    cast: Cast, incident: Incident, mailboxes: Mailboxes, trouble: str
):
    mailboxes.trouble = [trouble, trouble]
    job = pull(cast, incident)
    assert set(mailboxes.places.values()) == {Place.QUARANTINE}
    assert mailboxes.moves == 2
    assert job.counts["verified"] == 2


def test_what_the_mail_host_refuses_is_said_and_the_rest_is_done(
    cast: Cast, incident: Incident, mailboxes: Mailboxes
):
    mailboxes.trouble = ["refuses"]
    job = pull(cast, incident)
    assert (job.state, job.counts["failed"], job.counts["verified"]) == ("partly", 1, 1)
    with _scope(cast.acme):
        assert Intent.objects.get(state="failed").error == "Access denied."


def test_a_copy_that_is_gone_is_said_to_be_gone(
    cast: Cast, incident: Incident, mailboxes: Mailboxes
):
    del mailboxes.places["i1"]
    job = pull(cast, incident)
    assert (job.counts["gone"], job.counts["verified"]) == (1, 1)


def test_a_mail_moved_back_is_found_and_removed_again(
    cast: Cast, incident: Incident, mailboxes: Mailboxes
):
    pull(cast, incident)
    mailboxes.places["i1"] = Place.INBOX
    for _ in range(4):
        with _scope(cast.acme):
            Intent.objects.exclude(checks_left=[]).update(due_at=F("created_at"))
        serve_remediation(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    assert mailboxes.places["i1"] == Place.QUARANTINE
    with _scope(cast.acme):
        assert list(Intent.objects.values_list("checks_left", flat=True)) == [[], []]


def test_a_worker_that_died_after_the_call_is_followed_without_a_second_effect(
    cast: Cast, incident: Incident, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
):
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with _scope(cast.acme):
        pull_incident(incident=incident, actor=cast.ana)
    with monkeypatch.context() as patch:
        patch.setattr("incidents.execution._finish", die)
        with pytest.raises(Killed):
            serve_remediation(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    assert mailboxes.moves == 1
    work(cast.acme)
    assert mailboxes.moves == 2
    with _scope(cast.acme):
        assert set(Intent.objects.values_list("state", flat=True)) == {"verified"}


def test_an_action_is_in_the_audit_log_with_its_reason(cast: Cast, incident: Incident):
    with _scope(cast.acme):
        pull_incident(incident=incident, actor=cast.ana, reason="money at risk")
        entry = AuditEntry.objects.get(action="incidents.job.pull_asked")
    assert (entry.actor_name, entry.reason, entry.detail["copies"]) == ("Ana", "money at risk", 2)


@pytest.mark.parametrize(("arrived", "state"), [(True, "verified"), (False, "failed")])
def test_a_release_that_the_gate_died_over_is_settled_by_looking(
    cast: Cast, mailboxes: Mailboxes, arrived: bool, state: str
):
    held = gateway_saw(cast.acme, INFO, verdict=Verdict.SPAM, action="held", place=Place.HOLD)
    with _scope(cast.acme):
        record([held])
        make_sense_of_backlog(cast.acme)
        delivery = Delivery.objects.get()
        job = Job.objects.create(tenant=cast.acme, kind="release", requested_by="Ana")
        intent = Intent.objects.create(
            tenant=cast.acme, job=job, delivery=delivery, action="release", due_at=timezone.now()
        )
        settle_intent(intent.id, ok=False, detail="unknown: the gate was interrupted")
        intent.refresh_from_db()
        assert intent.state == "unknown"
        if arrived:
            record([mailbox_saw(cast.acme, INFO)])
            make_sense_of_backlog(cast.acme)
        else:
            Intent.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert serve_remediation(ClaimedWork(cast.acme.id, cast.provider.id, 1)) is None
    with _scope(cast.acme):
        intent.refresh_from_db()
        assert intent.state == state


def test_looking_again_finds_where_copies_are_now_and_moves_nothing(cast, incident, mailboxes):
    mailboxes.places["i1"] = Place.ARCHIVE
    del mailboxes.places["i2"]
    with _scope(cast.acme):
        job = look_again(incident=incident, actor=cast.ana)
    work(cast.acme)

    with _scope(cast.acme):
        job.refresh_from_db()
        places = dict(Delivery.objects.values_list("recipient", "place"))
    assert places == {INFO: Place.ARCHIVE, IT: Place.GONE}
    assert (job.state, job.counts["verified"], job.counts["gone"]) == (Job.State.DONE, 1, 1)
    assert mailboxes.moves == 0
