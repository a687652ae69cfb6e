"""What waited for access, in a real browser: the page of what was found, and the one answer."""

from __future__ import annotations

import os

import pytest
from django.urls import reverse

from incidents import layers
from incidents.models import Renewal
from incidents.words import Place, Verdict
from tests.browser.test_accessibility import findings
from tests.factories import PASSWORD, gateway_saw, mailbox_saw
from tests.incidents.test_remediation import INFO, IT, _scope
from tests.incidents.test_renewals import (
    THIRD,
    Losable,
    ask,
    come_back,
    one_more,
    see,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


@pytest.fixture
def asked(transactional_cast, monkeypatch) -> Renewal:
    cast = transactional_cast
    boxes = Losable({"i1": Place.INBOX, "i2": Place.JUNK})
    monkeypatch.setitem(layers._layers, "mailbox", boxes)
    monkeypatch.setattr(layers, "_catching_up", [])
    incident = see(
        cast,
        [
            gateway_saw(cast.acme, INFO),
            gateway_saw(cast.acme, IT),
            mailbox_saw(cast.acme, INFO, item="i1", verdict=Verdict.PHISH),
            mailbox_saw(cast.acme, IT, item="i2", verdict=Verdict.PHISH, place=Place.JUNK),
        ],
    )
    ask(cast, incident)
    one_more(cast, boxes)
    return come_back(cast)


def _answer(browser, site: str, email: str, path: str) -> list[str]:
    page = browser.new_page()
    page.goto(site + reverse("login"))
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#main:not(.login)")
    page.goto(site + path)
    _picture(page, "renewal")
    said = [page.inner_text("#main")]
    page.keyboard.press("y")
    page.wait_for_selector("dialog[open] [name=answer]")
    _picture(page, "answer")
    page.check("dialog[open] [name=answer][value=approved]")
    page.click("dialog[open] button.primary")
    page.wait_for_selector("text=answered “Only what was approved”")
    said.append(page.inner_text("#main"))
    page.close()
    return said


def _picture(page, name: str) -> None:
    """For whoever wants to look: PICTURES_OF_RENEWALS names a folder."""
    folder = os.environ.get("PICTURES_OF_RENEWALS")
    for width in (1440, 390) if folder else ():
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)
    page.set_viewport_size({"width": 1440, "height": 900})


def test_one_reads_what_was_found_and_answers_with_the_keyboard(
    in_browser, live_server, transactional_cast, asked
):
    cast, path = transactional_cast, reverse("renewal", args=[asked.id])
    before, after = in_browser(_answer, live_server.url, cast.bo.email, path)
    assert THIRD in before
    assert "More than was approved" in before
    assert "Bo answered" in after
    with _scope(cast.acme):
        assert Renewal.objects.get().answer == "approved"


def test_its_pages_can_be_used_by_everybody(in_browser, live_server, transactional_cast, asked):
    paths = [reverse(name, args=[asked.id]) for name in ("renewal", "renewal_answer")]
    paths += [reverse("access", args=["acme"])]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, transactional_cast.mo.email, paths) == []
