"""From what Google logs and shows of an account to one incident of it, against a live sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from api_bridge.accounts.models import AccountLook
from api_bridge.connectors.google import tokens as scopes
from incidents.models import Observation
from tests.api_bridge.accounts.google_yard import GoogleYard, at, make_google_yard
from tests.api_bridge.sandbox.running import SandboxProcess
from tests.api_bridge.sandbox.workspace import GRANTED
from tests.factories import Cast

pytestmark = pytest.mark.django_db(transaction=True)
APP = {
    "clientId": "77.apps.googleusercontent.com",
    "displayText": "Mail Helper",
    "scopes": ["https://mail.google.com/", "openid"],
}
PASSWORD = {"login_type": "google_password", "is_suspicious": False}


@pytest.fixture
def google(transactional_cast: Cast, own_cloud: SandboxProcess) -> GoogleYard:
    return make_google_yard(transactional_cast, own_cloud)


def signed_in(google: GoogleYard, region: str, **how: Any) -> None:
    said = {"parameters": PASSWORD, "region": region} | how
    google.company.happened("ana", "login", "login_success", **said)


def test_sign_ins_from_a_new_place_and_a_way_in_that_was_added_after(google: GoogleYard) -> None:
    for hours in (50, 30, 20):
        signed_in(google, "DE", at=at(hours=hours))
    google.serve()
    assert google.signs() == []
    signed_in(google, "NG", at=at(hours=2), parameters=PASSWORD | {"is_suspicious": True})
    for log in ("login", "user_accounts"):  # the same change stands in both
        google.company.happened("ana", log, "2sv_enroll", at=at(hours=1))
    google.serve()
    assert google.signs() == [("mfa_after_risk", 40), ("new_country", 20), ("risky_sign_in", 30)]
    (incident,) = google.incidents()
    assert incident.sender == google.address
    words = {each.app for each in google.sign_ins()}
    assert words == {"a Google password"}
    # Told once, however often the same hours are read.
    google.serve()
    assert (len(google.signs()), len(google.sign_ins())) == (3, 4)


@pytest.mark.parametrize(
    ("application", "event", "parameters", "found"),
    [
        ("user_accounts", "2sv_disable", {}, ("mfa_removed", 20)),
        ("user_accounts", "recovery_email_edit", {}, ("recovery_changed", 20)),
        ("admin", "TURN_OFF_2_STEP_VERIFICATION", {"USER_EMAIL": "ana"}, ("mfa_removed", 20)),
        ("admin", "CREATE_USER", {"USER_EMAIL": "ana"}, None),
        ("login", "suspicious_login", {"affected_email_address": "ana"}, ("blocked_sign_in", 20)),
        ("login", "account_disabled_hijacked", {"affected_email_address": "ana"},
         ("risky_user", 40)),
        ("login", "login_failure", {"login_type": "google_password"}, None),
        ("user_accounts", "email_forwarding_out_of_domain",
         {"email_forwarding_destination_address": "thief@evil.example"}, ("forward_outside", 50)),
        ("user_accounts", "email_forwarding_out_of_domain",
         {"email_forwarding_destination_address": "bo"}, None),
        ("token", "authorize", {"client_id": "77", "scope": ["openid"]}, None),
        ("token", "authorize",
         {"client_id": "77", "app_name": "Helper", "scope": ["https://mail.google.com/"]},
         ("mail_grant", 40)),
        ("token", "revoke", {"client_id": "77", "scope": ["https://mail.google.com/"]}, None),
    ],
)  # fmt: skip
def test_what_was_logged(
    google: GoogleYard, application: str, event: str, parameters: dict[str, Any], found: Any
) -> None:
    said = {
        name: google.company.mail(value) if value in ("ana", "bo") else value
        for name, value in parameters.items()
    }
    who = "cfo" if application == "admin" else "ana"
    google.company.happened(who, application, event, parameters=said, at=at(hours=1))
    google.serve()
    assert google.signs() == ([found] if found else [])


def test_who_opened_a_link_is_told_once_by_the_log_of_gmail(google: GoogleYard) -> None:
    for kind, hours in ((7, 3), (15, 2), (16, 1)):
        google.company.opened_link("ana", f"<plan-{kind}@x.example>", kind=kind, at=at(hours=hours))
    google.company.opened_link("bo", "<plan-15@x.example>", at=at(hours=1))  # not watched here
    for _ in range(2):
        google.serve()
    with google.worker():
        said = list(Observation.objects.order_by("observed_at"))
    assert [each.internet_message_id for each in said] == [
        "<plan-15@x.example>", "<plan-16@x.example>"
    ]  # fmt: skip
    assert {(each.layer, each.recipient, each.verdict, each.engine) for each in said} == {
        ("vendor", google.address, None, "google-gmail-log")
    }
    assert all(each.detail["clicked_at"] == each.observed_at.isoformat() for each in said)
    google.company.opened_link("ana", "<late@x.example>", at=at(hours=1))
    google.serve()
    with google.worker():
        assert Observation.objects.count() == 3, "the log is late"


def test_what_google_tells_late_is_seen_then(google: GoogleYard) -> None:
    google.serve()
    google.company.happened("ana", "user_accounts", "2sv_disable", at=at(hours=3))
    google.serve()
    assert google.signs() == [("mfa_removed", 20)]


def test_settings_over_time_and_a_grant_that_two_tell_of_counts_once(google: GoogleYard) -> None:
    company = google.company
    company.account_of("ana", state={"isEnrolledIn2Sv": True, "recoveryEmail": "ana@home.example"})
    google.serve()
    assert google.changes() == []
    company.account_of("ana", tokens=[APP], state={"isEnrolledIn2Sv": False})
    company.happened("ana", "token", "authorize", at=at(minutes=5), parameters={
        "client_id": APP["clientId"], "app_name": "Mail Helper", "scope": APP["scopes"],
    })  # fmt: skip
    company.cloud.admin("PUT", f"mailboxes/{google.address}/settings", {
        "forwarding": {"enabled": True, "emailAddress": "x@evil.example", "disposition": "trash"},
        "delegates": [company.mail("bo")],
    })  # fmt: skip
    google.serve()
    assert google.changes() == [
        "All mail now goes on to x@evil.example; the mailbox keeps no copy here.",
        f"New: {company.mail('bo')} may read and send as this mailbox.",
        "New: application “Mail Helper” may act for this person: https://mail.google.com/, openid.",
        "2-step verification was switched off.",
    ]
    assert google.signs() == [("forward_outside", 50), ("mail_grant", 40), ("new_delegate", 30)]
    google.serve()
    assert len(google.signs()) == 3


def test_what_is_not_delegated_is_off_and_the_rest_goes_on(google: GoogleYard) -> None:
    without = {scopes.REPORTS, scopes.USER_SECURITY}
    google.delegate(*(scope for scope in GRANTED if scope not in without))
    signed_in(google, "DE", at=at(hours=1))
    google.serve()
    look = google.look()
    off = {each["what"]: each["words"] for each in look.off}
    assert off[scopes.REPORTS].startswith("admin.reports.audit.readonly is not delegated. Sign")
    assert off[scopes.USER_SECURITY].startswith("admin.directory.user.security is not del")
    assert (look.error, google.sign_ins(), look.sign_ins_until) == ("", [], None)
    # From the moment on it is delegated, the days before are read, too.
    google.delegate(*GRANTED)
    google.serve()
    assert len(google.sign_ins()) == 1
    with google.worker():
        assert scopes.REPORTS not in {each["what"] for each in AccountLook.objects.get().off}
