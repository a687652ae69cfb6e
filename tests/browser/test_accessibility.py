"""Every page in a real browser: WCAG 2.2 AA by axe, no sideways scroll, no console error."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from django.utils import timezone

from api_bridge.models import Connection
from incidents.client_words import ask_for_release
from incidents.everywhere import pull_everywhere
from incidents.models import Message
from incidents.services import share_incident
from incidents.services.waiting import wait_for
from tenants.scope import Role, tenant_scope
from tests.console.test_pages import open_phish
from tests.console.test_portal_words import hold
from tests.factories import PASSWORD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SHOWS = [("light", 1440), ("dark", 390)]
AXE = Axe().axe_script


def findings(
    browser, site: str, login: str, email: str, paths: list[str], locale: str = "en-GB"
) -> list[str]:
    """What is wrong with these pages, in every theme and width; [] if nothing."""
    wrong: list[str] = []
    context = browser.new_context(reduced_motion="reduce", locale=locale)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.on("console", lambda line: wrong.extend(_complaints(page.url, line)))
    page.goto(site + login)
    wrong += _look_at(page)
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("#main:not(.login)")
    for path in paths:
        answer = page.goto(site + path)
        assert answer is not None
        assert answer.status == 200, (path, answer.status)
        wrong += _look_at(page)
    context.close()
    return wrong


def _complaints(url: str, line) -> list[str]:
    """Errors and warnings, but for the live connection, which this test server does not have."""
    is_live = "WebSocket" in line.text or "/live" in (line.location or {}).get("url", "")
    return [f"{url}: {line.text}"] if line.type in ("error", "warning") and not is_live else []


def _look_at(page) -> list[str]:
    """The page as it stands, shown in each theme and width: the server sends the same for all."""
    wrong: list[str] = []
    page.evaluate(AXE)
    for theme, width in SHOWS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        found = page.evaluate(
            "rules => axe.run({runOnly: rules, resultTypes: ['violations']})", RULES
        )
        wrong += [
            f"{page.url} {theme} {width}: {rule['id']} at {node['target']}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wrong.append(f"{page.url} {theme} {width}: scrolls sideways")
    return wrong


def test_the_console_can_be_used_by_everybody(in_browser, live_server, transactional_cast):
    cast = transactional_cast
    incident = open_phish(cast.acme)
    open_phish(cast.globex)
    held = hold(cast.globex)
    with tenant_scope(Role.PORTAL, [cast.globex.id]):
        ask_for_release(delivery=held, person=cast.gus, reason="Our supplier.")
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        message = Message.objects.get()
    with tenant_scope(Role.ANALYST, [cast.acme.id, cast.globex.id], provider_id=cast.provider.id):
        group_id = pull_everywhere(incidents=[incident], actor=cast.ana, reason="")
        Connection.objects.create(tenant=cast.acme, blind_since=timezone.now())
    names = ["queue", "handled", "health", "mail", "held", "clients", "jobs", "components"]
    names += ["ledger", "entity", "sla"]
    paths = [reverse(name) for name in names]
    paths += [reverse("ledger_figure", args=["threats"]), reverse("client_warnings", args=["acme"])]
    paths += [reverse("entity") + "?kind=domain&value=evil.example"]
    paths += [reverse("message_report", args=[message.id])]
    paths += [reverse("client_statement", args=["acme"]), reverse("sla") + "?client=acme"]
    paths += [reverse("client", args=["acme"]), reverse("message", args=[message.id])]
    paths += [reverse("message_open", args=[message.id])]
    for name in ("", "_pull", "_block", "_resolve", "_share", "_report"):
        paths.append(reverse(f"incident{name}", args=[incident.id]))
    for name in ("campaign", "campaign_pull", "campaign_block"):
        paths.append(reverse(name, args=[incident.id]))
    paths.append(reverse("campaign", args=[incident.id]) + "?list=incidents")
    paths += [reverse(name, args=["acme"]) for name in ("client_hubs", "client_grouping")]
    paths += [reverse("job_group", args=[group_id]), reverse("held_refuse", args=[held.id])]

    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.ana.email, paths) == []


def test_the_portal_can_be_used_by_everybody(in_browser, live_server, transactional_cast, settings):
    cast = transactional_cast
    incident = open_phish(cast.acme)
    held = hold(cast.acme)
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        share_incident(incident=incident, actor=cast.ana)
        incident.refresh_from_db()
        wait_for(incident=incident, actor=cast.ana, cause="client_answer", asked="Was it paid?")
    settings.ROOT_URLCONF = "console.urls_portal"
    names = ["portal", "portal_incidents", "portal_access", "portal_reports", "portal_held"]
    paths = [reverse(name) for name in (*names, "portal_access_right")]
    for name in ("portal_incident", "portal_answer"):
        paths.append(reverse(name, args=[incident.id]))
    paths.append(reverse("portal_held_ask", args=[held.id]))

    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.pia.email, paths) == []


def _walk(browser, site: str, login: str, email: str) -> dict[str, object]:
    page = browser.new_page()
    page.goto(site + login)
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("tr[data-row]")
    page.keyboard.press("j")
    at_row = page.evaluate("document.querySelector('.is-at').id")
    page.keyboard.press("/")
    at_search = page.evaluate("document.activeElement.id")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    help_is_open = page.evaluate("document.getElementById('keys').open")
    page.uncheck("#keys [name=keys]")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    ignored = page.evaluate("document.activeElement.id") != "search"
    page.keyboard.press("?")
    page.check("#keys [name=keys]")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/incidents/*")
    page.keyboard.press("e")
    page.wait_for_selector("#dialog[open]")
    in_dialog = page.evaluate("document.activeElement.name")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url("**/held")
    return {
        "row": at_row,
        "search": at_search,
        "help": help_is_open,
        "off": ignored,
        "dialog": in_dialog,
    }


def test_the_keyboard_is_enough(in_browser, live_server, transactional_cast):
    incident = open_phish(transactional_cast.acme)

    did = in_browser(_walk, live_server.url, reverse("login"), transactional_cast.ana.email)

    assert did == {
        "row": f"row-{incident.id}",
        "search": "search",
        "help": True,
        "off": True,
        "dialog": "reason",
    }
