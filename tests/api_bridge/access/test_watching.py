"""Each loss of access opens one health incident, before it hurts where that can be known; what
comes back settles it, the gap is read, and what waited goes on.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from api_bridge.access.models import AppRegistration, Consent, Grant, Purpose, Relationship
from api_bridge.access.permissions import NEEDS
from api_bridge.models import Connection, MailboxSync
from api_bridge.push import NO_PUSH
from api_bridge.sight import why_not_acting
from api_bridge.sync import serve_sync
from console.queries.access import access_page
from console.queries.advice import advice_for
from console.queries.blindness import Blindness
from console.queries.rows import can_pull
from incidents.correlation import make_sense_of_backlog
from incidents.execution import serve_remediation
from incidents.models import Delivery, Finding, Incident, Intent, Job, Renewal
from incidents.remediation import pull_incident
from incidents.renewal_answers import answer_renewal
from tenants.doors import ClaimedWork
from tenants.errors import Conflict
from tenants.models import Domain, Mailbox
from tests.api_bridge.sandbox.running import Company


@pytest.fixture
def connected(yard):
    assert yard.consent().stage == Consent.Stage.GRANTED
    assert yard.consent(Purpose.REMEDIATE).stage == Consent.Stage.GRANTED
    return yard


def withdraw(yard, purpose):
    path = f"tenants/{yard.company.tenant_id}/apps/{yard.apps[purpose]}"
    yard.cloud.admin("DELETE", path, status=204)


def sync(yard):
    with yard.worker():
        past = timezone.now() - timedelta(seconds=1)
        Connection.objects.update(list_due_at=past)
        MailboxSync.objects.update(due_at=past)
    return serve_sync(ClaimedWork(yard.tenant.id, yard.tenant.provider_id, 1))


def standing(yard, code):
    with yard.worker():
        rows = Finding.objects.filter(code=code, settled_at=None)
        return sorted(rows.values_list("key", flat=True))


def test_a_withdrawn_consent_opens_one_incident_and_its_return_settles_it(connected):
    yard = connected
    withdraw(yard, Purpose.REMEDIATE)
    for _ in range(3):
        yard.serve()
    (incident,) = yard.health("consent")
    assert standing(yard, "consent") == ["remediate"]
    withdraw(yard, Purpose.DETECT)
    yard.serve()
    assert yard.health("consent") == [incident]
    assert standing(yard, "consent") == ["detect", "remediate"]
    with yard.worker():
        assert "lost" in why_not_acting(yard.tenant.id)
    yard.consent(Purpose.REMEDIATE)
    (same,) = yard.health("consent")
    assert (same.id, same.state) == (incident.id, "new")
    yard.consent()
    (same,) = yard.health("consent")
    assert (same.id, same.state) == (incident.id, Incident.State.RESOLVED)
    with yard.worker():
        assert why_not_acting(yard.tenant.id) == ""
    withdraw(yard, Purpose.DETECT)
    yard.serve()
    assert [each.state for each in yard.health("consent")] == ["resolved", "new"]


def test_a_blind_host_is_told_whatever_another_one_or_acting_lacks(connected):
    yard = connected
    now = timezone.now()
    with yard.worker():
        for number in (1, 2):
            Connection.objects.create(
                tenant=yard.tenant,
                kind=Connection.Kind.IMAP,
                cloud_tenant_id=f"imap{number}.acme.example",
                state=Connection.State.CREDENTIALS_EXPIRED,
                blind_since=now,
            )
        blind = Connection.objects.filter(kind=Connection.Kind.IMAP)
        keys = sorted(f"blind/{each.id}" for each in blind)
    withdraw(yard, Purpose.REMEDIATE)
    yard.application(Purpose.REMEDIATE, roles=[])
    yard.serve()
    assert standing(yard, "consent") == [*keys, "remediate"]
    yard.consent(Purpose.REMEDIATE)
    assert standing(yard, "permission") == ["remediate/Mail.ReadWrite"]
    assert standing(yard, "consent") == keys
    with yard.worker():
        blind.filter(cloud_tenant_id__startswith="imap1").delete()
        Connection.objects.filter(kind=Connection.Kind.GRAPH).update(
            state=Connection.State.NEEDS_CONSENT, blind_since=now
        )
    yard.serve()
    assert len(standing(yard, "consent")) == 2
    withdraw(yard, Purpose.DETECT)
    yard.serve()
    told = standing(yard, "consent")
    assert (len(told), "detect" in told) == (2, True), "its own refusal is told once"


def test_what_a_person_resolved_stays_so_until_something_new_is_lost(connected):
    yard = connected
    withdraw(yard, Purpose.REMEDIATE)
    yard.serve()
    with yard.worker():
        Incident.objects.filter(finding="consent").update(state=Incident.State.RESOLVED)
    yard.serve()
    assert len(yard.health("consent")) == 1
    withdraw(yard, Purpose.DETECT)
    yard.serve()
    assert [each.state for each in yard.health("consent")] == ["resolved", "new"]


def test_a_secret_is_announced_thirty_days_ahead_and_a_new_one_settles_it(connected):
    yard = connected
    with yard.staff():
        row = AppRegistration.objects.filter(purpose=Purpose.DETECT)
        row.update(expires_at=timezone.now() + timedelta(days=31))
    yard.serve()
    assert yard.health("secret") == []
    with yard.staff():
        row.update(expires_at=timezone.now() + timedelta(days=29))
    yard.serve()
    (incident,) = yard.health("secret")
    assert standing(yard, "secret") == ["detect/end"]
    yard.application(Purpose.DETECT, expired=True)
    yard.serve()
    assert standing(yard, "secret") == ["detect/end", "detect/refused"]
    assert yard.health("secret") == [incident]
    yard.register(Purpose.DETECT, days=300)
    yard.serve()
    assert [each.state for each in yard.health("secret")] == ["resolved"]


def test_an_authority_that_does_not_answer_says_nothing_of_a_consent(connected, monkeypatch):
    yard = connected
    withdraw(yard, Purpose.REMEDIATE)
    yard.serve()
    monkeypatch.setattr("api_bridge.tokens.TOKEN_TIMEOUT_S", 0.000001)
    yard.serve()
    assert standing(yard, "consent") == ["remediate"]
    with yard.worker():
        assert not Grant.objects.get(purpose=Purpose.DETECT).lost_at


def relate(yard, name, days, status="active", *, renews=False, roles=()):
    """One of the client's, ``days`` before its end."""
    with yard.staff():
        Relationship.objects.update_or_create(
            provider=yard.cast.provider,
            external_id=name,
            defaults={
                "cloud_tenant_id": yard.company.tenant_id,
                "name": name,
                "status": status,
                "roles": list(roles),
                "ends_at": timezone.now() + timedelta(days=days),
                "renews_itself": renews,
                "seen_at": timezone.now(),
            },
        )


