"""Steps of a response at Google against a live sandbox: each once, read back, taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from api_bridge.access.models import Grant
from api_bridge.access.work import serve_access
from api_bridge.accounts.models import AccountStep
from api_bridge.accounts.steps import can_undo, offers_for, order_step, undo_step
from api_bridge.connectors.google import tokens as scopes
from incidents.models import Incident
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, NotAllowed
from tests.api_bridge.accounts.google_yard import GoogleYard, at, make_google_yard
from tests.api_bridge.accounts.test_google_looking import APP
from tests.api_bridge.sandbox.running import SandboxProcess
from tests.api_bridge.sandbox.workspace import GRANTED
from tests.factories import Cast

pytestmark = pytest.mark.django_db(transaction=True)
FILTER = {
    "criteria": {"subject": "invoice"},
    "action": {"addLabelIds": ["TRASH"], "removeLabelIds": ["UNREAD", "INBOX"]},
}
FORWARDING = {"enabled": True, "emailAddress": "x@evil.example", "disposition": "trash"}


@pytest.fixture
def google(transactional_cast: Cast, own_cloud: SandboxProcess) -> GoogleYard:
    yard = make_google_yard(transactional_cast, own_cloud)
    company = yard.company
    company.account_of("ana", tokens=[APP])
    settings = {
        "filters": [FILTER],
        "forwarding": FORWARDING,
        "delegates": [company.mail("bo")],
    }
    company.cloud.admin("PUT", f"mailboxes/{yard.address}/settings", settings)
    company.happened("ana", "login", "account_disabled_hijacked", at=at(minutes=20))
    yard.serve()
    return yard


@pytest.fixture
def case(google: GoogleYard) -> Incident:
    (incident,) = google.incidents()
    return incident


def order(google: GoogleYard, incident: Incident, kind: str, *, serve: bool = True) -> AccountStep:
    with google.staff():
        target = next(each.target for each in offers_for(incident) if each.kind == kind)
        order_step(incident=incident, kind=kind, target=target, actor=google.cast.mo)
    if serve:
        google.serve(is_due=False)
    return google.step()


def undo(google: GoogleYard, step: AccountStep) -> AccountStep:
    with google.staff():
        undo_step(step=AccountStep.objects.get(id=step.id), actor=google.cast.bo)
    google.serve(is_due=False)
    return google.step()


def again(google: GoogleYard, **changes: Any) -> AccountStep:
    """The worker comes by when the step is due again."""
    with google.worker():
        AccountStep.objects.update(due_at=timezone.now() - timedelta(seconds=1), **changes)
    google.serve(is_due=False)
    return google.step()


LOOK: dict[str, Callable[[dict[str, Any]], Any]] = {
    "disable": lambda shown: shown["user"]["suspended"],
    "new_password": lambda shown: shown["user"]["changePasswordAtNextLogin"],
    "revoke_sessions": lambda shown: shown["admin_log"].count("RESET_SIGNIN_COOKIES"),
    "disable_rule": lambda shown: [{**each, "id": ""} for each in shown["filters"]],
    "forwarding_off": lambda shown: shown["forwarding"],
    "remove_delegate": lambda shown: shown["delegates"],
    "revoke_grant": lambda shown: len(shown["tokens"]),
}
GONE = {
    "disable": True,
    "new_password": True,
    "revoke_sessions": 1,
    "disable_rule": [],
    "forwarding_off": [{"enabled": False}],
    "remove_delegate": [],
    "revoke_grant": 0,
}


@pytest.mark.parametrize("kind", LOOK)
def test_a_step_is_done_read_back_and_taken_back(
    google: GoogleYard, case: Incident, kind: str
) -> None:
    before = LOOK[kind](google.company.shown("ana"))
    assert before != GONE[kind]
    step = order(google, case, kind)
    assert (step.state, step.asked_by) == ("verified", "Mo")
    assert LOOK[kind](google.company.shown("ana")) == GONE[kind]
    with google.staff():
        if step.target:  # before anybody has looked at the settings again
            assert step.target not in [each.target for each in offers_for(case)]
        is_reversible = can_undo(step)
    assert is_reversible is (kind in {"disable", "disable_rule", "forwarding_off",
                                      "remove_delegate"})  # fmt: skip
    if is_reversible:
        back = undo(google, step)
        assert (back.state, back.undoes_id) == ("verified", step.id)
        assert LOOK[kind](google.company.shown("ana")) == before
        with google.staff(), pytest.raises(Conflict):
            undo_step(step=step, actor=google.cast.bo)


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("disable", "PUT /admin"),
        ("disable_rule", "DELETE /gmail"),
        ("forwarding_off", "PUT /gmail"),
        ("revoke_grant", "DELETE /admin"),
        ("revoke_sessions", "signOut"),
    ],
)
def test_a_lost_answer_is_read_and_not_repeated(
    google: GoogleYard, case: Incident, kind: str, match: str
) -> None:
    fault = {"kind": "drop_after_commit", "count": 1, "match": match}
    google.cloud.admin("POST", "faults", fault, 201)
    order(google, case, kind)
    assert again(google).state == "verified"
    assert LOOK[kind](google.company.shown("ana")) == GONE[kind]


def test_a_filter_whose_making_was_lost_is_not_made_twice(
    google: GoogleYard, case: Incident
) -> None:
    step = order(google, case, "disable_rule")
    fault = {"kind": "drop_after_commit", "count": 1, "match": "POST /gmail"}
    google.cloud.admin("POST", "faults", fault, 201)
    undo(google, step)
    assert again(google).state == "verified"
    assert len(google.company.shown("ana")["filters"]) == 1


def test_ended_sessions_are_proven_by_a_record_of_the_call_alone(
    google: GoogleYard, case: Incident
) -> None:
    def ended(who: str) -> None:
        google.company.happened(who, "admin", "RESET_SIGNIN_COOKIES",
                                parameters={"USER_EMAIL": google.address})  # fmt: skip

    def ends() -> int:
        return int(google.company.shown("ana")["admin_log"].count("RESET_SIGNIN_COOKIES"))

    ended("cfo")  # by hand, seconds before the order
    late = {"kind": "late_log", "seconds": 3600, "match": "RESET"}
    google.cloud.admin("POST", "faults", late, 201)
    step = order(google, case, "revoke_sessions")
    assert (step.state, ends()) == ("unknown", 2)
    ended("bo")  # another administrator's
    step = again(google)
    assert (step.state, step.attempts, ends()) == ("unknown", 0, 3)
    assert "does not show yet" in step.words
    # Half an hour later it is said that nothing proves it; nothing is called again.
    step = again(google, called_at=timezone.now() - timedelta(minutes=31))
    assert (step.state, ends()) == ("unproven", 3)
    assert "may have happened" in step.words
    # Ordered again and shown: done.
    assert order(google, case, "revoke_sessions").state == "verified"


def test_a_refused_sign_out_is_ordered_again(google: GoogleYard, case: Incident) -> None:
    google.delegate(*(each for each in GRANTED if each != scopes.USER_SECURITY))
    step = order(google, case, "revoke_sessions")
    assert (step.state, step.called_at) == ("pending", None)
    google.delegate(*GRANTED)
    assert again(google).state == "verified"
    assert google.company.shown("ana")["admin_log"].count("RESET_SIGNIN_COOKIES") == 1


def test_the_mailbox_of_a_suspended_person_is_told_to_be_out_of_reach(
    google: GoogleYard, case: Incident
) -> None:
    rule = order(google, case, "forwarding_off", serve=False)
    google.company.account_of("ana", state={})
    with google.staff():
        order_step(incident=case, kind="disable", target="", actor=google.cast.bo)
    with google.worker():
        AccountStep.objects.filter(id=rule.id).update(due_at=timezone.now() + timedelta(hours=1))
    google.serve(is_due=False)
    google.delegate(*GRANTED)  # tokens end an hour later
    step = again(google)
    assert (step.kind, step.state) == ("disable", "verified")
    with google.worker():
        rule = AccountStep.objects.get(id=rule.id)
    assert (rule.state, rule.words[:35]) == ("failed", "Google opens no mailbox of a suspen")


def access(google: GoogleYard) -> None:
    serve_access(ClaimedWork(google.tenant.id, google.tenant.provider_id, 1))


def test_offers_say_which_scope_is_not_delegated(google: GoogleYard, case: Incident) -> None:
    access(google)
    with google.staff():
        assert {each.missing for each in offers_for(case)} == {""}
        assert Grant.objects.count() == 3
    google.delegate(*(each for each in GRANTED if each != scopes.CHANGE_USERS))
    access(google)
    with google.staff():
        missing = {each.kind: each.missing for each in offers_for(case) if each.missing}
        assert missing.keys() == {"disable", "new_password"}
        assert missing["disable"].startswith("admin.directory.user is not delegated. A taken")
        with pytest.raises(Conflict, match="not delegated"):
            order_step(incident=case, kind="disable", target="", actor=google.cast.ana)
    findings = [each.title for each in google.all_incidents() if each.finding == "permission"]
    assert len(findings) == 1
    google.delegate(scopes.USERS, scopes.MAIL)
    access(google)
    with google.staff():
        lost = Grant.objects.get(purpose="respond")
        assert (lost.lost_at is not None, "any more" in lost.trouble) == (True, True)


def test_some_steps_are_a_leads(google: GoogleYard, case: Incident) -> None:
    with google.staff():
        (app,) = [each for each in offers_for(case) if each.kind == "revoke_grant"]
        with pytest.raises(NotAllowed, match="cannot be put back"):
            order_step(incident=case, kind=app.kind, target=app.target, actor=google.cast.bo)
        assert not any(each.leads for each in offers_for(case) if each.kind == "disable")
    google.company.account_of("ana", state={"isDelegatedAdmin": True})
    google.serve()
    with google.staff(), pytest.raises(NotAllowed, match="administrator"):
        order_step(incident=case, kind="disable", target="", actor=google.cast.bo)


def test_the_administrator_in_whose_name_we_act_is_not_suspended(google: GoogleYard) -> None:
    google.company.happened("cfo", "login", "account_disabled_hijacked", at=at(minutes=10))
    google.company.happened("cfo", "user_accounts", "recovery_phone_edit", at=at(minutes=9))
    google.serve()
    (mine,) = [each for each in google.incidents() if each.sender == google.company.admin]
    with google.staff():
        offers = {each.kind: each.missing for each in offers_for(mine)}
    assert offers["revoke_sessions"] == ""
    assert offers["disable"].startswith("Bailey acts in the name of this administrator")
