"""What waited for access is looked at together, once, before any of it is done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from typing_extensions import override

from incidents import layers
from incidents.correlation import make_sense_of_backlog
from incidents.execution import serve_remediation
from incidents.intake import record
from incidents.layers import Copy, CopyState, LayerBlind
from incidents.models import Delivery, Incident, Intent, Job, LayerMode, Renewal, RenewalCopy
from incidents.orders import give_order
from incidents.proposals import ACTOR
from incidents.remediation import copies_of, pull_incident, pullable, start_job
from incidents.renewal_answers import answer_renewal
from incidents.renewals import resume_waiting
from incidents.words import Place, Verdict
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, WrongInput
from tenants.models import AuditEntry
from tests.factories import gateway_saw, mailbox_saw
from tests.incidents.test_remediation import INFO, IT, Mailboxes, _scope

THIRD = "sales@acme.example"


class Losable(Mailboxes):
    """Mailboxes that cannot be reached for a while; ``reads`` counts the looks at each."""

    is_blind = False

    @override
    def read_state(self, copy: Copy) -> CopyState:
        if self.is_blind:
            raise LayerBlind("The consent is lost.", again_after_s=300)
        self.reads = [*getattr(self, "reads", []), copy.mailbox_item_id]
        return super().read_state(copy)


@pytest.fixture
def boxes(monkeypatch):
    made = Losable({"i1": Place.INBOX, "i2": Place.JUNK})
    monkeypatch.setitem(layers._layers, "mailbox", made)
    monkeypatch.setattr(layers, "_catching_up", [])
    return made


@pytest.fixture
def incident(cast, boxes):
    seen = [
        gateway_saw(cast.acme, INFO),
        gateway_saw(cast.acme, IT),
        mailbox_saw(cast.acme, INFO, item="i1", verdict=Verdict.PHISH),
        mailbox_saw(cast.acme, IT, item="i2", verdict=Verdict.PHISH, place=Place.JUNK),
    ]
    return see(cast, seen)


def see(cast, observations) -> Incident:
    with _scope(cast.acme):
        record(observations)
        make_sense_of_backlog(cast.acme)
        return Incident.objects.get()


def one_more(cast, boxes) -> None:
    """A copy of the same mail that nobody knew when the pull was asked for."""
    boxes.places["i3"] = Place.INBOX
    see(
        cast,
        [
            gateway_saw(cast.acme, THIRD),
            mailbox_saw(cast.acme, THIRD, item="i3", verdict=Verdict.PHISH),
        ],
    )


def work(cast, times: int = 3) -> None:
    for _ in range(times):
        with _scope(cast.acme):
            Intent.objects.exclude(state__in=Intent.OVER).update(due_at=timezone.now())
        serve_remediation(ClaimedWork(cast.acme.id, cast.acme.provider_id, 1))


def lose(is_blind: bool) -> None:
    layer = layers.mailbox_layer()
    assert isinstance(layer, Losable)
    layer.is_blind = is_blind


def ask(cast, incident, actor=None, late=None) -> Job:
    """Asked for while the mailboxes can be read, tried while they cannot."""
    with _scope(cast.acme):
        if actor is None:
            job = pull_incident(incident=incident, actor=cast.ana, late=late)
        else:
            copies = pullable(copies_of(incident))
            job = start_job(Job.Kind.PULL, "pull", copies, incident, actor=actor, reason="")
    lose(True)
    work(cast)
    return job


def come_back(cast) -> Renewal:
    lose(False)
    with _scope(cast.acme):
        resume_waiting(cast.acme.id)
    work(cast)
    with _scope(cast.acme):
        return Renewal.objects.latest("began_at")


def found(cast, renewal) -> dict[str, tuple[str, str]]:
    with _scope(cast.acme):
        rows = RenewalCopy.objects.filter(renewal=renewal).select_related("delivery")
        return {row.delivery.recipient: (row.found, row.differs) for row in rows}


def state_of(cast, job) -> tuple[str, dict[str, int]]:
    with _scope(cast.acme):
        job.refresh_from_db()
    return job.state, {key: n for key, n in job.counts.items() if n and key != "copies"}


def set_modes(cast, *modes: tuple[str, timedelta]) -> None:
    with _scope(cast.acme):
        for mode, ago in modes:
            LayerMode.objects.create(
                tenant=cast.acme, mode=mode, effective_from=timezone.now() - ago, set_by="Mo"
            )


def test_while_the_layer_is_blind_nothing_is_tried_singly(cast, incident, boxes):
    job = ask(cast, incident)
    with _scope(cast.acme):
        assert not Intent.objects.filter(waits_since=None).exists()
        assert Intent.objects.filter(job=job, state="pending", attempts=0).count() == 2
        assert not Renewal.objects.exists(), "what was begun and came to nothing leaves nothing"
    # The next try is one look, not one for each job; and it moves nothing.
    work(cast)
    assert boxes.moves == 0


def test_the_same_copies_or_fewer_go_on_by_themselves(cast, incident, boxes):
    job = ask(cast, incident)
    boxes.places["i1"] = Place.JUNK
    del boxes.places["i2"]
    renewal = come_back(cast)
    assert renewal.state == Renewal.State.WENT_ON
    assert found(cast, renewal) == {INFO: ("moved", ""), IT: ("gone", "")}
    assert state_of(cast, job) == ("done", {"verified": 1, "gone": 1})
    assert boxes.moves == 1
    with _scope(cast.acme):
        entry = AuditEntry.objects.get(action="incidents.renewal.looked_at")
        assert (entry.detail["jobs"], entry.detail["moved"], entry.detail["gone"]) == (1, 1, 1)


def test_all_jobs_are_read_together_once_before_the_first_of_them_acts(cast, incident, boxes):
    ask(cast, incident)
    boxes.reads = []
    come_back(cast)
    assert sorted(boxes.reads[:2]) == ["i1", "i2"]
    with _scope(cast.acme):
        assert Renewal.objects.count() == 1


def test_what_another_job_pulled_already_is_not_pulled_again(cast, incident, boxes):
    job = ask(cast, incident)
    boxes.places["i1"] = Place.QUARANTINE
    renewal = come_back(cast)
    assert found(cast, renewal)[INFO] == ("done", "")
    assert state_of(cast, job) == ("done", {"verified": 1, "already": 1})
    assert boxes.moves == 1


def _harmless(cast, incident):
    Incident.objects.update(state="resolved", classification="false_positive")


def _called_harmless(cast, incident):
    Delivery.objects.update(person_verdict="clean")


def _left(cast, incident):
    give_order(incident=incident, kind="leave", actor=cast.bo)


def _restored(cast, incident):
    copies = list(Delivery.objects.all())
    start_job(Job.Kind.RESTORE, "restore", copies, incident, actor=cast.bo, reason="ours")
    Intent.objects.filter(action="restore").update(state="verified")


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        (_harmless, "closed as harmless"),
        (_called_harmless, "called the mail harmless"),
        (_left, "Bo has said since"),
        (_restored, "Bo has let it go back"),
    ],
)
def test_what_a_person_let_be_meanwhile_is_not_done(cast, incident, boxes, meanwhile, words):
    job = ask(cast, incident)
    with _scope(cast.acme):
        meanwhile(cast, incident)
    renewal = come_back(cast)
    assert renewal.state == Renewal.State.WENT_ON
    assert set(found(cast, renewal).values()) == {("let_be", "")}
    assert state_of(cast, job) == ("failed", {"failed": 2})
    with _scope(cast.acme):
        assert all(words in each.error for each in Intent.objects.filter(job=job))
    assert boxes.moves == 0


ANSWERS = {
    "all": ({"verified": 2}, 3),
    "approved": ({"verified": 2}, 2),
    "none": ({"failed": 2}, 0),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_more_copies_than_were_approved_wait_for_one_yes(cast, incident, boxes, answer):
    job = ask(cast, incident)
    one_more(cast, boxes)
    renewal = come_back(cast)
    assert renewal.state == Renewal.State.ASKED
    assert found(cast, renewal)[THIRD] == ("new", "new")
    assert boxes.moves == 0, "the approved copies wait with them"
    with _scope(cast.acme):
        answer_renewal(renewal=renewal, answer=answer, actor=cast.bo, reason="seen")
        with pytest.raises(Conflict, match="answered by Bo"):
            answer_renewal(renewal=renewal, answer="all", actor=cast.ana)
    work(cast)
    counts, moved = ANSWERS[answer]
    assert state_of(cast, job)[1] == counts
    assert boxes.moves == moved
    with _scope(cast.acme):
        assert Job.objects.filter(requested_by="Bo").count() == (answer == "all")
        entry = AuditEntry.objects.get(action="incidents.renewal.answered")
        assert (entry.actor_name, entry.detail["answer"]) == ("Bo", answer)


def test_a_standing_order_has_approved_later_copies_already(cast, incident, boxes):
    job = ask(cast, incident, late=timedelta(days=7))
    one_more(cast, boxes)
    assert come_back(cast).state == Renewal.State.WENT_ON
    assert state_of(cast, job)[0] == "done"


def test_a_mailbox_in_which_bailey_only_tells_now_asks(cast, incident, boxes):
    set_modes(cast, ("ask", timedelta(days=1)))
    job = ask(cast, incident)
    set_modes(cast, ("monitor", timedelta(0)))
    renewal = come_back(cast)
    assert renewal.state == Renewal.State.ASKED
    with _scope(cast.acme):
        row = RenewalCopy.objects.filter(renewal=renewal)[0]
        assert row.words == "Mode now: only tell (the client); it was: ask before each pull."
        answer_renewal(renewal=renewal, answer="approved", actor=cast.bo)
    work(cast)
    assert state_of(cast, job)[1] == {"failed": 2}
    assert boxes.moves == 0


def test_one_that_only_told_already_when_a_person_asked_goes_on(cast, incident, boxes):
    set_modes(cast, ("monitor", timedelta(days=1)))
    ask(cast, incident)
    assert come_back(cast).state == Renewal.State.WENT_ON
    assert boxes.moves == 2


@pytest.mark.parametrize(("mode", "state"), [("ask", "asked"), ("auto", "went_on")])
def test_what_bailey_decided_by_its_mode_needs_that_mode_still(cast, incident, boxes, mode, state):
    set_modes(cast, ("auto", timedelta(days=1)))
    ask(cast, incident, actor=ACTOR)
    set_modes(cast, (mode, timedelta(0)))
    assert come_back(cast).state == state


def test_blind_again_before_an_answer_is_asked_anew_and_moves_nothing_twice(cast, incident, boxes):
    job = ask(cast, incident)
    one_more(cast, boxes)
    first = come_back(cast)
    del boxes.places["i3"]
    second = come_back(cast)
    with _scope(cast.acme):
        first.refresh_from_db()
        assert first.state == Renewal.State.REPLACED
        with pytest.raises(Conflict, match="Nothing of it waits"):
            answer_renewal(renewal=first, answer="all", actor=cast.bo)
        with pytest.raises(WrongInput, match="Say why"):
            answer_renewal(renewal=second, answer="none", actor=cast.bo)
        answer_renewal(renewal=second, answer="all", actor=cast.bo)
    work(cast)
    assert state_of(cast, job)[1] == {"verified": 2}
    assert boxes.moves == 2


def test_the_gap_is_read_before_but_not_waited_for_longer_than_a_quarter_of_an_hour(
    cast, incident, boxes, monkeypatch
):
    job = ask(cast, incident)
    monkeypatch.setattr(layers, "_catching_up", [lambda tenant_id: True])
    renewal = come_back(cast)
    assert renewal.state == Renewal.State.LOOKING
    assert boxes.moves == 0
    with _scope(cast.acme):
        Renewal.objects.update(began_at=timezone.now() - timedelta(minutes=16))
    work(cast)
    assert state_of(cast, job)[0] == "done"


def test_a_worker_that_was_killed_amid_reading_reads_the_rest(cast, incident, boxes, monkeypatch):
    job = ask(cast, incident)
    boxes.is_blind = False
    with _scope(cast.acme):
        resume_waiting(cast.acme.id)
    inner = boxes.read_state

    def dies(copy):
        if len(getattr(boxes, "reads", [])) == 1:
            raise KeyboardInterrupt
        return inner(copy)

    boxes.reads = []
    monkeypatch.setattr(boxes, "read_state", dies)
    with pytest.raises(KeyboardInterrupt):
        work(cast, 1)
    monkeypatch.setattr(boxes, "read_state", inner)
    work(cast)
    assert state_of(cast, job)[0] == "done"
    assert boxes.moves == 2
    assert boxes.reads[:2] == ["i1", "i2"], "what was read is not read again for the rehearsal"
