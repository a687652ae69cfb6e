"""Account response at Google by a service account of its own: granted, and refused, by itself."""

from __future__ import annotations

import json

import pytest

from api_bridge.access.delegations import google_accounts
from api_bridge.access.models import Grant, Purpose, ServiceAccount
from api_bridge.access.other_hosts import connect_google_host
from api_bridge.access.permissions import GOOGLE_NEEDS, google_scopes
from api_bridge.access.service_accounts import keep_service_account, remove_service_account
from api_bridge.access.work import serve_access
from api_bridge.accounts.steps import offers_for
from api_bridge.connectors.google import tokens as scopes
from api_bridge.connectors.google.two_accounts import OF_RESPONSE
from api_bridge.services import Cloud, google_cloud, verify_google
from incidents.models import Incident
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, NotAllowed, NotThere, WrongInput
from tests.api_bridge.accounts.google_yard import GoogleYard
from tests.api_bridge.accounts.test_google_steps import GONE, LOOK, case, google, order
from tests.api_bridge.sandbox.workspace import GRANTED

__all__ = ["case", "google"]

pytestmark = pytest.mark.django_db(transaction=True)
READING = tuple(each for each in GRANTED if each not in OF_RESPONSE)
RESPONSE = tuple(sorted(OF_RESPONSE))


def access(google: GoogleYard) -> None:
    serve_access(ClaimedWork(google.tenant.id, google.tenant.provider_id, 1))


def enter(google: GoogleYard) -> ServiceAccount:
    with google.staff():
        return keep_service_account(
            purpose=Purpose.RESPOND,
            key_json=json.dumps(google.company.second),
            actor=google.cast.mo,
        )


def grant(google: GoogleYard) -> Grant | None:
    with google.worker():
        return Grant.objects.filter(purpose=Purpose.RESPOND).first()


def test_its_scopes_are_those_of_account_response():
    assert {need.name for need in GOOGLE_NEEDS[Purpose.RESPOND]} == OF_RESPONSE
    assert google_scopes("respond").split(",") == [n.name for n in GOOGLE_NEEDS["respond"]]


@pytest.mark.parametrize("kind", ["disable", "disable_rule", "forwarding_off", "revoke_sessions"])
def test_each_step_goes_by_the_second_account_alone(
    google: GoogleYard, case: Incident, kind: str
) -> None:
    """The account that reads mail has no scope by which it could be done or proven."""
    enter(google)
    google.delegate(*READING, second=RESPONSE)
    access(google)
    kept = grant(google)
    assert kept is not None
    assert kept.client_id == google.company.second["client_id"]
    assert frozenset(kept.roles) == OF_RESPONSE
    step = order(google, case, kind)
    assert (step.state, LOOK[kind](google.company.shown("ana"))) == ("verified", GONE[kind])


# What is delegated to the first and the second account -> who is asked for account response,
# whether its grant stands, and how the step ends.
DELEGATED = [
    (False, GRANTED, (), "account", True, "verified"),
    (True, GRANTED, (), "second", None, "pending"),  # no use of the first in secret
    (True, READING, RESPONSE, "second", True, "verified"),
    (True, READING, (scopes.REPORTS,), "second", True, ""),
]


@pytest.mark.parametrize(("has_two", "first", "second", "who", "stands", "ends"), DELEGATED)
def test_a_client_says_no_to_one_of_two(
    google: GoogleYard, case: Incident, has_two, first, second, who, stands, ends
) -> None:
    if has_two:
        enter(google)
    google.delegate(*first, second=second)
    access(google)
    with google.worker():
        asked = [each for each in google_accounts() if Purpose.RESPOND in each.purposes]
        assert [each.wired.client_id for each in asked] == [
            getattr(google.company, who)["client_id"]
        ]
    kept = grant(google)
    assert (kept.lost_at is None if kept else None) is stands
    with google.staff():
        (offer,) = [each for each in offers_for(case) if each.kind == "disable"]
        reading = Grant.objects.get(purpose=Purpose.DETECT)
    assert (reading.client_id, reading.lost_at) == (google.company.account["client_id"], None)
    if ends == "verified":
        assert order(google, case, "disable").state == "verified"
    else:
        assert offer.missing.startswith("admin.directory.user is not delegated.")
    assert google.company.shown("ana")["user"]["suspended"] is (ends == "verified")


