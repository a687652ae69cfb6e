"""Connecting a client's mail host in a real browser: by its page, and by the link for its admin."""

from __future__ import annotations

import pytest
from django.urls import reverse

from api_bridge.access.models import Consent, Grant, Purpose
from tests.api_bridge.access.conftest import cloud, own_cloud, yard  # noqa: F401 - fixtures
from tests.browser.test_accessibility import findings
from tests.factories import PASSWORD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def _ask(browser, site: str, email: str, says: str) -> str:
    """Mo goes to Microsoft's page and back; what the client's page says then."""
    page = browser.new_page()
    page.goto(site + reverse("login"))
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#main:not(.login)")
    page.goto(site + reverse("access", args=["acme"]))
    page.click("#purpose-detect button")
    page.click("text=Go to Microsoft")
    page.click(f"text={says}")
    page.wait_for_url("**/acme/mailbox")
    seen = str(page.inner_text("#main"))
    page.close()
    return seen


def test_consent_is_asked_for_and_brought_back(in_browser, live_server, settings, yard):  # noqa: F811
    settings.CONSOLE_URL = live_server.url
    for purpose in yard.apps:
        yard.application(purpose, redirect_uris=[f"{live_server.url}/console/consent"])
    seen = in_browser(_ask, live_server.url, yard.cast.mo.email, "Cancel")
    assert "Refused by the client" in seen
    seen = in_browser(_ask, live_server.url, yard.cast.mo.email, "Accept")
    assert "Being proven" in seen
    with yard.worker():
        assert Consent.objects.filter(stage="returned").count() == 1


def test_the_pages_of_access_can_be_used_by_everybody(in_browser, live_server, yard):  # noqa: F811
    yard.consent()
    yard.consent(Purpose.REMEDIATE)
    yard.application(Purpose.REMEDIATE, expired=True)
    yard.serve()
    (incident,) = yard.health("secret")
    with yard.worker():
        assert Grant.objects.count() == 2
    paths = [
        reverse("access", args=["acme"]),
        reverse("access_link", args=["acme"]),
        reverse("registrations"),
        reverse("registration", args=["partner"]),
        reverse("incident", args=[incident.id]),
    ]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, yard.cast.mo.email, paths) == []