def test_a_relationship_that_ends_and_orders_that_cannot_be_renewed_are_told(connected):
    yard = connected
    relate(yard, "soon", 20)
    relate(yard, "nearer", 5, "expiring")
    relate(yard, "late", 90)
    relate(yard, "self", 20, renews=True)
    sync(yard)
    with yard.worker():
        MailboxSync.objects.update(
            push_expires_at=timezone.now(), push_error="The address is not reached."
        )
    yard.serve()
    assert standing(yard, "gdap") == ["nearer", "soon"]
    assert standing(yard, "push") == ["orders"]


def test_an_imap_server_that_is_listened_to_has_no_order_to_lose(connected):
    """Its mailboxes take no order, which is noted, and are heard for some minutes at a time."""
    yard = connected
    now = timezone.now()
    with yard.worker():
        host = Connection.objects.create(
            tenant=yard.tenant, kind=Connection.Kind.IMAP, cloud_tenant_id="imap.acme.example"
        )
        box = Mailbox.objects.create(
            tenant=yard.tenant,
            domain=Domain.objects.filter(tenant=yard.tenant)[0],
            address="dan@imap.acme.example",
        )
        MailboxSync.objects.create(
            tenant=yard.tenant,
            mailbox=box,
            connection=host,
            due_at=now,
            push_error=NO_PUSH,
            push_expires_at=now + timedelta(minutes=5),
        )
    yard.serve()
    assert standing(yard, "push") == []
    with yard.staff():
        page = access_page(yard.tenant)
    sight = next(each for each in page.connections if each.connection.kind == "imap")
    assert (sight.pushes.told, sight.pushes.polled) == (1, 0)


