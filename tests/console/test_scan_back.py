"""The page of a look back, its questions, its calls, and the report as the client reads it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone

from api_bridge.models import (
    Connection,
    MailboxSync,
    ScanBack,
    ScanBackFinding,
    ScanBackMailbox,
)
from api_bridge.scanback.document import ask_found
from api_bridge.scanback.services import start_scan_back
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Incident, Intent, Report
from incidents.reports import serve_reports
from incidents.words import Verdict
from tenants.doors import ClaimedWork
from tenants.ids import new_id
from tenants.models import Domain, Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import mail_json, mailbox_saw


def scope(cast):
    return tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id)


def watch_mailboxes(cast, *names: str) -> None:
    """The client's mail host is connected, and its mailboxes are watched from now on."""
    now = timezone.now()
    with scope(cast):
        connection = Connection.objects.create(
            tenant=cast.acme,
            cloud_tenant_id=str(new_id()),
            client_id="app",
            authority_url="https://login.example",
            api_url="https://graph.example",
        )
        domain = Domain.objects.first()
        for name in names:
            mailbox, _ = Mailbox.objects.get_or_create(
                tenant=cast.acme, domain=domain, address=f"{name}@acme.example"
            )
            MailboxSync.objects.create(
                tenant=cast.acme,
                mailbox=mailbox,
                connection=connection,
                due_at=now + timedelta(hours=1),
            )


def find_something(cast, *, is_done: bool = True) -> ScanBack:
    """A look back that found a phish in the CFO's mailbox, and could not read info's."""
    watch_mailboxes(cast, "cfo", "info")
    came, now = timezone.now() - timedelta(days=9), timezone.now()
    with scope(cast):
        run = start_scan_back(tenant=cast.acme, actor=cast.mo)
        record(
            [
                mailbox_saw(
                    cast.acme,
                    "cfo@acme.example",
                    item="old-1",
                    verdict=Verdict.PHISH,
                    confidence=0.9,
                    observed_at=now,
                    internet_message_id="<old@evil.example>",
                    mail=mail_json(subject="Your password expires"),
                    detail={"received_at": came.isoformat(), "looked_back": str(run.id)},
                )
            ]
        )
        make_sense_of_backlog(cast.acme)
        ScanBackFinding.objects.create(
            tenant=cast.acme,
            run=run,
            mailbox=Mailbox.objects.get(address="cfo@acme.example"),
            item_id="old-1",
            verdict=Verdict.PHISH,
            received_at=came,
            found_at=now,
        )
        rows = ScanBackMailbox.objects.filter(run=run)
        done = rows.filter(mailbox__address="cfo@acme.example")
        done.update(state="done", mails=7, reached_at=run.since)
        rows.exclude(state="done").update(
            state="failed", last_error="The mailbox is closed to this application.", failures=6
        )
        ScanBack.objects.filter(id=run.id).update(mails=7)
        if is_done:
            ScanBack.objects.filter(id=run.id).update(state="done", ended_by="failed", ended_at=now)
        return ScanBack.objects.get(id=run.id)


@pytest.fixture
def as_mo(client, cast):
    client.force_login(cast.mo)
    return client


def text(answer: HttpResponse) -> str:
    assert answer.status_code == 200, answer.content[:300]
    return answer.content.decode()


def test_without_a_watched_mailbox_the_page_says_what_to_do_first(as_mo):
    page = text(as_mo.get(reverse("scan_back", args=["acme"])))
    assert "connect the mail host" in page


