"""An account in other hands, in a real browser: from the evidence to a step that is taken back."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.api_bridge.accounts.conftest import (  # noqa: F401 - fixtures
    Watched,
    cloud,
    own_cloud,
    watched,
    yard,
)
from tests.api_bridge.accounts.test_looking import FORWARDS, HIDES
from tests.browser.test_accessibility import findings
from tests.factories import PASSWORD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]
GRANT = {"id": "g-1", "clientId": "p-1", "scope": "Mail.ReadWrite offline_access"}


def _press(browser, site: str, email: str, path: str, text: str, button: str) -> str:
    """Bo asks for a step on the incident's page and confirms it; what the page says then."""
    page = browser.new_page()
    page.goto(site + reverse("login"))
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#main:not(.login)")
    page.goto(site + path)
    page.click(f"a:has-text('{text}')")
    page.click(f"#dialog button:has-text('{button}')")
    page.wait_for_selector("text=Ordered.")
    seen = str(page.inner_text("#main"))
    page.close()
    return seen


def test_a_rule_is_switched_off_and_on_again(in_browser, live_server, watched: Watched):  # noqa: F811
    watched.rules(HIDES, FORWARDS)
    watched.account(grants=[GRANT], applications={"p-1": "Mail Helper"})
    watched.serve()
    (incident,) = watched.incidents()
    who, at = watched.yard.cast.bo.email, reverse("incident", args=[incident.id])
    site = live_server.url
    seen = in_browser(_press, site, who, at, "Switch the rule off", "Do it")
    assert "Waiting" in seen
    watched.serve(is_due=False)
    assert watched.shown()["rules"][0]["isEnabled"] is False
    seen = in_browser(_press, site, who, at, "Take it back", "Take it back")
    assert "Done and read back" in seen
    watched.serve(is_due=False)
    assert watched.shown()["rules"][0]["isEnabled"] is True
    paths = [
        at,
        reverse("client_accounts", args=["acme"]),
        reverse("mailbox_settings", args=[watched.mailbox.id]),
    ]
    email = watched.yard.cast.mo.email
    assert in_browser(findings, site, reverse("login"), email, paths) == []
