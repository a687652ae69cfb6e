"""Wherever something of a client stands, it is said since when a layer cannot see it.

PAGES: every row, incident, job and report of that client says "blind since …", and never "none
found".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from api_bridge.models import Connection
from api_bridge.sight import mailbox_blindness
from console.queries.blindness import Blindness
from incidents.everywhere import pull_everywhere
from incidents.models import Incident, Job, Message, Renewal, Report
from incidents.reports import ask_report, ask_statement, serve_reports
from incidents.reports.csv_file import render_csv
from incidents.reports.pdf_file import render_pdf
from incidents.services import share_incident
from incidents.story import tell_story
from tenants.doors import ClaimedWork
from tenants.services import create_api_token
from tests.console.test_pages import open_phish
from tests.console.test_queue import scope
from tests.incidents.test_reports import text_of

pytestmark = pytest.mark.usefixtures("no_broker")

SINCE = datetime(2026, 11, 22, 6, 12, tzinfo=UTC)
# What must not be said of a client whose mailboxes nobody sees.
NEVER = ("Nothing exposed", "none in a mailbox", "No copy is within anybody", "No copy that we")


@pytest.fixture
def blind(cast):
    """Acme's mailbox layer lost its sight; everything that a page can show of it is there."""
    incident = open_phish(cast.acme)
    now = timezone.now()
    with scope(cast):
        Connection.objects.create(tenant=cast.acme, kind="graph", blind_since=SINCE)
        share_incident(incident=incident, actor=cast.ana)
        incident = Incident.objects.select_related("tenant").get(id=incident.id)
        group = pull_everywhere(incidents=[incident], actor=cast.ana, reason="phish")
        ask_report(incident=incident, actor=cast.ana, audience="client")
        ask_statement(
            tenant=cast.acme,
            since=now - timedelta(days=1),
            until=now + timedelta(days=1),
            actor=cast.ana,
            audience="client",
        )
    for _ in range(2):
        serve_reports(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with scope(cast):
        return {
            "incident": incident,
            "group": group,
            "job": Job.objects.get(group_id=group),
            "message": Message.objects.prefetch_related("deliveries").get(),
            "renewal": Renewal.objects.create(tenant=cast.acme, waited_since=now),
            "reports": {report.kind: report for report in Report.objects.all()},
        }


CONSOLE = {
    "queue": lambda made: reverse("queue") + "?tab=team",
    "incident": lambda made: reverse("incident", args=[made["incident"].id]),
    "campaign": lambda made: reverse("campaign", args=[made["incident"].id]),
    "mail": lambda made: reverse("message", args=[made["message"].id]),
    "jobs": lambda made: reverse("jobs"),
    "job": lambda made: reverse("job", args=[made["job"].id]),
    "order": lambda made: reverse("job_group", args=[made["group"]]),
    "clients": lambda made: reverse("clients"),
    "client": lambda made: reverse("client", args=["acme"]),
    "blind spots": lambda made: reverse("client_blindspots", args=["acme"]),
    "between the layers": lambda made: reverse("client_interference", args=["acme"]),
    "health": lambda made: reverse("health"),
    "ledger": lambda made: reverse("ledger"),
    "all mail": lambda made: reverse("mail"),
    "held mail": lambda made: reverse("held"),
    "handled automatically": lambda made: reverse("handled"),
    "contradictions": lambda made: reverse("disagreements"),
    "reported by people": lambda made: reverse("user_reports"),
    "trace": lambda made: reverse("trace", args=[made["message"].deliveries.all()[0].id]),
    "mailbox layer": lambda made: reverse("access", args=["acme"]),
    "looking back": lambda made: reverse("scan_back", args=["acme"]),
    "found late": lambda made: reverse("client_gaps", args=["acme"]),
    "modes": lambda made: reverse("modes", args=["acme"]),
    "accounts": lambda made: reverse("client_accounts", args=["acme"]),
    "what hangs together": lambda made: reverse("incident_graph", args=[made["incident"].id]),
    "why together": lambda made: reverse("incident_together", args=[made["incident"].id]),
    "a sender": lambda made: reverse("entity") + "?kind=sender&value=eve@evil.example",
    "around a sender": lambda made: reverse("entity_graph") + "?kind=sender&value=eve@evil.example",
    "agreed times": lambda made: reverse("sla"),
    "a statement to make": lambda made: reverse("client_statement", args=["acme"]),
    "whether to pull": lambda made: reverse("incident_pull", args=[made["incident"].id]),
    "whether to restore": lambda made: reverse("incident_restore", args=[made["incident"].id]),
    "whether to resolve": lambda made: reverse("incident_resolve", args=[made["incident"].id]),
    "renewed rehearsal": lambda made: reverse("renewal", args=[made["renewal"].id]),
}


def test_every_page_of_the_console_says_it(client, cast, blind):
    client.force_login(cast.ana)
    for page, address in CONSOLE.items():
        text = client.get(address(blind)).content.decode()
        assert "blind since" in text.lower(), page
        assert not [words for words in NEVER if words in text], page


PORTAL = {
    "overview": lambda made: "/portal/",
    "incidents": lambda made: "/portal/incidents",
    "incident": lambda made: f"/portal/incidents/{made['incident'].id}",
    "held": lambda made: "/portal/held",
    "openings": lambda made: "/portal/access",
    "reports": lambda made: "/portal/reports",
}


def test_every_page_of_the_portal_says_it(client, cast, blind, settings):
    settings.ROOT_URLCONF = "console.urls_portal"
    client.force_login(cast.pia)
    for page, address in PORTAL.items():
        text = client.get(address(blind), follow=True).content.decode()
        assert "is blind since" in text, page
        assert not [words for words in NEVER if words in text], page


API = {
    "client": lambda made: "tenants/acme",
    "clients": lambda made: "tenants",
    "incidents": lambda made: "incidents",
    "incident": lambda made: f"incidents/{made['incident'].id}",
    "jobs": lambda made: "jobs",
    "job": lambda made: f"jobs/{made['job'].id}",
    "reports": lambda made: "reports",
    "report": lambda made: f"reports/{made['reports']['incident'].id}",
    "renewals": lambda made: "renewals",
    "renewal": lambda made: f"renewals/{made['renewal'].id}",
}


def test_every_object_of_the_api_says_it(client, cast, blind):
    with scope(cast):
        token = create_api_token(person=cast.bo, name="t", actor=cast.mo)
    headers = {"Authorization": f"Bearer {token}"}
    for name, address in API.items():
        answer = client.get(f"/api/v1/{address(blind)}", headers=headers).json()
        rows = answer.get("results", [answer])
        assert rows, name
        for row in rows:
            assert [(each["layer"], each["since"]) for each in row["blind"]] == [
                ("mailbox", "2026-11-22T06:12:00Z")
            ], name
            assert row["blind"][0]["why"], name
        assert not [words for words in NEVER if words in str(answer)], name


def test_every_report_says_it_in_its_document_pdf_and_csv(cast, blind):
    assert set(blind["reports"]) == {"incident", "agreed_times"}
    said = "The mailbox layer is blind since 22 November, 06:12 UTC"
    for kind, report in blind["reports"].items():
        for text in (
            str(report.document["blind"]),
            text_of(render_pdf(report.document)),
            render_csv(report.document).decode("utf-8-sig"),
        ):
            assert said in text, kind
            assert not [words for words in NEVER if words in text], kind


def test_a_statement_without_a_single_incident_says_it_too(cast):
    since = SINCE - timedelta(days=60)
    with scope(cast):
        Connection.objects.create(tenant=cast.acme, kind="graph", blind_since=SINCE)
        until = since + timedelta(days=30)
        ask_statement(tenant=cast.acme, since=since, until=until, actor=cast.ana)
    serve_reports(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with scope(cast):
        document = Report.objects.get().document
    for text in (text_of(render_pdf(document)), render_csv(document).decode("utf-8-sig")):
        assert "blind since" in text


def test_the_story_says_it_and_so_does_its_headline(cast, blind):
    with scope(cast):
        story = tell_story(blind["incident"])
    assert "the mailbox layer is blind" in story.headline
    assert any("is blind since 22 November, 06:12 UTC" in gap for gap in story.not_checked)


def test_a_client_that_is_seen_is_called_blind_nowhere(client, cast):
    incident = open_phish(cast.acme)
    with scope(cast):
        Connection.objects.create(tenant=cast.acme, kind="graph")
        token = create_api_token(person=cast.bo, name="t", actor=cast.mo)
    client.force_login(cast.ana)
    for address in (reverse("queue") + "?tab=team", reverse("incident", args=[incident.id])):
        assert "blind since" not in client.get(address).content.decode()
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get(f"/api/v1/incidents/{incident.id}", headers=headers).json()["blind"] == []


@pytest.mark.parametrize("first_is_blind", [True, False])
def test_of_two_connections_the_blind_one_counts(cast, first_is_blind):
    with scope(cast):
        for is_blind in (first_is_blind, not first_is_blind):
            since = SINCE if is_blind else None
            host = f"cloud-{is_blind}"
            Connection.objects.create(tenant=cast.acme, cloud_tenant_id=host, blind_since=since)
        assert Blindness([cast.acme.id]).of(cast.acme.id).since == SINCE
        told = mailbox_blindness(cast.acme.id)
        assert told is not None
        assert told.since == SINCE
