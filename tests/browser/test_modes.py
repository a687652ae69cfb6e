"""The pages of modes in a real browser: rehearsed, saved, and one click for what waits."""

from __future__ import annotations

import os

import pytest
from django.urls import reverse

from incidents.automation import serve_responses
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Job, LayerMode, PullProposal
from incidents.modes import set_mode
from incidents.words import Verdict
from tenants.doors import ClaimedWork
from tenants.ids import new_id
from tenants.models import Mailbox, MailboxGroup, MailboxGroupMember
from tenants.scope import Role, tenant_scope
from tests.browser.test_accessibility import findings
from tests.factories import PASSWORD, Cast
from tests.incidents.test_disagreements import INFO, IT, inside, passed

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def scope(cast: Cast):
    return tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id)


def waiting(cast: Cast) -> PullProposal:
    """Two copies wait; the group Board holds one of their mailboxes."""
    with scope(cast):
        board = MailboxGroup.objects.create(
            tenant=cast.acme, source_id=new_id(), external_id="g", name="Board"
        )
        box = Mailbox.objects.get(address=INFO)
        MailboxGroupMember.objects.create(tenant=cast.acme, group=board, mailbox=box)
        set_mode(tenant=cast.acme, mode="ask", actor=cast.mo, reason="To begin with")
        for recipient in (INFO, IT):
            seen = inside(cast, recipient, verdict=Verdict.PHISH, confidence=0.95)
            record([passed(cast, recipient), seen])
        make_sense_of_backlog(cast.acme)
    serve_responses(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with scope(cast):
        found: PullProposal = PullProposal.objects.get()
        return found


def test_the_pages_of_modes_can_be_used_by_everybody(in_browser, live_server, transactional_cast):
    cast = transactional_cast
    proposal = waiting(cast)
    paths = [reverse(name, args=["acme"]) for name in ("modes", "mode_set")]
    paths += [reverse("proposal_decline", args=[proposal.id])]
    paths += [reverse("incident", args=[proposal.incident_id])]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.mo.email, paths) == []


def _decide(browser, site: str, email: str) -> list[str]:
    page = browser.new_page()
    page.goto(site + reverse("login"))
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#main:not(.login)")
    page.goto(site + reverse("modes", args=["acme"]))
    _picture(page, "modes")
    said = [page.inner_text("#main")]
    page.click("section[aria-labelledby=groups] tbody a.btn")
    page.wait_for_selector("dialog[open] [name=mode]")
    page.select_option("[name=mode]", "auto")
    page.click("dialog[open] button.primary")
    page.wait_for_selector("[aria-label=Rehearsal]")
    _picture(page, "rehearsal")
    said.append(page.inner_text("[aria-label=Rehearsal]"))
    page.click("dialog[open] button.primary, form button.primary:has-text('Save')")
    page.wait_for_selector("text=is saved")
    page.click("button:has-text('Pull 2')")
    page.wait_for_url("**/jobs/**")
    page.close()
    return said


def _picture(page, name: str) -> None:
    """For whoever wants to look: BAILEY_PICTURES names a folder."""
    folder = os.environ.get("PICTURES_OF_MODES")
    for width in (1440, 390) if folder else ():
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)
    page.set_viewport_size({"width": 1440, "height": 900})


def test_she_rehearses_a_mode_saves_it_and_says_yes(in_browser, live_server, transactional_cast):
    cast = transactional_cast
    waiting(cast)
    page, rehearsal = in_browser(_decide, live_server.url, cast.mo.email)
    assert "Waiting for a yes" in page
    assert "1 of 2 condemned copies" in rehearsal
    with scope(cast):
        assert LayerMode.objects.latest("set_at").mode == "auto"
        assert Job.objects.get(kind="pull").requested_by == "Mo"
