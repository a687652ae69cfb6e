"""Shown mail judged by its effect in a real browser, with no policy or frame to help."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import sync_playwright

from incidents.mail.read import read_mail
from incidents.mail.render import safe_html
from tests.hostile.generate import hostile_mails
from tests.hostile.vectors import SCRIPTS
from tests.incidents.mail.test_render import VECTORS

PAGE = "http://console.example/mail"
GUARD = "<script>window.alert = () => { window.acted = true }</script><p id=sentinel>ours</p>"


@pytest.fixture(scope="module")
def effects_of(chromium):
    """``effects`` of a fragment, in a browser that a thread of its own drives: Playwright keeps an
    event loop running in its thread, where no other asynchronous test could run then.
    """
    with ThreadPoolExecutor(1) as driver:
        playwright = driver.submit(lambda: sync_playwright().start()).result()
        browser = driver.submit(launched, playwright, chromium).result()
        page = driver.submit(browser.new_page).result()
        yield lambda fragment: driver.submit(effects, page, fragment).result()
        driver.submit(browser.close).result()
        driver.submit(playwright.stop).result()


def launched(playwright, chromium):
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=chromium, args=arguments)


def effects(page, fragment: str) -> list[str]:
    """What a fragment does in a page without any policy: requests, dialogs, scripts, moves."""
    seen: list[str] = []

    def answer(route):
        if route.request.url == PAGE:
            body = f"<!doctype html><body>{GUARD}<div id=shown>{fragment}</div>"
            route.fulfill(body=body, content_type="text/html; charset=utf-8")
        else:
            seen.append(f"request {route.request.url}")
            route.abort()

    page.route("**/*", answer)
    page.goto(PAGE, wait_until="load")
    page.wait_for_timeout(20)
    if page.evaluate("window.acted === true"):
        seen.append("script")
    if page.url != PAGE:
        seen.append(f"moved to {page.url}")
    if page.evaluate("document.querySelectorAll('#sentinel').length") != 1:
        seen.append("changed the page")
    page.unroute("**/*")
    return seen


@pytest.mark.browser
def test_the_oracle_sees_what_unsafe_html_does(effects_of):
    assert "script" in effects_of("<img src=x onerror=alert(1)>")
    assert any("request" in each for each in effects_of("<img src=//evil.example/x>"))


@pytest.mark.browser
def test_no_vector_has_an_effect(effects_of):
    for vector in [*SCRIPTS, *VECTORS]:
        assert effects_of(safe_html(vector)) == [], vector
    together = "".join(safe_html(vector) for vector in VECTORS)
    assert effects_of(together) == []


@pytest.mark.browser
def test_no_generated_mail_has_an_effect(effects_of):
    for mail in hostile_mails(18, 60, scale=30):
        facts = read_mail(mail.raw)
        assert effects_of(safe_html(facts.html + facts.subject)) == [], mail.traits
