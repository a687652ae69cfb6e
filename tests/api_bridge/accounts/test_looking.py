"""From what a mail host shows of an account to one incident of it, against a live sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from api_bridge import http
from api_bridge.access.models import Grant, Purpose
from api_bridge.accounts.asking import ask_look
from api_bridge.accounts.keep import Keeper
from api_bridge.accounts.look import NOT_LISTED, UNLISTED
from api_bridge.accounts.models import MailboxSnapshot, SignIn
from api_bridge.accounts.reading import Events, GraphSource
from api_bridge.accounts.respond import NOT_READ
from api_bridge.accounts.shapes import SeenSignIn, Settings
from api_bridge.connectors.graph.client import GraphClient
from api_bridge.models import Connection, MailboxSync
from incidents.services import resolve_incident
from tenants.models import Mailbox
from tenants.scope import maintenance_scope
from tests.api_bridge.accounts.conftest import Watched, add_mailbox

pytestmark = pytest.mark.django_db(transaction=True)

HIDES = {
    "displayName": ".",
    "conditions": {"subjectContains": ["invoice"]},
    "actions": {"moveToFolder": "conversationhistory", "markAsRead": True},
}
FORWARDS = {
    "displayName": "to me",
    "actions": {"forwardTo": [{"emailAddress": {"address": "thief@evil.example"}}]},
}


def at(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def sign_in(country: str, city: str, lat: float, lon: float, **ago: float) -> dict[str, Any]:
    place = {"latitude": lat, "longitude": lon}
    return {
        "createdDateTime": at(**ago),
        "ipAddress": "198.51.100.7",
        "appDisplayName": "Office 365 Exchange Online",
        "location": {"city": city, "countryOrRegion": country, "geoCoordinates": place},
    }


def test_rules_make_one_incident_of_the_account(watched: Watched) -> None:
    watched.serve()
    assert (watched.incidents(), len(watched.snapshots())) == ([], 1)
    watched.rules(HIDES)
    watched.serve()
    # One sign alone is not enough at the usual sensitivity.
    assert (watched.incidents(), watched.signs()) == ([], [("hides_money", False)])
    watched.rules(HIDES, FORWARDS)
    watched.serve()
    (incident,) = watched.incidents()
    assert (incident.sender, incident.state) == (watched.address, "new")
    assert watched.signs() == [("forward_outside", True), ("hides_money", True)]
    assert incident.severity == "high"
    first, second, third = watched.snapshots()
    assert first.changes == []
    assert second.changes == [
        "A rule named “.” is new: it moves mail with “invoice” in its subject to Conversation"
        " History and marks it read."
    ]
    assert third.changes == ["Rule “to me” is new: it sends all mail on to thief@evil.example."]


def test_looking_again_changes_nothing(watched: Watched) -> None:
    watched.rules(HIDES, FORWARDS)
    for _ in range(3):
        watched.serve()
    assert len(watched.snapshots()) == 1
    assert [each.number for each in watched.incidents()] == [1]
    assert watched.signs() == [("forward_outside", True), ("hides_money", True)]


@pytest.mark.parametrize(
    ("classification", "comes_back"), [("benign", False), ("true_positive", True)]
)
def test_what_a_person_closed_stays_closed_by_the_same_evidence(
    watched: Watched, classification: str, comes_back: bool
) -> None:
    watched.rules(HIDES, FORWARDS)
    watched.serve()
    (incident,) = watched.incidents()
    with watched.yard.staff():
        resolve_incident(
            incident=incident,
            actor=watched.yard.cast.ana,
            classification=classification,
            cause="account",
        )
    watched.serve()
    watched.rules()
    watched.serve()
    assert len(watched.incidents()) == 1
    watched.rules(HIDES, FORWARDS)
    watched.serve()
    assert (len(watched.incidents()) == 2) is comes_back


def test_sign_ins_and_a_new_way_to_sign_in(watched: Watched) -> None:
    home = [sign_in("DE", "Berlin", 52.5, 13.4, hours=hours) for hours in (4, 3, 2)]
    watched.account(sign_ins=home)
    watched.serve()
    assert watched.signs() == []
    watched.account(
        sign_ins=[sign_in("NG", "Lagos", 6.5, 3.4, minutes=20)],
        audits=[
            {
                "activityDisplayName": "User registered security info",
                "activityDateTime": at(minutes=10),
                "initiatedBy": {"user": {"userPrincipalName": watched.address}},
            }
        ],
    )
    watched.serve()
    (incident,) = watched.incidents()
    assert watched.signs() == [
        ("far_sign_in", True),
        ("mfa_after_risk", True),
        ("new_country", True),
    ]
    assert incident.title.startswith("An account at risk: two sign-ins too far apart")


def test_the_first_look_waits_until_the_mailboxes_are_listed(watched: Watched) -> None:
    """What the host told before would be nobody's, and is not told again."""
    watched.account(sign_ins=[sign_in("DE", "Berlin", 52.5, 13.4, hours=2)])
    with maintenance_scope():
        Mailbox.objects.update(external_id="")
        Connection.objects.update(mailboxes_listed_at=None)
    again_at = watched.serve()
    look = watched.look()
    assert timezone.now() < again_at <= timezone.now() + UNLISTED
    assert (look.looked_at, look.due_at) == (None, again_at)
    assert NOT_LISTED in [each["words"] for each in look.off]
    assert not look.lacks_permission
    with maintenance_scope():
        Mailbox.objects.filter(id=watched.mailbox.id).update(
            external_id=watched.mailbox.external_id
        )
        Connection.objects.update(mailboxes_listed_at=timezone.now())
    watched.serve()
    with watched.yard.worker():
        assert [each.city for each in SignIn.objects.all()] == ["Berlin"]
    assert NOT_LISTED not in [each["words"] for each in watched.look().off]


