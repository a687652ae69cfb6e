"""A client's page of access shows the mail hosts that it has, and offers the others in one line."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from api_bridge.access.models import Consent, ConsentLink, Grant, ServiceAccount
from api_bridge.models import Connection
from tenants.models import Person
from tenants.scope import Role, tenant_scope
from tests.api_bridge.sandbox.workspace import service_account
from tests.factories import PASSWORD, Cast

MICROSOFT, GOOGLE = 'id="granted"', 'id="delegated"'
LONG_AGO = "2026-01-01T00:00Z"
KEY = service_account("apart", "https://oauth2.googleapis.com/token")


def page_of(person: Person, path: str = "clients/acme/mailbox") -> str:
    browser = Client()
    assert browser.login(email=person.email, password=PASSWORD)
    return browser.get(f"/console/{path}").content.decode()


@pytest.mark.parametrize(
    ("hosts", "begun", "cards", "offers"),
    [
        ((), "", {MICROSOFT}, False),
        (("graph",), "", {MICROSOFT}, False),
        (("google",), "", {GOOGLE}, True),
        (("imap",), "", set(), True),
        (("google", "graph"), "", {GOOGLE, MICROSOFT}, False),
        (("google",), "consent", {GOOGLE, MICROSOFT}, False),
        (("google",), "link", {GOOGLE, MICROSOFT}, False),
    ],
)
def test_the_cards_are_those_of_the_hosts_that_there_are(
    cast: Cast, no_broker, hosts, begun, cards, offers
):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        for kind in hosts:
            Connection.objects.create(tenant=cast.acme, kind=kind, cloud_tenant_id=kind)
        if begun == "consent":
            Consent.objects.create(
                tenant=cast.acme, purpose="detect", state="s", asked_by="Mo", ends_at=LONG_AGO
            )
        if begun == "link":
            ConsentLink.objects.create(
                tenant=cast.acme, purposes=["detect"], digest="d", made_by="Mo", open_until=LONG_AGO
            )
    page = page_of(cast.mo)
    assert {card for card in (MICROSOFT, GOOGLE) if card in page} == cards
    assert ("is not at Microsoft 365, as far as is known" in page) is offers
    assert "Connect another mail host" in page


@pytest.mark.parametrize("has_two", [False, True])
def test_each_account_stands_with_its_scopes(cast: Cast, no_broker, has_two: bool):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        google = Connection.objects.create(
            tenant=cast.acme, kind="google", cloud_tenant_id="c1", client_id="own-1"
        )
    browser = Client()
    assert browser.login(email=cast.mo.email, password=PASSWORD)
    if has_two:
        answer = browser.post("/console/google-accounts/respond", {"key_json": json.dumps(KEY)})
        assert answer.status_code == 302
        with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
            assert KEY["private_key"].encode()[30:90] not in ServiceAccount.objects.get().sealed_key
            Grant.objects.create(
                tenant=cast.acme, connection=google, purpose="respond", client_id=KEY["client_id"],
                granted_at=LONG_AGO, checked_at=LONG_AGO,
            )  # fmt: skip
    for path in ("clients/acme/mailbox", "clients/acme/mailbox/host/google"):
        page = browser.get(f"/console/{path}").content.decode()
        assert (KEY["client_id"] in page) is has_two
        scopes = "admin.reports.audit.readonly,https://www.googleapis.com/auth/admin.directory"
        assert page.count(scopes) > 0
    page = browser.get("/console/clients/acme/mailbox").content.decode()
    assert "own-1" in page
    assert ("One service account does everything" in page) is not has_two
    page = browser.get("/console/registrations").content.decode()
    assert ("Without one, the service account that reads" in page) is not has_two
    assert KEY["private_key"][40:80] not in page
    if has_two:
        question = browser.get("/console/google-accounts/respond/remove").content.decode()
        assert "1 client delegates to it: Acme" in " ".join(question.split())
        browser.post("/console/google-accounts/respond/remove")
        with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
            assert not ServiceAccount.objects.exists()


@pytest.mark.parametrize("path", ["google-accounts/detect", "google-accounts/respond/remove"])
def test_what_is_not_there_is_not_found(cast: Cast, no_broker, path: str):
    browser = Client()
    assert browser.login(email=cast.mo.email, password=PASSWORD)
    assert browser.get(f"/console/{path}").status_code == 404
