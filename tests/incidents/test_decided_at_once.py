"""One disagreement and two who act on it at the same moment: people, and the intake of mail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from incidents import disagreements, late_copies
from incidents.correlation import make_sense_of_backlog
from incidents.disagreements import accept, dismiss
from incidents.intake import record
from incidents.models import Disagreement, Incident, Job, StandingOrder
from incidents.observations import Observation
from incidents.repairs import mark_of
from incidents.services import resolve_incident
from incidents.words import Verdict
from seg_bridge.models import GatewayRule, Rehearsal
from tenants.errors import Conflict
from tenants.models import AuditEntry, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.test_disagreements import IT, held, inside, passed
from tests.incidents.test_one_order import Meeting

Act = Callable[[], object]


@pytest.fixture
def meeting(transactional_cast: Cast) -> Meeting:
    return Meeting(transactional_cast)


def worker(tenant: Tenant):
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def happened(cast: Cast, *seen: Observation) -> None:
    """In the scope that is open."""
    record(seen)
    make_sense_of_backlog(cast.acme)


def condemned(cast: Cast) -> Disagreement:
    """Its repair is a rule at the gateway."""
    with worker(cast.acme):
        happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH))
        return Disagreement.objects.get()


def condemned_late(cast: Cast) -> Disagreement:
    """Its repair is a pull."""
    at = datetime.now(UTC) + timedelta(minutes=5)
    with worker(cast.acme):
        happened(cast, passed(cast), inside(cast))
        happened(cast, passed(cast, observed_at=at, verdict=Verdict.PHISH, score=9.0))
        return Disagreement.objects.get()


def pause_at(monkeypatch: pytest.MonkeyPatch, meeting: Meeting, where: Any, name: str) -> None:
    """Whoever comes there first stands still until the other has come as far as it can."""
    real = getattr(where, name)

    def slowly(*args: Any, **kwargs: Any) -> Any:
        done = real(*args, **kwargs)
        meeting.pause()
        return done

    monkeypatch.setattr(where, name, slowly)


def accepting(cast: Cast, item: Disagreement, who: str = "ana") -> Act:
    return lambda: accept(item=item, actor=getattr(cast, who), reason="clear")


def dismissing(cast: Cast, item: Disagreement) -> Act:
    return lambda: dismiss(item=item, actor=cast.bo, reason="a drill")


def closing(cast: Cast, item: Disagreement) -> Act:
    assert item.incident_id is not None
    incident_id = item.incident_id
    return lambda: resolve_incident(
        incident=Incident.objects.select_related("tenant").get(id=incident_id),
        actor=cast.bo,
        classification="benign",
        cause="A letter",
    )


def one_more_copy(cast: Cast) -> Act:
    seen = [passed(cast, IT), inside(cast, IT, verdict=Verdict.PHISH)]

    def come() -> None:
        with worker(cast.acme):
            happened(cast, *seen)

    return come


def the_item(cast: Cast) -> Disagreement:
    with worker(cast.acme):
        return Disagreement.objects.get()


@pytest.mark.parametrize("decide", [accepting, dismissing])
@pytest.mark.parametrize("is_mail_first", [True, False])
def test_mail_that_comes_meanwhile_takes_no_decision_back(
    meeting: Meeting,
    monkeypatch: pytest.MonkeyPatch,
    decide: Callable[..., Act],
    *,
    is_mail_first: bool,
):
    cast = meeting.cast
    item = condemned(cast)
    come, act = one_more_copy(cast), decide(cast, item)
    if is_mail_first:
        pause_at(monkeypatch, meeting, disagreements, "sides_of")
        meeting.run(come, act)
    else:
        pause_at(monkeypatch, meeting, disagreements, "_lock")
        meeting.run(act, come)
    after = the_item(cast)
    wanted = ("accepted", "Ana") if decide is accepting else ("dismissed", "Bo")
    assert (after.state, after.decided_by) == wanted
    assert after.copies == 2
    with worker(cast.acme):
        assert GatewayRule.objects.count() == (decide is accepting)
        if decide is accepting:
            assert after.result["rule"] == str(GatewayRule.objects.get().id)


def test_who_pulls_and_mail_of_the_same_incident_do_not_stop_each_other(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
):
    """Both want its copies, its incident and its item."""
    cast = meeting.cast
    item = condemned_late(cast)
    pause_at(monkeypatch, meeting, disagreements, "_lock")
    at = datetime.now(UTC) + timedelta(minutes=6)

    def seen_again() -> None:
        with worker(cast.acme):
            happened(cast, inside(cast, observed_at=at), passed(cast, IT))

    meeting.run(accepting(cast, item), seen_again)
    assert the_item(cast).state == "accepted"
    with worker(cast.acme):
        assert Job.objects.filter(kind="pull").count() == 1


def in_turn(meeting: Meeting, first: Act, second: Act) -> str:
    """The second is refused; what she is told."""
    told: list[str] = []

    def refused() -> None:
        try:
            second()
        except Conflict as error:
            told.append(error.sentence)

    meeting.run(first, refused)
    assert len(told) == 1, "both were done"
    return told[0]


def test_of_two_who_accept_a_rule_one_makes_it(meeting: Meeting, monkeypatch: pytest.MonkeyPatch):
    cast = meeting.cast
    item = condemned(cast)
    pause_at(monkeypatch, meeting, disagreements, "_change_gateway")
    assert "by Ana" in in_turn(meeting, accepting(cast, item), accepting(cast, item, "bo"))
    with worker(cast.acme):
        rule = GatewayRule.objects.get()
        assert (rule.owner_name, the_item(cast).decided_by) == ("Ana", "Ana")
        assert Rehearsal.objects.exclude(saved_at=None).count() == 1
        assert AuditEntry.objects.filter(action="incidents.disagreement.accepted").count() == 1


def test_of_two_who_accept_a_pull_one_pulls(meeting: Meeting, monkeypatch: pytest.MonkeyPatch):
    cast = meeting.cast
    item = condemned_late(cast)
    pause_at(monkeypatch, meeting, late_copies, "pull_incident")
    pause_at(monkeypatch, meeting, disagreements, "carry_out_in_mailboxes")
    assert "by Ana" in in_turn(meeting, accepting(cast, item), accepting(cast, item, "bo"))
    with worker(cast.acme):
        assert Job.objects.get(kind="pull").requested_by == "Ana"
        assert StandingOrder.objects.get().owner_name == "Ana"


@pytest.mark.parametrize("is_accepted", [True, False])
def test_who_accepts_and_who_dismisses_are_one_and_a_refusal(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch, *, is_accepted: bool
):
    cast = meeting.cast
    item = condemned(cast)
    pause_at(monkeypatch, meeting, disagreements, "_decide")
    acts = [accepting(cast, item), dismissing(cast, item)]
    told = in_turn(meeting, *(acts if is_accepted else reversed(acts)))
    assert ("by Ana" if is_accepted else "by Bo") in told
    after = the_item(cast)
    assert after.state == ("accepted" if is_accepted else "dismissed")
    with worker(cast.acme):
        assert GatewayRule.objects.exists() == is_accepted
        told_of = AuditEntry.objects.filter(action__startswith="incidents.disagreement.")
        assert [entry.action.rpartition(".")[2] for entry in told_of] == [after.state]


@pytest.mark.parametrize("is_mail_first", [True, False])
def test_who_closes_it_as_harmless_and_mail_that_comes_meanwhile_wait_for_each_other(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch, *, is_mail_first: bool
):
    cast = meeting.cast
    item = condemned_late(cast)
    come, act = one_more_copy(cast), closing(cast, item)
    if is_mail_first:
        pause_at(monkeypatch, meeting, disagreements, "sides_of")
        meeting.run(come, act)
    else:
        pause_at(monkeypatch, meeting, disagreements, "_held_of")
        meeting.run(act, come)
    with worker(cast.acme):
        incident = Incident.objects.get()
        late = Disagreement.objects.get(id=item.id)
        told_of = AuditEntry.objects.filter(object_id=str(item.id)).order_by("at", "id")
        acts = [(entry.action.rpartition(".")[2], entry.actor_name) for entry in told_of]
    assert (late.state == "open") == incident.is_open
    assert acts[0] == ("dismissed", "Bo")


@pytest.mark.parametrize("is_accepted", [True, False])
def test_who_closes_it_as_harmless_and_who_pulls_are_one_and_a_refusal_or_both_in_turn(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch, *, is_accepted: bool
):
    cast = meeting.cast
    item = condemned_late(cast)
    if is_accepted:
        pause_at(monkeypatch, meeting, disagreements, "carry_out_in_mailboxes")
        meeting.run(accepting(cast, item), closing(cast, item))
        assert (the_item(cast).state, the_item(cast).decided_by) == ("accepted", "Ana")
    else:
        pause_at(monkeypatch, meeting, disagreements, "_held_of")
        assert "by Bo" in in_turn(meeting, closing(cast, item), accepting(cast, item))
        assert (the_item(cast).state, the_item(cast).decided_by) == ("dismissed", "Bo")
    with worker(cast.acme):
        assert not Incident.objects.get().is_open
        assert Job.objects.filter(kind="pull").exists() == is_accepted


def test_mail_of_no_incident_takes_no_decision_back(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
):
    cast = meeting.cast
    with worker(cast.acme):
        happened(cast, held(cast))
        happened(cast, passed(cast, verdict=None, score=None, mail={}))
        happened(cast, inside(cast))
        item = Disagreement.objects.get()
    assert (item.kind, item.incident_id) == ("gateway_held_mailbox_clean", None)
    pause_at(monkeypatch, meeting, disagreements, "sides_of")
    at = datetime.now(UTC) + timedelta(minutes=6)

    def seen_again() -> None:
        with worker(cast.acme):
            happened(cast, inside(cast, score=1.5, observed_at=at))

    meeting.run(seen_again, dismissing(cast, item))
    with worker(cast.acme):
        after = Disagreement.objects.get(id=item.id)
    assert (after.state, after.decided_by) == ("dismissed", "Bo")


def test_what_is_accepted_is_what_was_proposed_when_it_was_looked_at(cast: Cast):
    """Another proposal came meanwhile: nobody has seen it."""
    item = condemned(cast)
    with worker(cast.acme):
        other = {**item.proposal, "match": "url_host", "value": "evil.example"}
        Disagreement.objects.update(proposal=other)
        with pytest.raises(Conflict, match="Something else is proposed"):
            accept(item=item, actor=cast.ana)
        fresh, shown = Disagreement.objects.get(), mark_of(item.proposal)
        with pytest.raises(Conflict, match="Something else is proposed"):
            accept(item=fresh, actor=cast.ana, seen=shown)
        assert not GatewayRule.objects.exists()
        accept(item=fresh, actor=cast.ana, seen=mark_of(fresh.proposal))
        assert GatewayRule.objects.get().match == "url_host"