def test_a_relationship_that_ended_stays_told_until_another_gives_its_roles(connected):
    yard = connected
    relate(yard, "old", -200, "expired", roles=["Global Reader"])
    relate(yard, "ended by them", -2, "terminated", roles=["Helpdesk Administrator"])
    relate(yard, "ours", 3, "expiring", roles=["Security Reader"])
    yard.serve()
    assert standing(yard, "gdap") == ["ended by them", "ours"], "what ended long ago is no news"
    relate(yard, "ours", -1, "expired", roles=["Security Reader"])
    yard.serve()
    relate(yard, "ours", -100, "expired", roles=["Security Reader"])
    yard.serve()
    assert standing(yard, "gdap") == ["ended by them", "ours"]
    with yard.worker():
        assert "ended on" in Finding.objects.get(key="ours").words
    relate(yard, "other", 300, roles=["Global Reader"])
    yard.serve()
    assert "ours" in standing(yard, "gdap")
    relate(yard, "new", 300, roles=["Security Reader", "Helpdesk Administrator"])
    yard.serve()
    assert [each.state for each in yard.health("gdap")] == ["resolved"]


def test_that_relationships_cannot_be_listed_any_more_is_told_before_and_after(connected):
    yard = connected
    relate(yard, "long", 300)
    yard.register(Purpose.PARTNER, home_tenant_id=str(uuid4()), days=29)
    yard.serve()
    assert standing(yard, "secret") == ["partner/end"]
    with yard.staff():
        assert AppRegistration.objects.get(purpose=Purpose.PARTNER).trouble, "no such tenant"
    assert standing(yard, "gdap") == ["listing"]
    with yard.staff():
        Relationship.objects.all().delete()
    yard.serve()
    assert (standing(yard, "gdap"), standing(yard, "secret")) == ([], [])


def test_a_client_who_refuses_to_have_mail_moved_has_detection_all_the_same(yard, no_broker):
    yard.consent()
    sync(yard)
    yard.company.receive("ana", subject="Hello")
    sync(yard)
    with yard.worker():
        while make_sense_of_backlog(yard.tenant):
            pass
        assert Delivery.objects.filter(recipient=yard.company.mail("ana")).exists()
        assert "has not consented" in why_not_acting(yard.tenant.id)
        incident = incident_of(yard)
        sight = Blindness([yard.tenant.id]).of(yard.tenant.id)
        assert not can_pull(incident, sight)
        assert "has not consented" in advice_for(incident, sight).effect
    with yard.staff(), pytest.raises(Conflict, match="has not consented"):
        pull_incident(incident=incident, actor=yard.cast.mo)


def incident_of(yard) -> Incident:
    """That of the newest mail, whatever it is about.  In the caller's scope."""
    newest = Delivery.objects.latest("received_at")
    return Incident.objects.get(memberships__message=newest.message_id)


