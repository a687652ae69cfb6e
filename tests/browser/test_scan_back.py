"""A look back in a real browser: for everybody, in every theme and width."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.browser.test_accessibility import findings
from tests.console.test_scan_back import find_something

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def test_the_pages_of_a_look_back_can_be_used_by_everybody(
    in_browser, live_server, transactional_cast
):
    cast = transactional_cast
    run = find_something(cast)
    paths = [
        reverse("scan_back", args=["acme"]),
        reverse("scan_back_new", args=["acme"]),
        reverse("scan_back_list", args=[run.id, "all"]),
        reverse("scan_back_pull", args=[run.id]),
        reverse("scan_back", args=["globex"]),
    ]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.mo.email, paths) == []
