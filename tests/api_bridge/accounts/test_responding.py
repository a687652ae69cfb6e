"""Steps of a response against a live sandbox: each once, read back, taken back."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from api_bridge.access.models import Grant, Purpose
from api_bridge.accounts.acting import Sight, Task
from api_bridge.accounts.graph_act import GraphHand
from api_bridge.accounts.models import AccountLook, AccountStep
from api_bridge.accounts.respond import MOST_ATTEMPTS, NOT_READ
from api_bridge.accounts.steps import (
    can_undo,
    can_withdraw,
    offers_for,
    order_step,
    undo_step,
    withdraw_step,
)
from api_bridge.models import Connection, MailboxSync
from incidents.models import Incident
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.models import AuditEntry
from tests.api_bridge.accounts.conftest import Watched
from tests.api_bridge.accounts.test_looking import FORWARDS, HIDES

pytestmark = pytest.mark.django_db(transaction=True)
GRANT = {"id": "g-1", "clientId": "p-1", "scope": "Mail.ReadWrite offline_access"}


@pytest.fixture
def case(watched: Watched) -> Incident:
    watched.rules(HIDES, FORWARDS)
    watched.account(grants=[GRANT], applications={"p-1": "Mail Helper"})
    watched.serve()
    (incident,) = watched.incidents()
    return incident


def target_of(watched: Watched, incident: Incident, kind: str) -> str:
    with watched.yard.staff():
        return next(each.target for each in offers_for(incident) if each.kind == kind)


def order(watched: Watched, incident: Incident, kind: str) -> AccountStep:
    target = target_of(watched, incident, kind)
    with watched.yard.staff():
        order_step(incident=incident, kind=kind, target=target, actor=watched.yard.cast.mo)
    watched.serve(is_due=False)
    return watched.step()


def again(watched: Watched, **changes: Any) -> AccountStep:
    """The worker comes by when the step is due again."""
    with watched.yard.worker():
        AccountStep.objects.update(due_at=timezone.now() - timedelta(seconds=1), **changes)
    watched.serve(is_due=False)
    return watched.step()


def undo(watched: Watched, step: AccountStep) -> AccountStep:
    with watched.yard.staff():
        undo_step(step=AccountStep.objects.get(id=step.id), actor=watched.yard.cast.bo)
    watched.serve(is_due=False)
    return watched.step()


def enabled(shown: dict[str, Any]) -> list[bool]:
    return [rule["isEnabled"] for rule in shown["rules"]]


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("disable", True, False),
        ("new_password", False, True),
        ("disable_rule", [True, True], [False, True]),
        ("revoke_grant", 1, 0),
    ],
)
def test_a_step_is_done_and_read_back(
    watched: Watched, case: Incident, kind: str, before: Any, after: Any
) -> None:
    look = {
        "disable": lambda shown: shown["is_enabled"],
        "new_password": lambda shown: shown["passwordProfile"]["forceChangePasswordNextSignIn"],
        "disable_rule": enabled,
        "revoke_grant": lambda shown: len(shown["grants"]),
    }[kind]
    assert look(watched.shown()) == before
    step = order(watched, case, kind)
    assert (step.state, step.asked_by) == ("verified", "Mo")
    assert step.words
    assert look(watched.shown()) == after
    (incident,) = watched.incidents()
    assert incident.acted_at == step.finished_at
    if step.target:
        with watched.yard.staff():  # before anybody has looked at the settings again
            assert step.target not in [each.target for each in offers_for(incident)]
    # Done again, it is known to be so already, and nothing is called.
    if kind in ("disable", "new_password"):
        assert order(watched, case, kind).state == "already"


def test_ended_sessions_are_proven_by_a_time_that_the_order_moved(
    watched: Watched, case: Incident
) -> None:
    """Somebody's else a moment before is no proof, and each order is carried out."""

    def valid_from() -> str:
        said: str = watched.shown()["signInSessionsValidFromDateTime"]
        return said

    was = valid_from()
    for _ in range(2):
        step = order(watched, case, "revoke_sessions")
        assert step.state == "verified"
        assert re.fullmatch(
            r"Sessions from before \d\d:\d\d:\d\d on \d+ \w+ \(UTC\) count no more\.", step.words
        )
        assert valid_from() > was
        was = valid_from()
    # What is lost on the way back is read; what never arrived is not ordered twice, and said.
    for fault, moves in (("drop_after_commit", True), ("drop_before_commit", False)):
        lost = {"kind": fault, "count": 1, "match": "revokeSignInSessions"}
        watched.yard.cloud.admin("POST", "faults", lost, 201)
        order(watched, case, "revoke_sessions")
        step = again(watched)
        assert (step.state, valid_from() > was) == ("verified" if moves else "unknown", moves)
        was = valid_from()
    step = again(watched, called_at=timezone.now() - timedelta(minutes=31))
    assert (step.state, valid_from()) == ("unproven", was)
    watched.yard.cloud.admin("DELETE", "faults", status=204)