def test_when_access_returns_the_gap_is_read_and_what_waited_goes_on(connected, no_broker):
    yard = connected
    sync(yard)
    yard.company.receive("ana", subject="Before")
    sync(yard)
    with yard.worker():
        while make_sense_of_backlog(yard.tenant):
            pass
        incident = incident_of(yard)
        job = pull_incident(incident=incident, actor=yard.cast.mo, late=None)
    withdraw(yard, Purpose.DETECT)
    withdraw(yard, Purpose.REMEDIATE)
    yard.serve()
    sync(yard)
    claimed = ClaimedWork(yard.tenant.id, yard.tenant.provider_id, 1)
    for _ in range(10):  # longer than any job is tried where a call could work
        with yard.worker():
            Intent.objects.filter(job=job).update(due_at=timezone.now())
        serve_remediation(claimed)
    with yard.worker():
        intent = Intent.objects.get(job=job)
        assert (intent.state, intent.attempts) == (Intent.State.PENDING, 0)
        assert Connection.objects.get().blind_since
    yard.company.receive("ana", subject="During")
    yard.consent()
    yard.consent(Purpose.REMEDIATE)
    with yard.worker():
        assert Intent.objects.get(job=job).due_at <= timezone.now()
    serve_remediation(claimed)
    with yard.worker():
        assert not Renewal.objects.exists(), "granted again, and nothing was read yet"
    sync(yard)
    with yard.worker():
        while make_sense_of_backlog(yard.tenant):
            pass
    serve_remediation(claimed)
    with yard.worker():
        # The gap brought a second copy of the incident, which nobody had approved.
        renewal = Renewal.objects.get()
        assert renewal.state == Renewal.State.ASKED
        assert Intent.objects.get(job=job).state == Intent.State.PENDING
        answer_renewal(renewal=renewal, answer="approved", actor=yard.cast.mo)
    serve_remediation(claimed)
    with yard.worker():
        subjects = set(Delivery.objects.values_list("message__subject", flat=True))
        assert {"Before", "During"} <= subjects
        assert Intent.objects.get(job=job).state == Intent.State.VERIFIED
        assert Job.objects.get(id=job.id).state == Job.State.DONE
        assert Connection.objects.get().blind_since is None


def test_what_nobody_wants_any_more_is_not_pulled_when_access_returns(connected, no_broker):
    yard = connected
    sync(yard)
    yard.company.receive("bo", subject="Harmless after all")
    sync(yard)
    with yard.worker():
        while make_sense_of_backlog(yard.tenant):
            pass
        incident = incident_of(yard)
        job = pull_incident(incident=incident, actor=yard.cast.mo, late=None)
        Incident.objects.filter(id=incident.id).update(
            state="resolved", classification="false_positive"
        )
    withdraw(yard, Purpose.REMEDIATE)
    yard.serve()
    yard.consent(Purpose.REMEDIATE)
    serve_remediation(ClaimedWork(yard.tenant.id, yard.tenant.provider_id, 1))
    with yard.worker():
        intent = Intent.objects.get(job=job)
        assert intent.state == Intent.State.FAILED
        assert "closed as harmless" in intent.error


def test_relationships_are_listed_hourly_in_the_providers_own_tenant(connected):
    yard = connected
    home = Company(yard.cloud)
    client_id = yard.register(Purpose.PARTNER, home_tenant_id=home.tenant_id)
    roles = [need.name for need in NEEDS[Purpose.PARTNER]]
    app = {"client_id": client_id, "roles": roles}
    tenant = {"domain": home.domain, "display_name": "Keep", "apps": [app]}
    yard.cloud.admin("PUT", f"tenants/{home.tenant_id}", tenant)
    wanted = {
        "customer_id": yard.company.tenant_id,
        "display_name": "Keep for Acme",
        "ends_in_days": 10,
        "roles": ["194ae4cb-b126-40b2-bd5b-6091b380977d"],
    }
    path = f"tenants/{home.tenant_id}/relationships"
    yard.cloud.admin("PUT", path, {"relationships": [wanted]})
    yard.serve()
    with yard.staff():
        row = Relationship.objects.get()
        assert (row.name, row.roles) == ("Keep for Acme", ["Security Administrator"])
    assert len(yard.health("gdap")) == 1
    yard.cloud.admin("PUT", path, {"relationships": [{**wanted, "ends_in_days": 400}]})
    yard.serve()
    assert yard.health("gdap")[0].state == "new"  # not asked again within the hour
    with yard.staff():
        AppRegistration.objects.filter(purpose=Purpose.PARTNER).update(looked_at=None)
    yard.serve()
    assert yard.health("gdap")[0].state == "resolved"