@pytest.mark.parametrize("state", [Mailbox.State.BLIND, Mailbox.State.NO_MAILBOX])
def test_where_no_mailbox_can_be_read_the_accounts_are_looked_at(
    watched: Watched, state: str
) -> None:
    watched.account(sign_ins=[sign_in("DE", "Berlin", 52.5, 13.4, hours=2)])
    with maintenance_scope():
        Mailbox.objects.update(state=state)
    watched.serve()
    with watched.yard.worker():
        assert [each.city for each in SignIn.objects.all()] == ["Berlin"]
    look = watched.look()
    assert look.looked_at is not None
    assert look.due_at > timezone.now() + UNLISTED


def test_a_connection_whose_mailboxes_another_reads_is_through_with_its_look(
    watched: Watched,
) -> None:
    now = timezone.now()
    with maintenance_scope():
        other = Connection.objects.create(
            tenant=watched.yard.tenant, kind=Connection.Kind.IMAP, cloud_tenant_id="imap"
        )
        for mailbox in Mailbox.objects.exclude(external_id=""):
            MailboxSync.objects.create(
                tenant=watched.yard.tenant, mailbox=mailbox, connection=other, due_at=now
            )
    watched.serve()
    look = watched.look()
    assert (look.looked_at is not None, look.error) == (True, "")
    assert look.due_at > timezone.now() + UNLISTED


@pytest.mark.parametrize("is_asked", [True, False])
def test_who_asks_for_a_look_during_one_gets_another(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, is_asked: bool
) -> None:
    def and_somebody_asks(source: GraphSource, ids: Sequence[str]) -> dict[str, Settings]:
        found = read(source, ids)
        if is_asked:
            with watched.yard.staff():
                ask_look(tenant=watched.yard.tenant, actor=watched.yard.cast.ana)
        return found

    read = GraphSource.settings
    monkeypatch.setattr(GraphSource, "settings", and_somebody_asks)
    watched.serve()
    assert (watched.look().due_at <= timezone.now()) is is_asked


