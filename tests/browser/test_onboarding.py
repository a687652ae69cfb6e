"""A new client and the queues in a real browser: for everybody, and with few keys."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from seg_bridge.models import DomainCheck, Gate, GateCommand, QueueItem, TrialMail
from seg_bridge.queues.together import order_many
from tenants.models import Domain, Mailbox
from tenants.scope import Role, tenant_scope
from tests.browser.test_accessibility import findings
from tests.console.test_queues import wait
from tests.factories import PASSWORD, Cast
from tests.seg_bridge.conftest import make_gate

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def half_way(cast: Cast) -> None:
    """Acme has been looked at, and a test mail was sent."""
    gate = make_gate(cast, cast.acme).row
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        DomainCheck.objects.create(
            tenant=cast.acme,
            domain=Domain.objects.get(),
            token="0123456789abcdef",
            looked_at=timezone.now(),
            found={
                "owner": {"state": "not_seen", "words": "There is no record yet.", "found": []},
                "mx": {"state": "partly", "words": "Mail may still go past.", "found": []},
                "gates": {"mx1.keep.example": ["203.0.113.7"]},
            },
        )
        TrialMail.objects.create(
            tenant=cast.acme,
            gate=gate,
            recipient="ceo@acme.example",
            internet_message_id="<1@mx1.keep.example>",
            state="refused",
            reply="550 5.1.1 No such mailbox here",
            asked_by="Mo",
        )


def test_the_pages_of_a_new_client_and_of_queues_can_be_used_by_everybody(
    in_browser, live_server, transactional_cast
):
    cast = transactional_cast
    half_way(cast)
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        item = wait(cast.acme, Gate.objects.get(), 2, reason="Connection refused")
        wait(cast.acme, Gate.objects.get(), 3, where="hold")
        batch = order_many(
            found=QueueItem.objects.filter(where="hold"),
            action="free",
            reason="",
            counted=1,
            actor=cast.mo,
        )
        GateCommand.objects.update(ok=False, detail="This mail is no longer in the queue.")
    paths = [reverse("client_new"), reverse("onboard", args=["acme"])]
    paths += [reverse(f"onboard_{step}", args=["acme"]) for step in ("domain", "recipients")]
    paths += [reverse("queues"), reverse("queue_order", args=[item.id, "remove"])]
    paths += [reverse("queue_order_all", args=["return"]), reverse("queue_batch", args=[batch])]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.mo.email, paths) == []


def _begin(browser, site: str, login: str, email: str, path: str) -> str:
    page = browser.new_page()
    page.goto(site + login)
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#main:not(.login)")
    page.goto(site + path)
    page.keyboard.press("n")
    page.fill("dialog [name=name]", "Initech")
    page.fill("dialog [name=slug]", "initech")
    page.keyboard.press("Enter")
    page.wait_for_url("**/initech/onboard")
    page.keyboard.press("n")
    page.fill("dialog [name=name]", "initech.example")
    page.fill("dialog [name=host]", "mail.initech.example")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=mail.initech.example:25")
    page.click("text=Add addresses")
    page.fill("dialog [name=pasted]", "bill@initech.example\npeter@initech.example")
    page.click("dialog >> text=Save")
    page.wait_for_selector("text=2 listed")
    seen = str(page.inner_text("#main"))
    page.close()
    return seen


def test_a_client_is_begun_by_keyboard(in_browser, live_server, transactional_cast):
    cast = transactional_cast
    make_gate(cast, cast.acme)
    where = live_server.url, reverse("login"), cast.mo.email, reverse("clients")
    seen = in_browser(_begin, *where)
    assert "mx1.keep.example" in seen
    with tenant_scope(Role.WORKER, [cast.acme.id + 2], provider_id=cast.provider.id):
        assert Mailbox.objects.count() == 2