def test_after_the_last_try_one_reading_more_says_what_came_of_it(
    watched: Watched, case: Incident
) -> None:
    for fault, state in (("drop_after_commit", "verified"), ("drop_before_commit", "failed")):
        lost = {"kind": fault, "count": 9, "match": "PATCH"}
        watched.yard.cloud.admin("POST", "faults", lost, 201)
        with watched.yard.staff():
            kind = "disable" if state == "verified" else "new_password"
            order_step(incident=case, kind=kind, target="", actor=watched.yard.cast.bo)
        step = again(watched, attempts=MOST_ATTEMPTS - 1)
        assert (step.state, step.attempts) == ("unknown", MOST_ATTEMPTS)
        watched.yard.cloud.admin("DELETE", "faults", status=204)
        step = again(watched)
        assert step.state == state
    assert "read once more: No new password is asked for." in step.words
    assert watched.shown()["is_enabled"] is False


def test_a_waiting_step_is_withdrawn_by_whoever_ordered_it_or_a_lead(
    watched: Watched, case: Incident
) -> None:
    cast = watched.yard.cast
    with watched.yard.staff():
        for actor in (cast.bo, cast.mo):
            step = order_step(incident=case, kind="disable", target="", actor=cast.bo)
            assert not can_withdraw(step, cast.ana)
            with pytest.raises(NotAllowed, match="ordered"):
                withdraw_step(step=step, actor=cast.ana)
            assert can_withdraw(step, actor)
            withdraw_step(step=step, actor=actor, reason="A mistake")
        step = AccountStep.objects.get(id=step.id)
        told = AuditEntry.objects.filter(action="api_bridge.account_step.withdrawn")
        assert [each.reason for each in told] == ["A mistake", "A mistake"]
    assert (step.state, step.words) == ("withdrawn", "Withdrawn by Mo. Nothing was done.")
    watched.serve(is_due=False)
    assert watched.shown()["is_enabled"] is True
    done = order(watched, case, "disable")
    with watched.yard.staff(), pytest.raises(Conflict, match="cannot be withdrawn any more"):
        withdraw_step(step=done, actor=cast.mo)


@pytest.mark.parametrize("kind", ["disable", "disable_rule"])
def test_what_is_reversible_is_taken_back(watched: Watched, case: Incident, kind: str) -> None:
    before = watched.shown()
    step = order(watched, case, kind)
    back = undo(watched, step)
    assert (back.state, back.undoes_id) == ("verified", step.id)
    after = watched.shown()
    assert (after["is_enabled"], after["rules"]) == (before["is_enabled"], before["rules"])
    with watched.yard.staff():
        assert not can_undo(step)
        with pytest.raises(Conflict):
            undo_step(step=step, actor=watched.yard.cast.bo)


def test_a_rule_that_was_deleted_meanwhile_is_made_anew(watched: Watched, case: Incident) -> None:
    step = order(watched, case, "disable_rule")
    watched.rules(FORWARDS)  # its id is the first one's now
    watched.rules()
    back = undo(watched, step)
    assert back.state == "verified"
    (rule,) = watched.shown()["rules"]
    assert (rule["actions"], rule["isEnabled"]) == (HIDES["actions"], True)


