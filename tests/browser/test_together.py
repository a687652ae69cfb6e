"""Why mails stand together, in a real browser: readable for everybody, and it works by keyboard."""

from __future__ import annotations

import pytest
from django.urls import reverse

from incidents.models import Incident
from incidents.regroup import merge_incidents
from incidents.regroup_campaigns import join_campaign
from tenants.scope import Role, tenant_scope
from tests.browser.test_accessibility import findings
from tests.console.test_pages import open_phish
from tests.factories import PASSWORD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def test_the_page_of_what_belongs_together(in_browser, live_server, transactional_cast):
    cast = transactional_cast
    for number in (1, 2, 3):
        sender = {"address": f"eve@evil{number}.example", "name": "", "raw": ""}
        open_phish(cast.acme, number, sender=sender)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        one, other, third = Incident.objects.select_related("tenant").order_by("number")
        why = {"actor": cast.ana, "reason": "the same hand, a long reason " + "x" * 200}
        merge_incidents(kept=one, gone=other, **why)
        join_campaign(incident=Incident.objects.get(id=one.id), other=third, **why)
    paths = [reverse("incident_together", args=[one.id])]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.ana.email, paths) == []


def _choose(browser, site: str, email: str, path: str) -> bool:
    page = browser.new_page()
    page.goto(site + reverse("login"))
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("#main:not(.login)")
    page.goto(site + path)
    box = page.locator("[name=messages]").first
    box.check(timeout=15_000)
    is_checked = box.is_checked()
    page.locator("form[aria-labelledby=merge] button").click(timeout=15_000)
    page.wait_for_load_state()
    return is_checked and "/messages/" not in page.url


def test_a_mail_is_chosen_with_the_mouse(in_browser, live_server, transactional_cast):
    """The link that covers its row covers neither the row's box nor the page."""
    cast = transactional_cast
    path = reverse("incident_together", args=[open_phish(cast.acme).id])
    assert in_browser(_choose, live_server.url, cast.ana.email, path)
