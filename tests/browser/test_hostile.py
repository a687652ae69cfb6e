"""Mail is hostile: wherever text of a mail stands in a page, it does nothing.  Judged by effect."""

from __future__ import annotations

import pytest
from django.urls import reverse

from incidents.models import Message
from incidents.services import share_incident
from incidents.words import Verdict
from tenants.scope import Role, tenant_scope
from tests.console.test_pages import open_phish
from tests.factories import PASSWORD
from tests.hostile.vectors import SCRIPTS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]
QUIET = "window.alert = () => { window.acted = true }"
LONG_WORD = "w" * 200 + " "
# What our own pages never hold, and a mail's markup would bring.
FOREIGN = (
    "main :is(script, style, img, math, animate, xmp, template, base, meta, iframe, [onerror])"
)


def hostile_facts(text: str) -> dict[str, object]:
    """A mail whose every text is ``text``: subject, names, addresses, links, files, results."""
    who = {"address": text, "name": text, "raw": text}
    return {
        "subject": text,
        "sender": who,
        "from_all": [who],
        "reply_to": [who],
        "to": [who],
        "cc": [who],
        "envelope_from": text,
        "problems": [text],
        "links": [{"url": text, "text": text, "where": text, "rewriter": text}],
        "attachments": [
            {
                "name": text,
                "kind": text,
                "claimed_type": text,
                "size_bytes": 1,
                "sha256": "0" * 64,
                "flags": [text],
                "members": [text],
            }
        ],
        "hops": [{"by": text, "from_name": text, "from_ip": text, "helo": text}],
        "auth_results": [{"method": text, "result": text, "domain": text, "authserv_id": text}],
    }


def effects(browser, site: str, login: str, email: str, paths: list[str]) -> list[str]:
    """What these pages did that they should not: dialogs, foreign requests, scripts, moves."""
    did: list[str] = []
    page = browser.new_page()
    page.add_init_script(QUIET)
    page.on("dialog", lambda dialog: did.append(f"dialog {dialog.message} at {page.url}"))
    page.on("pageerror", lambda error: did.append(f"{page.url}: {error}"))
    page.on("popup", lambda _: did.append(f"popup at {page.url}"))
    page.on("request", lambda request: did.extend(_foreign(site, request.url)))
    page.on("console", lambda line: did.extend(_refused(line.text)))
    page.goto(site + login)
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("#main:not(.login)")
    for path in paths:
        answer = page.goto(site + path)
        page.wait_for_timeout(50)
        assert answer is not None
        assert answer.status == 200, (path, answer.status)
        if page.evaluate("window.acted === true"):
            did.append(f"script at {path}")
        if page.url != site + path:
            did.append(f"{path} moved to {page.url}")
        if page.locator(FOREIGN).count() or page.locator("main form[action*=evil]").count():
            did.append(f"markup of a mail at {path}")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            did.append(f"a mail's text makes {path} wider than the window")
    page.close()
    return did


def _foreign(site: str, url: str) -> list[str]:
    return [] if url.startswith(site) else [f"request {url}"]


def _refused(text: str) -> list[str]:
    """The page's policy refused something: then something was there to refuse."""
    return [text] if "Content Security Policy" in text and "WebSocket" not in text else []


def test_no_text_of_a_mail_acts_in_the_console_or_the_portal(
    in_browser, live_server, transactional_cast, settings
):
    cast = transactional_cast
    incident = open_phish(cast.acme, **hostile_facts(LONG_WORD + "".join(SCRIPTS)[:1300]))
    assert incident.mailbox_verdict == Verdict.PHISH
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        message = Message.objects.get()
        share_incident(incident=incident, actor=cast.ana)
    paths = [reverse(name) for name in ("queue", "mail", "held", "handled", "jobs")]
    paths += [reverse("incident", args=[incident.id]), reverse("message", args=[message.id])]
    paths += [reverse("incident_block", args=[incident.id])]
    paths += [reverse("message_open", args=[message.id])]
    site, login = live_server.url, reverse("login")
    assert in_browser(effects, site, login, cast.ana.email, paths) == []

    settings.ROOT_URLCONF = "console.urls_portal"
    paths = [reverse(name) for name in ("portal", "portal_incidents", "portal_access")]
    paths += [reverse("portal_incident", args=[incident.id])]
    login = reverse("login")
    assert in_browser(effects, site, login, cast.pia.email, paths) == []
