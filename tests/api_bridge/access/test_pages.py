"""The console's pages of a client's access, and the way through them."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from api_bridge.access.models import AppRegistration, Grant, Purpose, Relationship
from api_bridge.access.permissions import NEEDS
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import secret_place
from tenants.models import Domain, Mailbox
from tenants.secrets import seal
from tests.api_bridge.access.conftest import SECRET
from tests.factories import PASSWORD


@pytest.fixture
def console(yard, no_broker):
    browser = Client()
    assert browser.login(email=yard.cast.mo.email, password=PASSWORD)
    return browser


def test_from_the_page_to_the_grant(yard, console):
    page = console.get("/console/clients/acme/mailbox").content.decode()
    assert "Not granted" in page
    assert "Nothing is seen after delivery" in page
    go = console.post("/console/clients/acme/mailbox/ask", {"purpose": "detect"})
    assert "Go to Microsoft" in go.content.decode()
    reply = yard.cloud.client.post(
        go.context["address"], data={"tenant": yard.company.tenant_id, "answer": "yes"}
    )
    query = urlsplit(reply.headers["location"]).query
    assert console.get(f"/console/consent?{query}").url == "/console/clients/acme/mailbox"
    again = console.get(f"/console/consent?{query}")
    assert again.status_code == 409
    yard.serve()
    page = console.get("/console/clients/acme/mailbox").content.decode()
    assert "Granted" in page
    assert yard.company.tenant_id in page
    other = Client()
    other.login(email=yard.cast.ana.email, password=PASSWORD)
    assert other.get(f"/console/consent?{query}").status_code == 404
    assert other.get("/console/consent?state=%00").status_code == 404
    assert other.post("/console/clients/acme/mailbox/ask", {"purpose": "detect"}).status_code == 403


def test_what_a_connections_own_application_may_do_is_shown(yard, console):
    detect = [need.name for need in NEEDS[Purpose.DETECT] if not need.is_extra]
    yard.application(Purpose.DETECT, roles=detect)
    yard.consent()
    with yard.worker():
        secret_of(Connection.objects.get())
    page = console.get("/console/clients/acme/mailbox").context["page"]
    assert [row.state for row in page.purposes] == ["own", "own", "none"]
    assert {need.is_met for row in page.purposes for need in row.needs} == {None}
    yard.serve()
    page = console.get("/console/clients/acme/mailbox").context["page"]
    assert [row.state for row in page.purposes] == ["own", "own", "none"]
    met = {need.need.name for row in page.purposes for need in row.needs if need.is_met}
    assert met == set(detect)
    with yard.worker():
        Connection.objects.update(own_roles=[*detect, "AuditLog.Read.All"])
    page = console.get("/console/clients/acme/mailbox").context["page"]
    assert [row.state for row in page.purposes] == ["own", "own", "own"]


def secret_of(row):
    """The client's connection goes by an application of its own, the one it had consented to."""
    row.by_registrations, row.client_id = False, Grant.objects.get().client_id
    row.sealed_secret = seal(SECRET.encode(), place=secret_place(row))
    row.save()
    Grant.objects.all().delete()


def test_a_registration_is_entered_and_its_secret_never_shown(yard, console):
    client_id = "ba11e700-0000-4000-8000-0000000000aa"
    form = {"client_id": client_id, "cloud": "own", "secret": "very-s3cret"}
    reply = console.post("/console/registrations/respond", form)
    assert "the day on which the secret ends" in reply.content.decode()
    form["expires_on"] = "2027-06-30"
    assert console.post("/console/registrations/respond", form).status_code == 302
    for path in ("/console/registrations", "/console/registrations/respond"):
        page = console.get(path).content.decode()
        assert client_id in page
        assert "very-s3cret" not in page
    with yard.staff():
        row = AppRegistration.objects.get(purpose=Purpose.RESPOND)
        assert b"very-s3cret" not in bytes(row.sealed_secret)
    wrong = console.post("/console/registrations/respond", {**form, "client_id": "acme.example"})
    assert "GUID" in wrong.content.decode()
    taken = {**form, "client_id": yard.apps[Purpose.DETECT]}
    reply = console.post("/console/registrations/respond", taken)
    assert "Each needs its own" in reply.content.decode()


