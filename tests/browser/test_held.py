"""Held mail in a real browser: what can be done about it, for everybody; a link of a digest."""

from __future__ import annotations

import pytest
from django.urls import reverse

from incidents.client_words import ask_for_release
from incidents.models import Message
from incidents.words import Verdict
from seg_bridge.held.asked import send_digest_now
from seg_bridge.held.legal import set_hold
from seg_bridge.held.links import token_of
from seg_bridge.held.models import HeldLink
from seg_bridge.held.requests import serve_requests
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.browser.test_accessibility import _look_at, findings
from tests.factories import Cast
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.test_requests import PHISH, claimed, hold, scope

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


@pytest.fixture
def asked(transactional_cast: Cast):
    """Two held mails; a client asks for the first, which was scanned again."""
    cast = transactional_cast
    make_gate(cast, cast.acme)
    first, second = hold(cast, Verdict.PHISH), hold(cast, Verdict.MALWARE)
    with tenant_scope(Role.PORTAL, [cast.acme.id]):
        ask_for_release(delivery=first, person=cast.pia, reason="Our supplier.")
    serve_requests(claimed(cast), scanner=PHISH)
    with scope(cast):
        kept = set_hold(
            tenant=cast.acme,
            message=Message.objects.get(id=second.message_id),
            actor=cast.ana,
            reason="A lawsuit",
        )
        send_digest_now(mailbox=Mailbox.objects.get(address="info@acme.example"), actor=cast.ana)
        link = HeldLink.objects.get(delivery=second)
    return cast, first, second, kept, token_of(link)


def test_held_mail_can_be_decided_by_everybody(in_browser, live_server, asked):
    cast, first, second, kept, _ = asked
    paths = [reverse(name) for name in ("held", "held_digest")]
    paths += [reverse("message", args=[second.message_id])]
    paths += [reverse(name, args=[first.id]) for name in ("held_release", "held_delete")]
    paths += [reverse("held_release", args=[second.id])]
    paths += [reverse("message_keep", args=[first.message_id])]
    paths += [reverse("legal_hold_end", args=[kept.id])]
    paths += [reverse(name, args=["acme"]) for name in ("client_keep", "client_sent")]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.ana.email, paths) == []


def _follow(browser, address: str) -> tuple[list[str], str]:
    page = browser.new_page()
    page.goto(address)
    wrong = _look_at(page)
    page.keyboard.press("Tab")
    page.click("button.primary")
    page.wait_for_selector("text=Asked for")
    wrong += _look_at(page)
    page.goto(address)
    said = page.inner_text("#main")
    page.close()
    return wrong, said


def test_a_link_is_confirmed_without_signing_in_and_is_then_used_up(
    in_browser, live_server, asked, settings
):
    settings.ROOT_URLCONF = "console.urls_portal"
    *_, token = asked
    wrong, said = in_browser(_follow, f"{live_server.url}/portal/mail/{token}")
    assert wrong == []
    assert "not good any more" in said


def test_the_portal_says_what_became_of_a_wish(in_browser, live_server, asked, settings):
    settings.ROOT_URLCONF = "console.urls_portal"
    cast = asked[0]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.pia.email, [reverse("portal_held")]) == []


@pytest.mark.parametrize("locale", ["de-CH", "fr-FR"])
def test_the_portal_in_the_readers_language_is_for_everybody(
    in_browser, live_server, asked, settings, locale: str
):
    settings.ROOT_URLCONF = "console.urls_portal"
    cast, *_ = asked
    names = ("portal", "portal_held", "portal_digest", "portal_access", "portal_access_right")
    paths = [reverse(name) for name in names]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.pia.email, paths, locale) == []