def test_a_look_back_is_started_stopped_and_gone_on_with(as_mo, cast):
    watch_mailboxes(cast, "cfo", "info")
    new = reverse("scan_back_new", args=["acme"])
    refused = text(as_mo.post(new, {"days": "8"}))
    assert "Select a valid choice" in refused
    asked = {"days": "90", "most_mails": "9", "mails_per_hour": "100", "requests_per_hour": "100"}
    strange = text(as_mo.post(new, {**asked, "mailboxes": "who@else.example"}))
    assert "Not a watched mailbox" in strange
    as_mo.post(new, {**asked, "mailboxes": "cfo@acme.example"})
    with scope(cast):
        run = ScanBack.objects.get()
        assert (run.days, run.most_mails, run.is_all) == (90, 9, False)
        assert ScanBackMailbox.objects.get().mailbox.address == "cfo@acme.example"
    as_mo.post(reverse("scan_back_stop", args=[run.id]))
    assert "Stopped by Mo" in text(as_mo.get(reverse("scan_back", args=["acme"])))
    as_mo.post(reverse("scan_back_go_on", args=[run.id]))
    with scope(cast):
        assert ScanBack.objects.get().state == "running"


def test_each_number_opens_to_its_list_and_a_failed_mailbox_says_why(as_mo, cast):
    run = find_something(cast)
    page = text(as_mo.get(reverse("scan_back", args=["acme"])))
    assert "The mailbox is closed to this application." in page
    assert "1 of 2" in page
    for figure in ("all", "phish"):
        href = reverse("scan_back_list", args=[run.id, figure])
        assert href in page
        assert "Your password expires" in text(as_mo.get(href))
    assert as_mo.get(reverse("scan_back_list", args=[run.id, "nonsense"])).status_code == 404


def test_nothing_found_is_not_said_while_something_is_left(as_mo, cast):
    watch_mailboxes(cast, "cfo")
    with scope(cast):
        start_scan_back(tenant=cast.acme, actor=cast.mo)
    assert "none is known yet" in text(as_mo.get(reverse("scan_back", args=["acme"])))
    with scope(cast):
        ScanBackMailbox.objects.update(state="done")
        ScanBack.objects.update(state="done", ended_by="all")
    page = text(as_mo.get(reverse("scan_back", args=["acme"])))
    assert "nothing, and everything was looked at" in page


def test_the_pull_shows_its_rehearsal_and_does_what_was_rehearsed(as_mo, cast):
    run = find_something(cast)
    href = reverse("scan_back_pull", args=[run.id])
    asked = text(as_mo.get(href))
    assert "Rehearsed, nothing is moved yet: <b>1 copy</b>" in asked
    assert "have changed" in text(as_mo.post(href, {"digest": "another"}))
    digest = asked.partition('name="digest" value="')[2].partition('"')[0]
    assert as_mo.post(href, {"digest": digest}).status_code == 302
    with scope(cast):
        assert Intent.objects.get().action == "pull"


def test_the_incident_says_how_it_was_found(as_mo, cast):
    find_something(cast)
    with scope(cast):
        incident = Incident.objects.exclude(kind="health").get()
    page = text(as_mo.get(reverse("incident", args=[incident.id])))
    assert "Found by looking back at older mail" in page


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de", ("In Ihren Postfächern gefunden", "1 schädliche Mail wurde gefunden", "nur zurück")),
        ("fr", ("Trouvé dans vos boîtes", "1 mail nuisible a été trouvé", "seulement jusqu")),
        ("en", ("Found in your mailboxes", "1 harmful mail was found", "only back to")),
    ],
)
def test_the_client_reads_the_report_in_its_language(client, cast, settings, language, words):
    run = find_something(cast)
    with scope(cast):
        ask_found(run=run, actor=cast.mo, audience="client")
    serve_reports(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with scope(cast):
        report = Report.objects.get(kind=Report.Kind.FOUND)
    settings.ROOT_URLCONF = "console.urls_portal"
    client.force_login(cast.pia)
    href = reverse("portal_found", args=[report.id])
    listed = text(client.get(reverse("portal_reports"), headers={"accept-language": language}))
    assert href in listed
    page = text(client.get(href, headers={"accept-language": language}))
    assert all(each in page for each in words)
    assert "cfo@acme.example" in text(client.get(f"{href}?kind=phish"))
    assert client.get(f"{href}?kind=malware").status_code == 404