def test_a_mailbox_of_another_host_is_left_to_it(watched: Watched, case: Incident) -> None:
    """Its id of a person names nobody in Graph, or somebody else."""
    tenant, snapshots = watched.yard.tenant, len(watched.snapshots())
    with watched.yard.worker():
        other = Connection.objects.create(tenant=tenant, kind="imap", cloud_tenant_id="mx.example")
        MailboxSync.objects.create(
            tenant=tenant, mailbox=watched.mailbox, connection=other, due_at=timezone.now()
        )
    watched.rules()
    with watched.yard.worker():
        AccountLook.objects.update(due_at=timezone.now())
    watched.serve(is_due=False)
    assert len(watched.snapshots()) == snapshots
    with watched.yard.staff():
        assert offers_for(case) == []
        with pytest.raises(WrongInput):
            order_step(incident=case, kind="disable", target="", actor=watched.yard.cast.bo)


@pytest.mark.parametrize("kind", ["disable", "disable_rule", "revoke_grant"])
def test_a_lost_answer_is_read_and_not_repeated(
    watched: Watched, case: Incident, kind: str
) -> None:
    match = {"disable": "PATCH", "disable_rule": "PATCH", "revoke_grant": "DELETE"}[kind]
    fault = {"kind": "drop_after_commit", "count": 1, "match": match}
    watched.yard.cloud.admin("POST", "faults", fault, 201)
    step = order(watched, case, kind)
    assert step.state == "verified"
    watched.yard.cloud.admin("DELETE", "faults", status=204)


def test_two_clicks_are_one_order(watched: Watched, case: Incident) -> None:
    with watched.yard.staff():
        order_step(incident=case, kind="disable", target="", actor=watched.yard.cast.ana)
        with pytest.raises(Conflict, match="already"):
            order_step(incident=case, kind="disable", target="", actor=watched.yard.cast.bo)


def test_without_the_permission_the_offer_says_what_is_missing(
    watched: Watched, case: Incident
) -> None:
    watched.yard.application(Purpose.RESPOND, roles=["User.Read.All", "MailboxSettings.ReadWrite"])
    watched.yard.consent(Purpose.RESPOND)
    with watched.yard.staff():
        offers = {each.kind: each.missing for each in offers_for(case)}
        assert offers["disable_rule"] == ""
        assert offers["disable"].startswith("User.EnableDisableAccount.All is not granted.")
        with pytest.raises(Conflict, match="not granted"):
            order_step(incident=case, kind="disable", target="", actor=watched.yard.cast.ana)


@pytest.mark.parametrize("is_granted", [True, False])
def test_an_order_that_nobody_could_begin_for_a_day_is_over(
    watched: Watched, case: Incident, is_granted: bool
) -> None:
    with watched.yard.staff():
        order_step(incident=case, kind="disable", target="", actor=watched.yard.cast.bo)
    with watched.yard.worker():
        AccountStep.objects.update(asked_at=timezone.now() - timedelta(hours=25))
        if not is_granted:
            Grant.objects.filter(purpose=Purpose.RESPOND).delete()
    watched.serve(is_due=False)
    step = watched.step()
    assert (step.state, step.called_at, watched.shown()["is_enabled"]) == ("failed", None, True)
    assert "Order it again if it is still wanted." in step.words


def test_an_answer_of_which_nobody_thought_ends_its_own_step_alone(
    watched: Watched, case: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = GraphHand.read

    def odd(hand: GraphHand, task: Task) -> Sight:
        if task.kind == AccountStep.Kind.DISABLE:
            raise TypeError("'<' not supported between instances of 'str' and 'dict'")
        return read(hand, task)

    monkeypatch.setattr(GraphHand, "read", odd)
    step = order(watched, case, "disable")
    assert (step.state, step.words) == (AccountStep.State.PENDING, NOT_READ)
    assert order(watched, case, "revoke_sessions").state == AccountStep.State.VERIFIED
    with watched.yard.worker():
        AccountStep.objects.filter(kind="disable").update(attempts=MOST_ATTEMPTS - 1)
    again(watched)
    with watched.yard.worker():
        assert AccountStep.objects.get(kind="disable").state == AccountStep.State.FAILED
