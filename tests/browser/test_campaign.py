"""From an incident to one order over every client in sight: three clicks, or three keys."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from incidents.models import Job
from tenants.scope import Role, tenant_scope
from tests.console.test_pages import open_phish
from tests.factories import PASSWORD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def _order(browser, site: str, login: str, address: str, email: str, *, with_js: bool) -> int:
    """Pulls everywhere; answers how many clicks it took from the incident's page."""
    page = browser.new_context(java_script_enabled=with_js).new_page()
    page.goto(site + login)
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("#main:not(.login)")
    page.goto(site + address)
    clicks = 0
    for what in (
        page.get_by_role("link", name="All of them together"),
        page.get_by_role("link", name="Pull everywhere"),
        page.locator("form button.primary", has_text="Pull"),
    ):
        what.click()
        clicks += 1
    page.wait_for_url("**/console/jobs/groups/*")
    expect(page.locator("h1")).to_have_text("Pull from mailboxes at 2 clients")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.context.close()
    return clicks


@pytest.mark.parametrize("with_js", [True, False], ids=["js", "no-js"])
def test_three_clicks_reach_every_client(in_browser, live_server, transactional_cast, with_js):
    cast = transactional_cast
    incident = open_phish(cast.acme)
    open_phish(cast.globex)
    address = reverse("incident", args=[incident.id])

    def work(browser):
        login = reverse("login")
        return _order(browser, live_server.url, login, address, cast.ana.email, with_js=with_js)

    assert in_browser(work) <= 3
    with tenant_scope(Role.WORKER, [cast.acme.id, cast.globex.id]):
        jobs = list(Job.objects.filter(kind=Job.Kind.PULL))
    assert {job.tenant_id for job in jobs} == {cast.acme.id, cast.globex.id}
    assert len({job.group_id for job in jobs}) == 1