def test_a_link_is_shown_once(yard, console):
    assert console.get("/console/clients/acme/mailbox/link").status_code == 200
    made = console.post("/console/clients/acme/mailbox/link", {"purposes": ["detect"]})
    address = made.context["address"]
    assert address in made.content.decode()
    assert address not in console.get("/console/clients/acme/mailbox").content.decode()


def test_whose_relationships_there_are_an_analyst_sees_of_her_own_clients_only(yard, console):
    yard.consent()
    with yard.staff():
        for tenant_id, name in ((yard.company.tenant_id, "Keep for Acme"), ("x", "Keep for Other")):
            Relationship.objects.create(
                provider=yard.cast.provider,
                external_id=name,
                cloud_tenant_id=tenant_id,
                name=name,
                status="active",
                seen_at=timezone.now(),
            )
    seen = {}
    for person in (yard.cast.mo, yard.cast.bo):
        browser = Client()
        assert browser.login(email=person.email, password=PASSWORD)
        seen[person.name] = browser.get("/console/registrations").content.decode()
    assert "Keep for Other" in seen["Mo"]
    assert "Keep for Other" not in seen["Bo"]
    assert "Keep for Acme" in seen["Bo"]


def test_what_a_push_brings_is_switched_by_a_lead_and_what_was_dropped_is_shown(yard, console):
    yard.consent()
    yard.serve()
    page = console.get("/console/clients/acme/mailbox").content.decode()
    assert "no more than that something changed" in page
    assert console.post("/console/clients/acme/mailbox/pushes", {"is_on": "yes"}).status_code == 302
    with yard.worker():
        assert yard.connection().seals_pushes
        mailbox = Mailbox.objects.create(
            tenant=yard.cast.acme,
            domain=Domain.objects.get(tenant=yard.cast.acme, name="acme.example"),
            address="push@acme.example",
            state=Mailbox.State.ACTIVE,
        )
        MailboxSync.objects.create(
            tenant=yard.cast.acme,
            mailbox=mailbox,
            connection=yard.connection(),
            due_at=timezone.now(),
            push_error="Nobody answers.",
            notices_refused=3,
            refused_why="It brings no proof.",
        )
    page = console.get("/console/clients/acme/mailbox").content.decode()
    assert "what changed, sealed for Bailey" in page
    assert "3 notices dropped" in page
    assert "It brings no proof." in page
    assert "Nobody answers." in page
    assert console.get("/console/clients/acme/mailbox/pushes").status_code == 405
    analyst = Client()
    assert analyst.login(email=yard.cast.ana.email, password=PASSWORD)
    reply = analyst.post("/console/clients/acme/mailbox/pushes", {"is_on": "no"})
    assert reply.status_code == 403


def test_each_connection_of_a_client_stands_on_its_pages(yard, console):
    since = timezone.now() - timedelta(hours=2)
    with yard.worker():
        for kind, host, blind in (("google", "c0one", None), ("imap", "mail.acme:993", since)):
            Connection.objects.create(
                tenant=yard.tenant, kind=kind, cloud_tenant_id=host, blind_since=blind,
                settings={"host": "mail.acme", "port": "993"} if kind == "imap" else {},
                last_error="Its password is refused." if blind else "",
            )  # fmt: skip
    for address in ("/console/clients/acme/mailbox", "/console/clients/acme"):
        page = console.get(address).content.decode()
        assert "Google Workspace" in page
        assert "IMAP" in page
        assert "Its password is refused." in page
        assert "Blind since" in page
    page = console.get("/console/clients/acme/mailbox").content.decode()
    assert all(host in page for host in ("c0one", "mail.acme:993"))
    purposes = console.get("/console/clients/acme/mailbox").context["page"].purposes
    assert {row.state for row in purposes} == {"none"}
