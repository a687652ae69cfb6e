"""Pages about accounts in other hands: what they show, what they say where nothing is known."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from api_bridge.access.models import Grant
from api_bridge.accounts.models import (
    AccountLook,
    AccountStep,
    AccountTerms,
    MailboxSnapshot,
    SignIn,
)
from api_bridge.accounts.shapes import AccountState, AppGrant, Settings
from api_bridge.connectors import Delegate, MailboxRule
from api_bridge.connectors.google import tokens
from api_bridge.models import Connection
from incidents.accounts import Sign, note_signs
from incidents.models import AccountSign, Incident
from tenants.ids import new_id
from tenants.models import AuditEntry, Domain, Mailbox, Work
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.factories import Cast

pytestmark = pytest.mark.usefixtures("no_broker")
NOW = timezone.now()
WORDS = "Rule “x” moves mail with “invoice” to RSS Feeds and marks it read."


@pytest.fixture
def mailbox(cast: Cast) -> Mailbox:
    with maintenance_scope():
        address = "cfo@acme.example"
        found = Mailbox.objects.filter(tenant=cast.acme, address=address).first()
        found = found or Mailbox(tenant=cast.acme, address=address)
        found.domain, found.external_id = Domain.objects.filter(tenant=cast.acme)[0], "u-1"
        found.save()
        return found


@pytest.fixture
def incident(cast: Cast, mailbox: Mailbox) -> Incident:
    now = timezone.now()
    rule = MailboxRule(id="r-1", name="x", criteria=(("subject", "invoice"),), moves_to="RSS Feeds")
    settings = Settings(rules=(rule,))
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        connection = Connection.objects.create(
            tenant=cast.acme,
            cloud_tenant_id=str(new_id()),
            authority_url="https://login.example",
            api_url="https://graph.example",
            by_registrations=True,
        )
        off = [{"what": "x", "words": "AuditLog.Read.All is not granted."}]
        AccountLook.objects.create(tenant=cast.acme, connection=connection, looked_at=now, off=off)
        MailboxSnapshot.objects.create(
            tenant=cast.acme,
            mailbox=mailbox,
            digest=settings.digest,
            content=settings.as_json(),
            changes=[WORDS],
            taken_at=now,
        )
        SignIn.objects.create(
            tenant=cast.acme, mailbox=mailbox, external_id="s", at=now, city="Lagos", country="NG"
        )
        signs = [
            Sign(code=code, key=code, words=WORDS, source="Rules", at=now, raw={"rule": "r-1"})
            for code in ("hides_money", "forward_outside")
        ]
        found = note_signs(cast.acme, mailbox.address, signs, threshold=60)
        assert found is not None
        return found


def read(client, person, name: str, *args) -> str:
    client.force_login(person)
    answer = client.get(reverse(name, args=args))
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_the_incident_shows_evidence_and_says_what_is_missing(client, cast: Cast, incident):
    text = read(client, cast.bo, "incident", incident.id)
    assert "What speaks for other hands" in text
    assert WORDS in text
    assert "100 points" in text
    assert "The client has not consented to “Account response”." in text
    assert reverse("access", args=["acme"]) in text
    assert "No mail belongs to it" in text
    assert "lifts the stop" not in text
    answer = client.get(
        reverse("incident_step", args=[incident.id]), {"kind": "disable_rule", "target": "r-1"}
    )
    assert "acts on no further mail" in answer.content.decode()
    assert ">Do it<" not in answer.content.decode()


@pytest.mark.parametrize("way", ["page", "api"])
def test_nobody_waits_for_the_quarter_of_an_hour(client, cast: Cast, incident, way):
    client.force_login(cast.bo)
    at = reverse("client_accounts_look", args=["acme"])
    assert f'action="{at}"' in read(client, cast.bo, "client_accounts", "acme")
    with maintenance_scope():
        AccountLook.objects.update(due_at=NOW + timedelta(minutes=15))
    if way == "api":
        answer = client.post("/api/v1/tenants/acme/accounts/look")
        assert (answer.status_code, answer.json()["tenant"]) == (202, "acme")
    else:
        assert client.post(at).status_code == 302
    with maintenance_scope():
        assert AccountLook.objects.get().due_at <= timezone.now()
        now = timezone.now()
        assert Work.objects.filter(tenant=cast.acme, queue="accounts", wanted_at__lte=now).exists()
        asked = AuditEntry.objects.get(action="api_bridge.account_look.asked")
        assert (asked.actor_name, asked.tenant_id) == (cast.bo.name, cast.acme.id)


def test_the_record_stands_behind_each_sign(client, cast: Cast, incident):
    with maintenance_scope():
        sign = AccountSign.objects.filter(incident=incident)[0]
    assert "&quot;rule&quot;: &quot;r-1&quot;" in read(client, cast.ana, "account_sign", sign.id)


def test_a_mailbox_shows_its_settings_over_time(client, cast: Cast, incident, mailbox):
    text = read(client, cast.ana, "mailbox_settings", mailbox.id)
    assert WORDS in text
    assert "Lagos" in text
    assert "No application" not in text, "what was not read is not said to be none"
    assert "Not read: the mail host does not show it" in text


def test_a_client_says_how_its_accounts_are_watched(client, cast: Cast, incident):
    text = read(client, cast.ana, "client_accounts", "acme")
    assert "Sensitivity: Normal" in text
    assert "AuditLog.Read.All is not granted." in text
    assert f"#{incident.number}" in text
    assert "Nobody has looked yet" in read(client, cast.ana, "client_accounts", "globex")


def test_a_lead_sets_the_sensitivity(client, cast: Cast):
    client.force_login(cast.mo)
    address = reverse("client_accounts_terms", args=["acme"])
    assert client.post(address, {"sensitivity": "extreme"}).status_code == 200
    assert client.post(address, {"sensitivity": "high"}).status_code == 302
    with maintenance_scope():
        assert AccountTerms.objects.get().sensitivity == "high"
    client.force_login(cast.ana)
    assert client.post(address, {"sensitivity": "low"}).status_code == 403


@pytest.fixture
def at_google(cast: Cast, mailbox: Mailbox, incident: Incident) -> Connection:
    """The client is at Google, and has delegated detection and one scope of response."""
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        Connection.objects.all().update(kind="google", settings={"admin": "boss@acme.example"})
        connection = Connection.objects.get()
        grant = {"tenant": cast.acme, "connection": connection, "client_id": "1", "checked_at": NOW}
        Grant.objects.create(
            **grant, purpose="detect", granted_at=NOW, roles=[tokens.USERS, tokens.MAIL_READ]
        )
        Grant.objects.create(
            **grant, purpose="respond", granted_at=NOW, roles=[tokens.USER_SECURITY]
        )
        settings = Settings(
            rules=(),
            delegates=(Delegate(address="bo@acme.example", is_active=True),),
            grants=(AppGrant(id="77", app_id="77", scopes=("https://mail.google.com/",)),),
            state=AccountState(has_two_steps=False, recovery_email="x@evil.example"),
        )
        MailboxSnapshot.objects.create(
            tenant=cast.acme,
            mailbox=mailbox,
            digest=settings.digest,
            content=settings.as_json(),
            taken_at=NOW + timedelta(hours=1),
        )
        return connection


def test_what_google_delegates_stands_with_what_is_off(client, cast: Cast, at_google) -> None:
    text = read(client, cast.ana, "access", "acme")
    assert "What Acme delegates at Google" in text
    assert text.count(tokens.CHANGE_USERS) >= 2, "in the table, and to paste"
    assert "A taken-over account cannot be suspended" in text
    assert "Try the scopes now" not in text
    assert "Try the scopes now" in read(client, cast.mo, "access", "acme")
    address = reverse("access_scopes", args=["acme"])
    assert client.post(address).status_code == 302


def test_steps_at_google_by_what_is_delegated_and_by_who_asks(
    client, cast: Cast, incident: Incident, mailbox: Mailbox, at_google
) -> None:
    text = read(client, cast.bo, "incident", incident.id)
    assert "Remove the delegate" in text
    assert "gmail.settings.sharing is not delegated." in text
    # What cannot be put back is a lead's, and says so.
    assert "A lead withdraws an application" in text
    grant = {"kind": "revoke_grant", "target": "77"}
    address = reverse("incident_step", args=[incident.id])
    assert ">Do it<" not in client.get(address, grant).content.decode()
    assert client.post(address, grant).status_code == 403
    text = read(client, cast.mo, "incident", incident.id)
    assert "A lead withdraws an application" not in text
    assert ">Do it<" in client.get(address, grant).content.decode()
    assert client.post(address, grant).status_code == 302
    # It waits; a lead, or whoever ordered it, withdraws it.
    assert ">Withdraw<" in read(client, cast.mo, "incident", incident.id).replace("\n", "")
    assert ">Withdraw<" not in read(client, cast.bo, "incident", incident.id).replace("\n", "")
    with maintenance_scope():
        step = AccountStep.objects.get()
    assert "It has not begun" in read(client, cast.mo, "account_step_withdraw", step.id)
    withdraw = reverse("account_step_withdraw", args=[step.id])
    assert client.post(withdraw).status_code == 302
    assert client.post(withdraw).status_code == 409
    text = read(client, cast.ana, "mailbox_settings", mailbox.id)
    assert "2-step verification is off." in text
    assert "Recovery address: x@evil.example." in text
