"""No list of the portal is cut: what does not fit stands on the next page."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import ClientWord, ContentAccess, Delivery, Incident, Message, Report
from incidents.words import Outcome, Place, Verdict
from tenants.scope import Role, tenant_scope
from tests.factories import gateway_saw

N = 5


@pytest.fixture(autouse=True)
def _portal(settings, monkeypatch):
    settings.ROOT_URLCONF = "console.urls_portal"
    monkeypatch.setattr("console.lib.cursor.PAGE", 2)


@pytest.fixture
def shared(cast):
    """Five of everything that a client's lists show."""
    tenant, now = cast.acme, timezone.now()
    held = {"verdict": Verdict.SPAM, "action": Outcome.HELD, "place": Place.HOLD}
    whom = [f"m{each}@acme.example" for each in range(N)]
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        record([gateway_saw(tenant, each, **held) for each in whom])
        make_sense_of_backlog(tenant)
        message = Message.objects.get()
        common = {"kind": "phish", "severity": "low", "first_seen_at": now, "last_seen_at": now}
        made = [
            Incident.objects.create(
                tenant=tenant, number=number, title="Phishing", shared_at=now, **common
            )
            for number in range(1, N + 1)
        ]
        made[0].memberships.create(tenant=tenant, message=message, reason="It opened with it.")
        copies = list(Delivery.objects.all())
        for each in range(N):
            own = {"tenant": tenant, "person_id": cast.ana.id}
            said = {"person_name": "Ana", "reason": f"reason {each}", "what": "text"}
            ContentAccess.objects.create(message=message, **own, **said)
            Report.objects.create(
                tenant=tenant, incident=made[each], audience="client", document={}, created_by="Ana"
            )
            ClientWord.objects.create(
                kind="release", delivery=copies[each], text="?", person_name=f"P{each}", **own
            )
        return made[0]


@pytest.mark.parametrize(
    ("page", "context", "cursor"),
    [
        ("portal_incidents", "shared", "cursor"),
        ("portal_access", "accesses", "cursor"),
        ("portal_reports", "reports", "cursor"),
        ("portal_held", "held", "cursor"),
        ("portal_held", "asked", "asked"),
        ("portal_incident", "copies", "cursor"),
    ],
)
def test_every_row_is_reached_once(client, cast, shared, page, context, cursor):
    client.force_login(cast.pia)
    where = reverse(page, args=[shared.id] if page == "portal_incident" else [])
    seen, pages = [], 0
    link: str | None = ""
    while link is not None:
        answer = client.get(where + link)
        seen += [_id_of(row) for row in answer.context[context]]
        found = re.search(rf'href="(\?{cursor}=[^"]+)"', answer.content.decode())
        link, pages = found and found[1], pages + 1
    assert (len(seen), len(set(seen)), pages) == (N, N, 3)


def _id_of(row):
    """Of a row, or of what the row is about."""
    for about in ("incident", "copy"):
        if not hasattr(row, "id"):
            row = getattr(row, about, row)
    return row.id


def test_the_overview_says_how_many_incidents_are_open_and_leads_to_all(client, cast, shared):
    client.force_login(cast.pia)
    page = client.get(reverse("portal")).content.decode()
    assert (
        f'<span class="count">{N}</span><a class="small" href="{reverse("portal_incidents")}"'
        in (page)
    )


@pytest.mark.parametrize(
    "page", ["portal_incidents", "portal_access", "portal_reports", "portal_held"]
)
def test_a_cursor_that_is_none_is_said_to_be_none(client, cast, page):
    client.force_login(cast.pia)
    assert client.get(reverse(page), {"cursor": "W10"}).status_code == 400
