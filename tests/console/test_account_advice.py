"""What is recommended at an account's incident goes on as things are done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from api_bridge.access.models import Grant, Purpose
from api_bridge.accounts.models import AccountStep, MailboxSnapshot
from api_bridge.accounts.shapes import AppGrant, Settings
from api_bridge.models import Connection
from console.queries.account_advice import account_advice
from console.queries.advising import Advice
from incidents.intake import record
from incidents.models import AccountSign, Incident
from incidents.services.comments import log_call
from incidents.story import tell_story
from seg_bridge.outbound.models import SubmissionLogin
from seg_bridge.outbound.services import end_login, make_login
from seg_bridge.outbound.stopping import lift_stop
from tenants.ids import new_id
from tenants.models import Domain, Mailbox
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.console.test_accounts import incident, mailbox, read
from tests.factories import Cast
from tests.seg_bridge.outbound.parts import CEO, analyst, sent, stop_the_ceo, stops

__all__ = ["incident", "mailbox"]
pytestmark = pytest.mark.usefixtures("no_broker")


def advice(cast: Cast, case: Incident) -> Advice:
    with analyst(cast):
        return account_advice(Incident.objects.select_related("tenant").get(id=case.id))


def phone(cast: Cast, case: Incident) -> None:
    with analyst(cast):
        log_call(incident=case, actor=cast.ana, whom="Irma", said="It was not she.")


def done(
    cast: Cast,
    case: Incident,
    mailbox: Mailbox,
    kind: str,
    target: str = "",
    *,
    state: str = "verified",
    undoes: AccountStep | None = None,
) -> AccountStep:
    is_open = state in AccountStep.OPEN
    with analyst(cast):
        return AccountStep.objects.create(
            tenant=cast.acme,
            incident=case,
            mailbox=mailbox,
            kind=kind,
            target=target,
            state=state,
            finished_at=None if is_open else timezone.now(),
            asked_by="Ana",
            undoes=undoes,
        )


def all_can_be_done(cast: Cast) -> None:
    with analyst(cast):
        Connection.objects.update(by_registrations=False)
        Grant.objects.all().delete()
        AccountSign.objects.filter(code="hides_money").update(raw={"rule": "r-1"})


def test_who_was_asked_is_not_asked_again_and_each_step_follows_the_last(
    cast: Cast, incident: Incident, mailbox: Mailbox
):
    all_can_be_done(cast)
    with analyst(cast):
        snapshot = MailboxSnapshot.objects.latest("taken_at")
        MailboxSnapshot.objects.filter(id=snapshot.id).update(
            changes=["New: way to sign in: phone (+84 900000077)."]
        )
    assert advice(cast, incident).text == "Call the contact"
    phone(cast, incident)
    assert advice(cast, incident).text == "End its sessions"
    done(cast, incident, mailbox, "revoke_sessions")
    assert advice(cast, incident).text == "Switch the rule off"
    done(cast, incident, mailbox, "disable_rule", "r-1")
    password = advice(cast, incident)
    assert password.text == "Ask for a new password"
    assert "unless it is the person's own: phone (+84 900000077). Bailey cannot." in password.effect
    done(cast, incident, mailbox, "disable")
    done(cast, incident, mailbox, "new_password")
    assert advice(cast, incident).text == "Switch signing in on again"
    done(cast, incident, mailbox, "enable")
    with analyst(cast):
        off, on = (AccountStep.objects.get(kind=each) for each in ("disable", "enable"))
        AccountStep.objects.filter(id=on.id).update(undoes=off)
    assert advice(cast, incident).text == "Resolve"


def test_advice_and_story_look_back_as_far(cast: Cast, incident: Incident, mailbox: Mailbox):
    """An incident may be opened by a stop, long before the first sign that it is about."""
    all_can_be_done(cast)
    phone(cast, incident)
    done(cast, incident, mailbox, "revoke_sessions")
    done(cast, incident, mailbox, "disable_rule", "r-1")
    with analyst(cast):
        snapshot = MailboxSnapshot.objects.latest("taken_at")
        MailboxSnapshot.objects.filter(id=snapshot.id).update(
            changes=["New: way to sign in: phone (+84 900000077)."]
        )
        Incident.objects.filter(id=incident.id).update(
            opened_at=snapshot.taken_at + timedelta(days=1),
            first_seen_at=snapshot.taken_at + timedelta(days=20),
        )
        told = tell_story(Incident.objects.select_related("tenant").get(id=incident.id)).lines
    assert [line for line in told if "+84 900000077" in line.text]
    assert "+84 900000077" in advice(cast, incident).effect


def test_a_rule_that_is_no_sign_is_left_alone(cast: Cast, incident: Incident, mailbox: Mailbox):
    with analyst(cast):
        Connection.objects.update(by_registrations=False)
        AccountSign.objects.filter(incident=incident).update(raw={"rule": "another"})
    phone(cast, incident)
    done(cast, incident, mailbox, "revoke_sessions")
    assert advice(cast, incident).text == "Ask for a new password"


def test_a_stop_leads_to_the_login_and_then_to_its_lift(cast: Cast):
    with analyst(cast):
        name, _ = make_login(tenant=cast.acme, purpose="Plotter", actor=cast.mo)
    by = {"sent_by": {"by": f"login {name}", "mailbox": CEO}}
    case = stop_the_ceo(cast, detail=by)
    asked = advice(cast, case)
    assert asked.text == "Call the contact"
    assert f"They came by the login {name} (Plotter)" in asked.effect
    assert "It cannot send until somebody lifts the stop." in asked.effect
    phone(cast, case)
    with analyst(cast):
        login = SubmissionLogin.objects.select_related("tenant").get()
    ending = advice(cast, case)
    assert ending.text == "End the login"
    assert ending.href == reverse("submission_login_end", args=[login.id]), "its question, no page"
    with analyst(cast):
        end_login(login=login, actor=cast.mo)
    assert advice(cast, case).text == "Let it send again"
    (stop,) = stops(cast)
    with analyst(cast):
        lift_stop(stop=stop, actor=cast.ana, reason="The login is gone.")
    assert advice(cast, case).text == "Resolve"


def test_who_lifts_the_stop_leaves_the_login_as_it_is(cast: Cast):
    """It was she herself."""
    with analyst(cast):
        name, _ = make_login(tenant=cast.acme, purpose="Plotter", actor=cast.mo)
    case = stop_the_ceo(cast, detail={"sent_by": {"by": f"login {name}", "mailbox": CEO}})
    phone(cast, case)
    assert advice(cast, case).text == "End the login"
    lift(cast)
    assert advice(cast, case).text == "Resolve"


def stopped_by_a_login(cast: Cast) -> Incident:
    """Somebody was phoned, and the login has ended."""
    with analyst(cast):
        name, _ = make_login(tenant=cast.acme, purpose="Plotter", actor=cast.mo)
    case = stop_the_ceo(cast, detail={"sent_by": {"by": f"login {name}", "mailbox": CEO}})
    phone(cast, case)
    with analyst(cast):
        end_login(login=SubmissionLogin.objects.select_related("tenant").get(), actor=cast.mo)
    return case


def lift(cast: Cast) -> None:
    with analyst(cast):
        lift_stop(stop=stops(cast)[0], actor=cast.ana, reason="All is well.")


@pytest.fixture
def ceo(cast: Cast, incident: Incident) -> Mailbox:
    """Her account can be acted on; ``incident`` brings the mail host."""
    all_can_be_done(cast)
    with maintenance_scope():
        found, _ = Mailbox.objects.update_or_create(
            tenant=cast.acme,
            address=CEO,
            defaults={"external_id": "u-2", "domain": Domain.objects.filter(tenant=cast.acme)[0]},
        )
        return found


def test_who_sends_by_a_login_alone_has_nobody_in_the_account(cast: Cast, ceo: Mailbox):
    case = stopped_by_a_login(cast)
    assert advice(cast, case).text == "Let it send again"
    lift(cast)
    assert advice(cast, case).text == "Resolve"


def test_what_her_own_mail_host_sent_came_by_no_login_that_has_ended(cast: Cast, ceo: Mailbox):
    """Some by a login, and some by way of her mailbox, which somebody may be in."""
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([sent(cast, 0, detail={"sent_by": {"by": "host 192.0.2.1", "mailbox": CEO}})])
    case = stopped_by_a_login(cast)
    asked = advice(cast, case)
    assert asked.text == "End its sessions"
    for kind in ("revoke_sessions", "new_password"):
        done(cast, case, ceo, kind)
    assert advice(cast, case).text == "Let it send again"


def test_who_has_somebody_in_the_account_sends_again_at_last(cast: Cast, ceo: Mailbox):
    case = stopped_by_a_login(cast)
    with analyst(cast):
        sign = AccountSign.objects.get(incident=case)
        sign.id, sign.code, sign.key = new_id(), "far_sign_in", "far"
        sign.save(force_insert=True)
    assert advice(cast, case).text == "End its sessions"
    done(cast, case, ceo, "revoke_sessions")
    off = done(cast, case, ceo, "disable")
    assert advice(cast, case).text == "Ask for a new password"
    done(cast, case, ceo, "new_password")
    assert advice(cast, case).text == "Switch signing in on again"
    done(cast, case, ceo, "enable", undoes=off)
    last = advice(cast, case)
    assert last.text == "Let it send again"
    assert "The login by which the mails came has ended." in last.effect
    lift(cast)
    assert advice(cast, case).text == "Resolve"


def test_what_cannot_be_done_from_here_stands_before_it_sends_again(cast: Cast):
    case = stop_the_ceo(cast)
    phone(cast, case)
    last = advice(cast, case)
    assert last.text == "Let it send again"
    assert (
        "At the mail host first: have its sessions ended and its password renewed." in last.effect
    )
    lift(cast)
    assert advice(cast, case).effect.startswith("At the mail host first")


def test_without_the_consent_it_says_what_is_left(cast: Cast, incident: Incident):
    phone(cast, incident)
    last = advice(cast, incident)
    assert last.text == "Resolve"
    assert "“End its sessions”" in last.effect
    assert "The client has not consented to “Account response”." in last.effect


def test_the_password_names_what_comes_before_it_and_cannot_be_done_from_here(
    cast: Cast, incident: Incident
):
    phone(cast, incident)
    with analyst(cast):
        Grant.objects.create(
            tenant=cast.acme,
            connection=Connection.objects.get(),
            purpose=Purpose.RESPOND,
            roles=["User-PasswordProfile.ReadWrite.All", "User.Read.All"],
            granted_at=timezone.now(),
            checked_at=timezone.now(),
        )
    asked = advice(cast, incident)
    assert asked.text == "Ask for a new password"
    assert asked.effect.startswith("At the mail host first: “End its sessions”")
    assert "is not granted." in asked.effect


@pytest.mark.parametrize("whose", ["its own", "another's"])
def test_what_is_under_way_is_not_ordered_twice_and_waited_for(
    client, cast: Cast, incident: Incident, mailbox: Mailbox, whose: str
):
    all_can_be_done(cast)
    phone(cast, incident)
    case = incident
    if whose == "another's":
        with analyst(cast):
            case = Incident.objects.get(id=incident.id)
            case.id, case.number, case.state = new_id(), case.number + 1, "resolved"
            case.save(force_insert=True)
    sessions = done(cast, case, mailbox, "revoke_sessions", state="unknown")
    rule = done(cast, case, mailbox, "disable_rule", "r-1", state="pending")
    asked = advice(cast, incident)
    assert (asked.text, asked.href) == ("Wait for what is being done", "")
    assert "“End its sessions”" in asked.effect
    page = read(client, cast.ana, "incident", incident.id)
    assert "Wait for what is being done" in page
    assert 'href=""' not in page
    with analyst(cast):
        AccountStep.objects.filter(id=rule.id).update(state="failed", words="No such rule.")
    again = advice(cast, incident)
    assert again.text == "Switch the rule off"
    failed = "The last try failed: No such rule. The rule acts on no further mail"
    assert again.effect.startswith(failed) is (whose == "its own")
    with analyst(cast):
        AccountStep.objects.filter(id__in=[rule.id, sessions.id]).update(
            state="verified", finished_at=timezone.now()
        )
    after = "Ask for a new password" if whose == "its own" else "End its sessions"
    assert advice(cast, incident).text == after


def test_sessions_whose_end_the_host_never_shows_are_ended_once(
    cast: Cast, incident: Incident, mailbox: Mailbox
):
    all_can_be_done(cast)
    phone(cast, incident)
    done(cast, incident, mailbox, "revoke_sessions", state="unproven")
    assert advice(cast, incident).text == "Switch the rule off"


def test_what_a_person_took_back_is_hers_to_judge(cast: Cast, incident: Incident, mailbox: Mailbox):
    all_can_be_done(cast)
    phone(cast, incident)
    done(cast, incident, mailbox, "revoke_sessions")
    off = done(cast, incident, mailbox, "disable_rule", "r-1")
    done(cast, incident, mailbox, "enable_rule", "r-1", undoes=off)
    assert advice(cast, incident).text == "Ask for a new password"


def test_sign_in_that_another_way_back_switched_on_is_not_off(
    cast: Cast, incident: Incident, mailbox: Mailbox
):
    all_can_be_done(cast)
    phone(cast, incident)
    done(cast, incident, mailbox, "revoke_sessions")
    done(cast, incident, mailbox, "disable_rule", "r-1")
    done(cast, incident, mailbox, "new_password")
    done(cast, incident, mailbox, "disable")
    second = done(cast, incident, mailbox, "disable")
    done(cast, incident, mailbox, "enable", undoes=second)
    assert advice(cast, incident).text == "Resolve"


def test_who_was_asked_before_a_merge_is_not_asked_again(cast: Cast, incident: Incident):
    with analyst(cast):
        gone = Incident.objects.get(id=incident.id)
        gone.id, gone.number, gone.merged_into = new_id(), gone.number + 1, incident
        gone.save(force_insert=True)
    phone(cast, gone)
    assert advice(cast, incident).text != "Call the contact"


def test_what_is_a_lead_s_to_do_says_so(cast: Cast, incident: Incident, mailbox: Mailbox):
    all_can_be_done(cast)
    phone(cast, incident)
    grant = AppGrant(id="g-1", app_id="a", app_name="Mail Helper", scopes=("Mail.Read",))
    with analyst(cast):
        AccountSign.objects.filter(incident=incident).update(
            code="mail_grant", raw={"grant": "g-1"}
        )
        MailboxSnapshot.objects.update(content=Settings(grants=(grant,)).as_json())
    done(cast, incident, mailbox, "revoke_sessions")
    asked = advice(cast, incident)
    assert asked.text == "Withdraw the application's access"
    assert "A lead withdraws an application's access" in asked.effect
