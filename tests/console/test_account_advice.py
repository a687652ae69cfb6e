"""What is recommended at an account's incident goes on as things are done."""

from __future__ import annotations

import pytest
from django.utils import timezone

from api_bridge.access.models import Grant
from api_bridge.accounts.models import AccountStep, MailboxSnapshot
from api_bridge.models import Connection
from console.queries.account_advice import account_advice
from console.queries.advising import Advice
from incidents.models import AccountSign, Incident
from incidents.services.comments import log_call
from seg_bridge.outbound.models import SubmissionLogin
from seg_bridge.outbound.services import end_login, make_login
from seg_bridge.outbound.stopping import lift_stop
from tenants.models import Mailbox
from tests.console.test_accounts import incident, mailbox
from tests.factories import Cast
from tests.seg_bridge.outbound.parts import CEO, analyst, stop_the_ceo, stops

__all__ = ["incident", "mailbox"]
pytestmark = pytest.mark.usefixtures("no_broker")


def advice(cast: Cast, case: Incident) -> Advice:
    with analyst(cast):
        return account_advice(Incident.objects.select_related("tenant").get(id=case.id))


def phone(cast: Cast, case: Incident) -> None:
    with analyst(cast):
        log_call(incident=case, actor=cast.ana, whom="Irma", said="It was not she.")


def done(cast: Cast, case: Incident, mailbox: Mailbox, kind: str, target: str = "") -> None:
    with analyst(cast):
        AccountStep.objects.create(
            tenant=cast.acme,
            incident=case,
            mailbox=mailbox,
            kind=kind,
            target=target,
            state=AccountStep.State.VERIFIED,
            finished_at=timezone.now(),
            asked_by="Ana",
        )


def test_who_was_asked_is_not_asked_again_and_each_step_follows_the_last(
    cast: Cast, incident: Incident, mailbox: Mailbox
):
    with analyst(cast):
        Connection.objects.update(by_registrations=False)
        Grant.objects.all().delete()
        AccountSign.objects.filter(code="hides_money").update(raw={"rule": "r-1"})
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
    assert advice(cast, case).text == "End the login"
    with analyst(cast):
        login = SubmissionLogin.objects.select_related("tenant").get()
        end_login(login=login, actor=cast.mo)
    assert advice(cast, case).text == "Let it send again"
    (stop,) = stops(cast)
    with analyst(cast):
        lift_stop(stop=stop, actor=cast.ana, reason="The login is gone.")
    assert advice(cast, case).text == "Resolve"
