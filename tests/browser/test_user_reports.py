"""What people reported, in a real browser: the list, the client's terms, the incident."""

from __future__ import annotations

import pytest
from django.urls import reverse

from incidents.models import ReportTerms
from incidents.userreports.terms import set_terms
from tenants.models import Mailbox
from tests.browser.test_accessibility import findings
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

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def reported(cast: Cast) -> None:
    """A dry run of the herd rule over three reporters; an outsider; one without its mail."""
    people = more_people(cast.acme, 3)
    arrived(cast.acme, *people)
    with worker(cast.acme):
        Mailbox.objects.filter(address="it@acme.example").update(external_id="x")
        mode = ReportTerms.Herd.DRY_RUN
        set_terms(tenant=cast.acme, actor=cast.mo, herd_mode=mode, herd_reporters=3)
    for whom in people:
        come(cast.acme, report(whom, lure(whom), text="I never ordered this, is it ours?"))
    come(cast.acme, report("eve@evil.example", lure("it@acme.example")), trust="outside")
    come(cast.acme, report("ceo@acme.example", subject="Odd mail", text="I clicked something"))
    work(cast.acme)


def test_the_pages_of_reports_can_be_used_by_everybody(in_browser, live_server, transactional_cast):
    cast = transactional_cast
    reported(cast)
    paths = [
        reverse("user_reports"),
        reverse("user_reports") + "?client=globex",
        reverse("report_terms", args=["acme"]),
        reverse("report_terms", args=["globex"]),
        reverse("incident", args=[the_incident(cast.acme).id]),
    ]
    login = reverse("login")
    assert in_browser(findings, live_server.url, login, cast.ana.email, paths) == []