def test_a_refused_key_says_nothing_of_what_is_delegated(google: GoogleYard) -> None:
    enter(google)
    google.delegate(*READING, second=RESPONSE)
    access(google)
    with google.staff():
        another = google.company.second | {"private_key_id": "other", "client_email": "x@y.example"}
        keep_service_account(
            purpose=Purpose.RESPOND, key_json=json.dumps(another), actor=google.cast.mo
        )
    access(google)
    kept = grant(google)
    assert kept is not None
    assert kept.lost_at is None
    with google.staff():
        assert "Google does not" in ServiceAccount.objects.get().trouble
    titles = [each.finding for each in google.all_incidents() if each.finding]
    assert titles == ["secret"]
    enter(google)
    access(google)
    with google.staff():
        assert ServiceAccount.objects.get().trouble == ""


def test_going_back_to_one_account_asks_that_one(google: GoogleYard) -> None:
    enter(google)
    google.delegate(*READING, second=RESPONSE)
    access(google)
    with google.staff():
        other = google.company.second | {"client_id": "1"}
        with pytest.raises(Conflict, match="1 clients delegate"):
            keep_service_account(
                purpose=Purpose.RESPOND, key_json=json.dumps(other), actor=google.cast.mo
            )
        remove_service_account(purpose=Purpose.RESPOND, actor=google.cast.mo)
        with pytest.raises(NotThere):
            remove_service_account(purpose=Purpose.RESPOND, actor=google.cast.mo)
    access(google)
    kept = grant(google)
    assert kept is not None
    assert (kept.lost_at is None, google.company.account["client_id"] in kept.trouble) == (
        False,
        True,
    )
    google.delegate(*GRANTED)
    access(google)
    kept = grant(google)
    assert kept is not None
    assert (kept.lost_at, kept.client_id) == (None, google.company.account["client_id"])


@pytest.mark.parametrize(
    ("actor", "purpose", "key", "refused"),
    [
        ("ana", "respond", "second", NotAllowed),
        ("mo", "detect", "second", WrongInput),
        ("mo", "respond", "{}", WrongInput),
        ("mo", "respond", "account", WrongInput),  # it reads mail
    ],
)
def test_who_enters_it_and_what(google: GoogleYard, actor, purpose, key, refused) -> None:
    key_json = key if key == "{}" else json.dumps(getattr(google.company, key))
    with google.staff(), pytest.raises(refused):
        keep_service_account(purpose=purpose, key_json=key_json, actor=getattr(google.cast, actor))


def test_the_account_for_account_response_reads_no_mail(google: GoogleYard) -> None:
    enter(google)
    entered = {
        "customer_id": "C0other",
        "admin": google.company.admin,
        "service_account_key": json.dumps(google.company.second),
    }
    with google.worker(), pytest.raises(WrongInput, match="for account response"):
        connect_google_host(tenant=google.tenant, entered=entered, actor=BAILEY)


def test_a_new_client_s_scopes_are_tried_by_the_account_they_are_for(google: GoogleYard) -> None:
    company = google.company
    google.delegate(*READING, second=RESPONSE)
    with google.worker():
        (account,) = google_accounts()
    wired = account.wired
    cloud = Cloud(authority_url=wired.authority_url, api_url=wired.api_url, ca_file=wired.ca_file)
    checks = verify_google(
        customer_id=company.customer_id,
        key_json=company.key_json,
        admin=company.admin,
        response_key=json.dumps(company.second),
        cloud=google_cloud(admin=company.admin, cloud=cloud),
    )
    assert {each.scope for each in checks if each.is_ok} == {*READING, *RESPONSE} - {
        scopes.MAIL_READ
    }
