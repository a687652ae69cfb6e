"""A browser for the journeys, in a thread of its own."""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def in_browser(chromium):
    """Runs a function with the browser: Playwright keeps an event loop running in its thread,
    where neither Django's queries nor other asynchronous tests could run.
    """
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with ThreadPoolExecutor(1) as driver:
        playwright = driver.submit(lambda: sync_playwright().start()).result()
        browser = driver.submit(
            lambda: playwright.chromium.launch(executable_path=chromium, args=arguments)
        ).result()
        yield lambda work, *arguments: driver.submit(work, browser, *arguments).result()
        driver.submit(browser.close).result()
        driver.submit(playwright.stop).result()


@pytest.fixture(autouse=True)
def own_cache(settings) -> None:
    """Many journeys sign in as Ana within minutes: none counts the tries of another."""
    cache = settings.CACHES["default"] | {"KEY_PREFIX": secrets.token_hex(4)}
    settings.CACHES = {"default": cache}
