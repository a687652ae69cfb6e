"""A browser for the journeys, in a thread of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="package")
def driver_and_browser(chromium: str) -> Iterator[tuple[ThreadPoolExecutor, Browser]]:
    """Chromium, and the thread that alone may speak with it: Playwright keeps an event loop running
    there, where neither Django's queries nor other asynchronous tests could run.
    """
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with ThreadPoolExecutor(1) as driver:
        playwright = driver.submit(lambda: sync_playwright().start()).result()
        try:
            browser = driver.submit(
                lambda: playwright.chromium.launch(executable_path=chromium, args=arguments)
            ).result()
            yield driver, browser
            driver.submit(browser.close).result()
        finally:
            driver.submit(playwright.stop).result()


@pytest.fixture(scope="module")
def in_browser(driver_and_browser: tuple[ThreadPoolExecutor, Browser]) -> Iterator[Any]:
    """Runs a function with the browser.  Whatever pages a file left open are closed behind it:
    pages, cookies and caches belong to a context, and no context outlives its file.
    """
    driver, browser = driver_and_browser
    yield lambda work, *arguments: driver.submit(work, browser, *arguments).result()
    driver.submit(_close_all, browser).result()


def _close_all(browser: Browser) -> None:
    for context in browser.contexts:
        context.close()


@pytest.fixture(autouse=True)
def own_cache(settings) -> None:
    """Many journeys sign in as Ana within minutes: none counts the tries of another."""
    cache = settings.CACHES["default"] | {"KEY_PREFIX": secrets.token_hex(4)}
    settings.CACHES = {"default": cache}
