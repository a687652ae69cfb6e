"""What each mode does to the same condemned mail, and which mode a mailbox has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from incidents import layers, proposals
from incidents.automation import serve_responses, set_late_verdicts
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Incident, Job, LayerMode, PullProposal, StandingOrder
from incidents.modes import CAUTIOUS_FIRST, FURTHEST, Mode, modes_of, set_mode
from incidents.observations import Observation
from incidents.orders import give_order
from incidents.proposals import ACTOR, _answer, approve, decline
from incidents.taking_back import restore_incident
from incidents.words import Place, Verdict
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.ids import new_id
from tenants.models import AuditEntry, Mailbox, MailboxGroup, MailboxGroupMember, Work
from tests.factories import Cast
from tests.incidents.test_disagreements import INFO, IT, inside, passed
from tests.incidents.test_remediation import Mailboxes, _scope, work


@pytest.fixture
def mailboxes(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Mailboxes:
    boxes = Mailboxes({f"i1{INFO}": Place.INBOX, f"i1{IT}": Place.INBOX})
    monkeypatch.setitem(layers._layers, "mailbox", boxes)
    return boxes


def mode(cast: Cast, word: str, **of: Any) -> LayerMode:
    with _scope(cast.acme):
        return set_mode(tenant=cast.acme, mode=word, actor=cast.mo, **of)


def group(cast: Cast, name: str, *addresses: str) -> MailboxGroup:
    with _scope(cast.acme):
        made = MailboxGroup.objects.create(
            tenant=cast.acme, source_id=new_id(), external_id=name, name=name
        )
        for box in Mailbox.objects.filter(address__in=addresses):
            MailboxGroupMember.objects.create(tenant=cast.acme, group=made, mailbox=box)
        return made


def happened(cast: Cast, *seen: Observation) -> None:
    with _scope(cast.acme):
        record(seen)
        make_sense_of_backlog(cast.acme)


def condemned(cast: Cast, *recipients: str, **of: Any) -> None:
    """Mail that the gateway passed and the mailbox layer condemns, surely unless said otherwise."""
    fields = {"verdict": Verdict.PHISH, "confidence": 0.95, **of}
    for recipient in recipients or (INFO,):
        happened(cast, passed(cast, recipient), inside(cast, recipient, **fields))


def respond(cast: Cast) -> datetime | None:
    again = serve_responses(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    work(cast.acme)
    return again


def proposal(cast: Cast) -> PullProposal:
    with _scope(cast.acme):
        return PullProposal.objects.select_related("incident").get()


@pytest.mark.parametrize(
    ("word", "waiting", "moved"),
    [("monitor", 0, False), ("", 1, False), ("ask", 1, False), ("auto", 0, True)],
)
def test_the_same_condemned_mail_is_told_asked_for_or_moved(
    cast: Cast, mailboxes: Mailboxes, word: str, waiting: int, moved: bool
):
    if word:
        mode(cast, word)
    condemned(cast)
    for _ in range(3):
        respond(cast)
    assert (mailboxes.places[f"i1{INFO}"] == Place.QUARANTINE) is moved
    assert mailboxes.moves == int(moved), "once, however often it is looked at"
    assert proposal(cast).waiting == waiting
    with _scope(cast.acme):
        assert Incident.objects.count() == 1, "it is told in every mode"
        asked = list(Job.objects.filter(kind="pull").values_list("requested_by", flat=True))
    assert asked == ([ACTOR.name] if moved else [])


def test_one_yes_moves_what_waits(cast: Cast, mailboxes: Mailboxes):
    condemned(cast, INFO, IT)
    respond(cast)
    assert proposal(cast).waiting == 2
    with _scope(cast.acme):
        job = approve(proposal=proposal(cast), actor=cast.ana)
    work(cast.acme)
    assert mailboxes.moves == 2
    found = proposal(cast)
    assert (found.state, found.decided_by, found.job_id) == ("approved", "Ana", job.id)
    with _scope(cast.acme), pytest.raises(Conflict, match="decided by Ana already"):
        approve(proposal=found, actor=cast.ana)
    with _scope(cast.acme):
        assert AuditEntry.objects.filter(action="incidents.pull_proposal.approved").count() == 1


def test_what_is_declined_stays_and_is_asked_no_more(cast: Cast, mailboxes: Mailboxes):
    condemned(cast)
    respond(cast)
    with _scope(cast.acme), pytest.raises(WrongInput):
        decline(proposal=proposal(cast), actor=cast.ana, reason=" ")
    with _scope(cast.acme):
        decline(proposal=proposal(cast), actor=cast.ana, reason="A drill")
    mode(cast, "auto")
    condemned(cast, IT)
    respond(cast)
    assert mailboxes.moves == 0
    assert (proposal(cast).state, proposal(cast).waiting) == ("declined", 0)


def test_copies_that_come_after_a_yes_are_asked_for_again(cast: Cast, mailboxes: Mailboxes):
    condemned(cast)
    respond(cast)
    with _scope(cast.acme):
        approve(proposal=proposal(cast), actor=cast.ana)
    work(cast.acme)
    condemned(cast, IT)
    respond(cast)
    found = proposal(cast)
    assert (found.state, found.waiting, mailboxes.moves) == ("open", 1, 1)


@pytest.mark.parametrize(
    ("of", "left"),
    [
        ({"confidence": 0.5}, "The mailbox layer is not sure enough to act without a person."),
        ({"limit": 1}, "It would pull 2 copies; without a person at most 1."),
        ({"stop": True}, "Ana has stopped whatever acts by itself."),
        ({"leave": True}, "A person has said that the copies stay where they are."),
    ],
)
def test_what_auto_leaves_to_a_person(
    cast: Cast, mailboxes: Mailboxes, of: dict[str, Any], left: str
):
    mode(cast, "auto")
    recipients = (INFO, IT) if "limit" in of else (INFO,)
    condemned(cast, *recipients, confidence=of.get("confidence", 0.95))
    with _scope(cast.acme):
        if "limit" in of:
            set_late_verdicts(tenant=cast.acme, actor=cast.ana, most_copies=of["limit"])
        if "stop" in of:
            set_late_verdicts(tenant=cast.acme, actor=cast.ana, stop=True)
        if "leave" in of:
            give_order(incident=Incident.objects.get(), kind="leave", actor=cast.ana)
    respond(cast)
    found = proposal(cast)
    assert (mailboxes.moves, found.waiting, found.left) == (0, len(recipients), left)


@pytest.mark.parametrize("how", ["stop", "monitor", "ask"])
def test_a_stop_and_a_mode_count_for_what_a_worker_has_taken_up(
    cast: Cast, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch, how: str
):
    def decided_meanwhile(*args: Any) -> None:
        if how == "stop":
            set_late_verdicts(tenant=cast.acme, actor=cast.ana, stop=True)
        else:
            set_mode(tenant=cast.acme, mode=how, actor=cast.mo)
        _answer(*args)

    monkeypatch.setattr(proposals, "_answer", decided_meanwhile)
    mode(cast, "auto")
    condemned(cast)
    respond(cast)
    with _scope(cast.acme):
        assert (mailboxes.moves, Job.objects.count()) == (0, 0)


def test_spam_and_suspicion_are_never_pulled_by_mode(cast: Cast, mailboxes: Mailboxes):
    mode(cast, "auto")
    condemned(cast, INFO, verdict=Verdict.SUSPICIOUS)
    respond(cast)
    with _scope(cast.acme):
        assert not PullProposal.objects.exists()
    assert mailboxes.moves == 0


def test_what_a_person_put_back_is_not_taken_again(cast: Cast, mailboxes: Mailboxes):
    mode(cast, "auto")
    condemned(cast)
    respond(cast)
    with _scope(cast.acme):
        restore_incident(incident=Incident.objects.get(), actor=cast.ana)
    work(cast.acme)
    assert mailboxes.places[f"i1{INFO}"] == Place.INBOX
    happened(cast, inside(cast, verdict=Verdict.PHISH, observed_at=_soon(9)))
    respond(cast)
    assert mailboxes.places[f"i1{INFO}"] == Place.INBOX


def _soon(minutes: int) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def test_a_groups_mode_goes_before_the_clients_and_the_rest_waits(cast: Cast, mailboxes: Mailboxes):
    mode(cast, "ask")
    mode(cast, "auto", group=group(cast, "Helpdesk", IT))
    condemned(cast, INFO, IT)
    respond(cast)
    assert mailboxes.places == {f"i1{INFO}": Place.INBOX, f"i1{IT}": Place.QUARANTINE}
    assert proposal(cast).waiting == 1


@pytest.mark.parametrize(
    ("client", "groups", "wanted", "origin"),
    [
        ("", {}, "ask", "nobody has set one"),
        ("auto", {}, "auto", "the client"),
        ("auto", {"Board": "monitor"}, "monitor", "group Board"),
        ("monitor", {"Board": "auto"}, "auto", "group Board"),
        ("auto", {"Board": "auto", "Finance": "ask"}, "ask", "group Finance"),
        ("auto", {"Board": "ask", "Finance": "monitor"}, "monitor", "group Finance"),
        ("auto", {"Board": ""}, "auto", "the client"),
    ],
)
def test_the_most_specific_wins_and_of_several_groups_the_most_cautious(
    cast: Cast, client: str, groups: dict[str, str], wanted: str, origin: str
):
    if client:
        mode(cast, client)
    for name, word in groups.items():
        mode(cast, word, group=group(cast, name, INFO))
    with _scope(cast.acme):
        Mailbox.objects.filter(address=INFO).update(aliases=["hello@acme.example"])
        modes = modes_of(cast.acme.id)
        for name in (INFO, "hello@acme.example"):
            found = modes.of(name)
            assert (found.mode, found.origin) == (wanted, origin)
        others = modes.of(IT)
    assert others.mode == (client or "ask"), "who is in no group has the client's"
    assert CAUTIOUS_FIRST == (Mode.MONITOR, Mode.ASK, Mode.AUTO)


def test_a_group_that_is_gone_decides_nothing_until_it_is_back(cast: Cast):
    mode(cast, "monitor")
    board = group(cast, "Board", INFO)
    mode(cast, "auto", group=board)
    with _scope(cast.acme):
        for gone_at, wanted in ((timezone.now(), "monitor"), (None, "auto")):
            MailboxGroup.objects.update(gone_at=gone_at)
            assert modes_of(cast.acme.id).of(INFO).mode == wanted
        MailboxGroup.objects.update(gone_at=timezone.now())
        board.refresh_from_db()
        with pytest.raises(WrongInput, match="gone from the directory"):
            set_mode(tenant=cast.acme, mode="ask", actor=cast.mo, group=board)


def test_a_mode_comes_into_force_when_it_was_said_and_acts_from_then_on(
    cast: Cast, mailboxes: Mailboxes
):
    at = timezone.now() + timedelta(hours=2)
    mode(cast, "auto", effective_from=at)
    condemned(cast)
    assert respond(cast) == at, "the worker comes back then"
    with _scope(cast.acme):
        modes = modes_of(cast.acme.id)
        later = modes.later(None)
        assert later is not None
        assert (modes.client.mode, later.mode) == ("ask", "auto")
        assert modes_of(cast.acme.id, at=at).client.mode == "auto"
    assert mailboxes.moves == 0
    with _scope(cast.acme):
        LayerMode.objects.update(effective_from=timezone.now())
    respond(cast)
    assert mailboxes.moves == 1, "what waited is wanted now"


def test_a_new_decision_takes_the_place_of_one_that_is_not_in_force(cast: Cast):
    mode(cast, "auto", effective_from=timezone.now() + timedelta(hours=2))
    mode(cast, "monitor")
    with _scope(cast.acme):
        assert modes_of(cast.acme.id).pending == ()
        later = modes_of(cast.acme.id, at=timezone.now() + timedelta(days=1))
        assert later.client.mode == "monitor"
        entry = AuditEntry.objects.filter(action="incidents.mode.changed").latest("at")
        assert (entry.actor_name, entry.detail["after"]) == ("Mo", "monitor")


@pytest.mark.parametrize(
    "of", [{"mode": "always"}, {"mode": ""}, {"mode": "ask", "days": FURTHEST.days + 1}]
)
def test_a_mode_that_makes_no_sense_is_refused(cast: Cast, of: dict[str, Any]):
    at = timezone.now() + timedelta(days=of["days"]) if "days" in of else None
    with _scope(cast.acme), pytest.raises(WrongInput):
        set_mode(tenant=cast.acme, mode=of["mode"], actor=cast.mo, effective_from=at)


def test_a_group_of_another_client_is_not_there(cast: Cast):
    foreign = MailboxGroup(tenant_id=cast.globex.id, name="Theirs")
    with _scope(cast.acme), pytest.raises(NotThere):
        set_mode(tenant=cast.acme, mode="ask", actor=cast.mo, group=foreign)


@pytest.mark.parametrize(("word", "moved"), [("monitor", 0), ("ask", 1), ("auto", 1)])
def test_a_persons_standing_order_holds_but_where_bailey_only_tells(
    cast: Cast, mailboxes: Mailboxes, word: str, moved: int
):
    mode(cast, word)
    condemned(cast, confidence=0.5)
    with _scope(cast.acme):
        give_order(incident=Incident.objects.get(), kind="pull", actor=cast.ana)
        assert StandingOrder.objects.get().owner_id == cast.ana.id
        Work.objects.filter(queue="respond").update(wanted_at=None)
    respond(cast)
    assert mailboxes.moves == moved