@pytest.mark.parametrize("when", ["in a turn", "between turns", "in the last turn"])
def test_who_asks_within_a_round_of_several_turns_has_all_of_it_read_anew(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    names = ("ana", "bo", "cfo")
    for name in names[:2]:
        add_mailbox(watched.yard, name)
    monkeypatch.setattr("api_bridge.accounts.look.BUDGET_S", 0.0)
    monkeypatch.setattr("api_bridge.accounts.look.MAILBOXES_AT_ONCE", 1)
    monkeypatch.setattr("api_bridge.accounts.look.AGAIN", timedelta(0))
    asked_at: list[datetime] = []
    reads: list[tuple[str, datetime]] = []

    def press() -> None:
        with watched.yard.staff():
            ask_look(tenant=watched.yard.tenant, actor=watched.yard.cast.ana)
        asked_at.append(timezone.now())

    def counted(source: GraphSource, ids: Sequence[str]) -> dict[str, Settings]:
        reads.extend((each, timezone.now()) for each in ids)
        found = read(source, ids)
        if not asked_at and len(reads) == {"in a turn": 1, "in the last turn": 3}.get(when):
            press()
        return found

    read = GraphSource.settings
    monkeypatch.setattr(GraphSource, "settings", counted)
    watched.serve()
    if when == "between turns":
        press()
    for _ in range(12):
        watched.serve(is_due=False)
    look = watched.look()
    assert look.reached is None
    assert look.due_at > timezone.now(), "nobody waits any more"
    assert {each for each, at in reads if at > asked_at[0]} == {
        watched.yard.company.ids[name] for name in names
    }
    assert len(reads) == 6, "the round that was under way is ended, and one more had"


def test_an_answer_of_which_nobody_thought_ends_the_look_and_is_said(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(*_: object) -> Events:
        raise KeyError("createdDateTime")

    monkeypatch.setattr(GraphSource, "events", raises)
    assert watched.serve() > timezone.now() + UNLISTED
    assert watched.look().error == NOT_READ


def test_a_mailbox_whose_answer_nobody_thought_of_holds_up_no_other(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [add_mailbox(watched.yard, name) for name in ("ana", "bo")]
    odd = watched.mailbox.external_id

    def settings(source: GraphSource, ids: Sequence[str]) -> dict[str, Settings]:
        if odd in ids:
            raise KeyError("rules")
        return read(source, ids)

    read = GraphSource.settings
    monkeypatch.setattr(GraphSource, "settings", settings)
    watched.serve()
    with watched.yard.worker():
        known = set(MailboxSnapshot.objects.values_list("mailbox_id", flat=True))
    assert known == {each.id for each in others}
    look = watched.look()
    assert (look.error, look.reached, look.looked_at is not None) == (NOT_READ, None, True)


def test_a_sign_in_that_is_listed_twice_counts_once(watched: Watched) -> None:
    tenant, now = watched.yard.tenant, datetime.now(UTC)
    fields: dict[str, Any] = {"external_id": "s-1", "user_id": "u", "at": now, "raw": {}}
    seen = SeenSignIn(**fields, risk="high")
    with maintenance_scope():
        domain = watched.mailbox.domain
        other = Mailbox.objects.create(tenant=tenant, domain=domain, address="a@new.example")
    for mailbox in (watched.mailbox, other):  # the second: the account's mailbox was made anew
        with watched.yard.worker():
            keeper = Keeper(tenant, now, "test")
            keeper.events(Events(sign_ins=(seen, seen)), {"u": mailbox})
            assert SignIn.objects.get().mailbox_id == watched.mailbox.id
            assert len(keeper.found) == (mailbox == watched.mailbox)


def test_grants_and_risk_join_the_open_incident(watched: Watched) -> None:
    watched.rules(HIDES, FORWARDS)
    watched.account(applications={"p-1": "Mail Helper"})
    watched.serve()
    grant = {"id": "g-1", "clientId": "p-1", "scope": "offline_access Mail.ReadWrite openid"}
    watched.account(grants=[grant], risk=[{"riskLevel": "high", "riskDetail": "none"}])
    watched.serve()
    assert len(watched.incidents()) == 1
    assert ("mail_grant", True) in watched.signs()
    assert ("risky_user", True) in watched.signs()
    assert watched.snapshots()[-1].changes == [
        "New: application “Mail Helper” may act for this person: Mail.ReadWrite, offline_access,"
        " openid."
    ]


@pytest.mark.parametrize("fault", ["status_429", "status_503", "drop_after_commit"])
def test_a_fault_makes_nothing_gone(
    watched: Watched, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tries as often as ever, and sooner.
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    monkeypatch.setattr(GraphClient, "_pause", lambda *_: None)
    watched.rules(HIDES)
    watched.serve()
    # Not 0: what names no time is left alone for ten seconds.
    watched.yard.cloud.admin(
        "POST", "faults", {"kind": fault, "count": 4, "match": "messageRules", "seconds": 1}, 201
    )
    watched.serve()
    watched.yard.cloud.admin("DELETE", "faults", status=204)
    assert [each.changes for each in watched.snapshots()] == [[]]
    watched.serve()
    assert watched.look().error == ""


def test_without_the_permission_it_is_off_and_says_so(watched: Watched) -> None:
    roles = ["User.Read.All", "MailboxSettings.ReadWrite"]
    watched.yard.application(Purpose.RESPOND, roles=roles)
    watched.yard.consent(Purpose.RESPOND)
    watched.rules(HIDES, FORWARDS)
    watched.serve()
    assert len(watched.incidents()) == 1
    off = {each["what"]: each["words"] for each in watched.look().off}
    assert off.keys() == {
        *("AuditLog.Read.All", "IdentityRiskyUser.Read.All", "hidden"),
        *("DelegatedPermissionGrant.ReadWrite.All", "UserAuthenticationMethod.Read.All"),
    }
    assert off["AuditLog.Read.All"].startswith("AuditLog.Read.All is not granted. Sign-ins")
    look = watched.look()
    assert look.lacks_permission
    look.off = [each for each in look.off if each["what"] == "hidden"]
    look.off += [{"what": "Sign-ins/behind", "words": "The next one goes on there."}]
    assert not look.lacks_permission, "nobody can grant that"


def test_a_round_of_several_turns_still_says_what_its_first_one_could_not_see(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.yard.application(Purpose.RESPOND, roles=["User.Read.All", "MailboxSettings.ReadWrite"])
    watched.yard.consent(Purpose.RESPOND)
    monkeypatch.setattr("api_bridge.accounts.look.BUDGET_S", 0.0)
    monkeypatch.setattr("api_bridge.accounts.look.MAILBOXES_AT_ONCE", 1)
    turns = 0
    while not turns or watched.look().reached is not None:
        watched.serve()
        turns += 1
        assert "AuditLog.Read.All" in {each["what"] for each in watched.look().off}, turns
    assert turns > 1
    watched.yard.application(Purpose.RESPOND)
    watched.yard.consent(Purpose.RESPOND)
    watched.serve()
    assert "AuditLog.Read.All" not in {each["what"] for each in watched.look().off}, "granted since"


def test_without_the_consent_nothing_is_asked(watched: Watched) -> None:
    with watched.yard.worker():
        Grant.objects.filter(purpose=Purpose.RESPOND).delete()
    assert watched.serve() is not None
    (off,) = watched.look().off
    assert off["words"] == (
        "Accounts are not looked at. The client has not consented to “Account response”."
    )
    assert watched.snapshots() == []
