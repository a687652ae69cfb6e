"""Many held mails chosen in the list and let go by one order; each result is read on its page."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from incidents.looks import serve_looks
from incidents.models import Intent, ReleaseLook
from incidents.remediation import settle_intent
from seg_bridge.models import GatewayRule
from tenants.doors import ClaimedWork
from tenants.scope import Role, tenant_scope
from tests.browser.test_accessibility import _look_at
from tests.factories import PASSWORD, Cast
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.test_release_all import holds

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]
UNSIGNED = {"sender": {"address": "x@other.example", "name": "", "raw": ""}, "auth": []}


@pytest.fixture
def held(transactional_cast: Cast) -> Cast:
    """Two of Acme's from one signer; two of Globex's that nothing names together."""
    cast = transactional_cast
    make_gate(cast, cast.acme, cast.globex)
    holds(cast.acme, "cfo@acme.example", "a")
    holds(cast.acme, "info@acme.example", "b")
    holds(cast.globex, "ceo@globex.example", "c")
    holds(cast.globex, "ceo@globex.example", "d", facts=UNSIGNED)
    return cast


def _everywhere(cast: Cast):
    both = [cast.acme.id, cast.globex.id]
    return tenant_scope(Role.WORKER, both, provider_id=cast.provider.id)


def _release(browser, site: str, login: str, held: str, email: str) -> tuple[Any, list[str]]:
    """From the list to the order's page, which stays open."""
    page = browser.new_context(reduced_motion="reduce").new_page()
    page.goto(site + login)
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("#main:not(.login)")
    page.goto(site + held)
    page.check("[data-choose-all]")
    page.get_by_role("button", name="Release 4 chosen").click()
    expect(page.locator("legend", has_text="Acme: 2 mails")).to_be_visible()
    expect(page.locator("legend", has_text="Globex: 2 mails")).to_be_visible()
    expect(page.get_by_text("2 of 2: The next mail like it would be held").first).to_be_visible()
    wrong = _look_at(page)
    page.get_by_label("Mail like it: by who signed or sent all of them").check()
    page.fill("[name=reason]", "Both clients called")
    page.click("form button.primary")
    page.wait_for_url("**/console/jobs/groups/*")
    expect(page.locator("h1")).to_have_text("Release held mail at 2 clients")
    return page, wrong


def _results(browser, page: Any) -> tuple[dict[str, str], list[str], list[str]]:
    """What the order's page says of each client, and of each copy, once all of it is over."""
    acme = page.locator("tr", has=page.get_by_role("link", name="Acme"))
    expect(acme).to_contain_text("Done", timeout=15_000)
    expect(page.locator("[id^=look-]")).to_have_count(2)
    expect(page.locator("[id^=look-]").first).not_to_contain_text("Waits", ignore_case=True)
    rows = {
        row.locator("a").first.inner_text(): row.inner_text()
        for row in page.locator("tbody tr").all()
    }
    looks = [each.inner_text() for each in page.locator("[id^=look-]").all()]
    wrong = _look_at(page)
    page.context.close()
    return rows, looks, wrong


def test_many_are_released_from_the_list_and_each_result_is_seen(in_browser, live_server, held):
    cast = held
    at = (live_server.url, reverse("login"), reverse("held"), cast.ana.email)
    page, wrong = in_browser(_release, *at)
    assert wrong == []
    with _everywhere(cast):
        assert [rule.tenant_id for rule in GatewayRule.objects.all()] == [cast.acme.id]
        intents = list(Intent.objects.select_related("delivery"))
        assert {each.delivery.recipient for each in intents} == {
            "cfo@acme.example",
            "info@acme.example",
        }
        for intent in intents:
            settle_intent(intent.id, ok=True, detail="")
        ReleaseLook.objects.update(due_at=timezone.now())
    serve_looks(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    rows, looks, wrong = in_browser(_results, page)
    assert wrong == []
    assert "2 of 2" in rows["Acme"]
    assert "Failed" in rows["Globex"]
    assert "not fit for such an exception" in rows["Globex"]
    assert all("does not watch" in look for look in looks), looks
