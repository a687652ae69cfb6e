"""Policies in a real browser: for everybody, and a change by keyboard."""

from __future__ import annotations

import pytest
from django.urls import reverse

from seg_bridge.models import PolicyLayer
from seg_bridge.policies.layers import Target
from seg_bridge.policies.services import ask_change, make_change
from tenants.ids import new_id
from tenants.models import Mailbox, MailboxGroup
from tenants.scope import Role, tenant_scope
from tests.browser.test_accessibility import findings
from tests.factories import PASSWORD, Cast

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def scope(cast: Cast):
    ids = [cast.acme.id, cast.globex.id]
    return tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id)


def test_the_pages_of_policies_can_be_used_by_everybody(
    in_browser, live_server, transactional_cast
):
    cast = transactional_cast
    acme = Target(provider=cast.provider, tenant=cast.acme)
    with scope(cast):
        made = ask_change(target=acme, version=0, actor=cast.bo, states={"act_from": 4.5})
        make_change(change=made, actor=cast.bo, reason="They were hit twice")
        waits = ask_change(target=acme, version=1, actor=cast.mo, template="Strict")
        box = Mailbox.objects.get(address="ceo@acme.example")
        group = MailboxGroup.objects.create(
            tenant=cast.acme, source_id=new_id(), external_id="g1", name="Finance"
        )
    paths = [reverse("policy_mailbox", args=[box.id])]
    paths += [reverse("policy_directory", args=[group.id])]
    paths += [reverse(f"policy_{name}", args=[waits.id]) for name in ("change", "change_make")]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.ana.email, paths) == []


def _change(browser, site: str, login: str, email: str, path: str) -> list[str]:
    page = browser.new_page()
    page.goto(site + login)
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#main:not(.login)")
    page.goto(site + path)
    page.fill('[name="act_from"]', "4.5")
    page.keyboard.press("Enter")  # rehearses; it gives nothing back
    page.wait_for_url("**/changes/**")
    seen = [page.inner_text("#main")]
    page.keyboard.press("e")
    page.fill("dialog [name=reason]", "They were hit twice")
    page.keyboard.press("Enter")
    page.wait_for_url("**" + path)
    seen.append(page.inner_text("#main"))
    return seen


def test_a_policy_is_changed_by_keyboard(in_browser, live_server, transactional_cast):
    cast = transactional_cast
    path = reverse("policy_client", args=["acme"])
    asked, done = in_browser(_change, live_server.url, reverse("login"), cast.bo.email, path)
    assert "4.5 points" in asked
    assert "States 1 value of its own; changed by Bo" in done
    with scope(cast):
        assert PolicyLayer.objects.get().stated["act_from"]["reason"] == "They were hit twice"
