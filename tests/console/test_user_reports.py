"""What people reported, on its page, on its incident and in the queue; the client's terms."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from incidents.models import HerdAct, UserReport
from incidents.reports.document import build_document
from incidents.services import resolve_incident, share_incident
from incidents.story import tell_story
from incidents.userreports.terms import terms_of
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.userreports.mails import (
    arrived,
    come,
    lure,
    more_people,
    report,
    the_incident,
    work,
    worker,
)

pytestmark = pytest.mark.usefixtures("no_broker")
IT = "it@acme.example"


@pytest.fixture
def reported(cast: Cast) -> list[str]:
    """Three people of Acme reported one campaign, an outsider and a forger something else."""
    people = more_people(cast.acme, 3)
    arrived(cast.acme, *people)
    for whom in people:
        come(cast.acme, report(whom, lure(whom), text="Is <b>this</b> ours?"))
    come(cast.acme, report("eve@evil.example", lure(IT)), trust="outside")
    come(cast.acme, report(IT, lure(IT)), key="forged", trust="forged")
    with worker(cast.acme):
        Mailbox.objects.filter(address=IT).update(external_id="x")
    work(cast.acme)
    return people


def test_the_list_says_who_counts_and_leads_to_the_incident(client, cast: Cast, reported):
    client.force_login(cast.ana)
    page = client.get(reverse("user_reports")).content.decode()
    assert page.count(reverse("incident", args=[the_incident(cast.acme).id])) == 3
    assert page.count("not from one of ours") == 1
    assert page.count("not proven to be one of ours") == 1
    assert "Is &lt;b&gt;this&lt;/b&gt; ours?" in page
    assert "From one of the client&#x27;s people (3)" in page
    narrowed = client.get(reverse("user_reports"), {"trust": "outside"}).content.decode()
    assert narrowed.count("<tr data-row") == 1
    nothing = client.get(reverse("user_reports"), {"client": "globex"}).content.decode()
    assert "Set a report mailbox" in nothing


def test_the_incident_and_its_row_name_the_reporters(client, cast: Cast, reported):
    client.force_login(cast.ana)
    incident = the_incident(cast.acme)
    page = client.get(reverse("incident", args=[incident.id])).content.decode()
    assert "3 reporters" in page
    assert all(whom in page for whom in reported)
    table = page.partition('id="copies"')[2].partition("</section>")[0]
    assert table.count("reported it") == 3
    assert "not seen" not in table
    queue = client.get(reverse("queue"), {"tab": "team"}).content.decode()
    assert "reported by 3 people" in queue
    for text in (page, queue):
        assert "people reported it" in text
        assert f"{reported[-1]} reported it" not in text


def test_the_list_says_what_the_reporter_was_told(client, cast: Cast, reported):
    incident = the_incident(cast.acme)
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        resolve_incident(
            incident=incident, actor=cast.ana, classification="benign", cause="It is theirs."
        )
    work(cast.acme)
    client.force_login(cast.ana)
    with worker(cast.acme):
        [told] = [line for line in tell_story(incident).lines if line.source.startswith("user-")]
        short = [whom.partition("@")[0] + "@" for whom in reported]
        assert (
            told.lead == f"Bailey told {short[0]}, {short[1]} and {short[2]} that it is harmless."
        )
    page = client.get(reverse("incident", args=[incident.id])).content.decode()
    assert f"client=acme#row-{told.source.partition(':')[2]}" in page
    for name, wish in (("user_reports", []), ("incident", [incident.id])):
        page = client.get(reverse(name, args=wish)).content.decode()
        assert page.count("outcome: harmless") == 3


def test_a_client_reads_that_it_was_reported_and_not_in_whose_words(
    client, cast: Cast, reported, settings
):
    incident = the_incident(cast.acme)
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        share_incident(incident=incident, actor=cast.ana)
    with worker(cast.acme):
        told = {
            audience: json.dumps(build_document(incident, audience=audience, created_by="Ana"))
            for audience in ("client", "internal")
        }
    assert {audience: "ours?" in text for audience, text in told.items()} == {
        "client": False,
        "internal": True,
    }
    assert told["client"].count("reported it as phishing.") == 3
    settings.ROOT_URLCONF = "console.urls_portal"
    client.force_login(cast.pia)
    page = client.get(reverse("portal_incident", args=[incident.id])).content.decode()
    assert page.count("reported it as phishing.") == 3
    assert "ours?" not in page
    assert page.count("reported it <") == 3
    assert "not seen" not in page


def test_terms_are_saved_beside_their_dry_run(client, cast: Cast, reported):
    client.force_login(cast.ana)
    address = reverse("report_terms", args=["acme"])
    page = client.get(address).content.decode()
    assert '<td>3</td><td class="num">1</td><td class="num">3</td>' in page.replace("\n", "")
    wrong = client.post(address, {"mailbox": IT, "herd_mode": "pull", "herd_reporters": "1"})
    assert "greater than or equal to 2" in wrong.content.decode()
    saved = client.post(
        address,
        {"mailbox": IT, "answers": "on", "herd_mode": "dry_run", "herd_reporters": "4"},
    )
    assert saved.status_code == 302
    with worker(cast.acme):
        terms = terms_of(cast.acme.id)
        assert (terms.mailbox.address, terms.answers, terms.herd_mode) == (IT, True, "dry_run")
        assert terms.changed_by == "Ana"
        assert not HerdAct.objects.exists()


def test_another_clients_terms_are_not_there(client, cast: Cast, reported):
    client.force_login(cast.bo)
    assert client.get(reverse("report_terms", args=["globex"])).status_code == 404
    with worker(cast.globex):
        assert not UserReport.objects.exists()
