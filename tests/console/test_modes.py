"""The page of modes: rehearsed before it is saved, and the one click that pulls what waits."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from incidents.automation import serve_responses
from incidents.models import Incident, Job, LayerMode, PullProposal
from incidents.modes import set_mode
from incidents.words import Verdict
from tenants.doors import ClaimedWork
from tenants.errors import NotAllowed
from tenants.ids import new_id
from tenants.models import Mailbox, MailboxGroup, MailboxGroupMember
from tests.console.test_layers import happened, scope, text
from tests.factories import Cast
from tests.incidents.test_disagreements import INFO, IT, inside, passed

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def as_ana(client, cast: Cast):
    client.force_login(cast.ana)
    return client


@pytest.fixture
def as_mo(client, cast: Cast):
    client.force_login(cast.mo)
    return client


@pytest.fixture
def board(cast: Cast) -> MailboxGroup:
    with scope(cast.acme):
        made = MailboxGroup.objects.create(
            tenant=cast.acme, source_id=new_id(), external_id="g1", name="Board <b>"
        )
        MailboxGroupMember.objects.create(
            tenant=cast.acme, group=made, mailbox=Mailbox.objects.get(address=INFO)
        )
        return made


def condemned(cast: Cast) -> PullProposal:
    for recipient in (INFO, IT):
        seen = inside(cast, recipient, verdict=Verdict.PHISH, confidence=0.95)
        happened(cast, passed(cast, recipient), seen)
    serve_responses(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with scope(cast.acme):
        return PullProposal.objects.get()


def rehearsed(page: str) -> dict[str, str]:
    """What the form of a rehearsal that was looked at sends with it."""
    return dict(re.findall(r'name="(seen|rehearsal)" value="([^"]*)"', page))


def test_a_mode_is_rehearsed_and_then_saved(cast: Cast, as_mo, board: MailboxGroup):
    condemned(cast)
    address = f"{reverse('mode_set', args=['acme'])}?group={board.id}"
    wish = {"mode": "auto", "reason": "They asked"}
    page = as_mo.post(address, wish).content.decode()
    assert "1 of 2 condemned copies: “Act by itself” instead of “Ask before each pull”" in page
    assert "1 of the copies that wait now may be pulled" in page
    seen = rehearsed(page)
    as_mo.post(address, {**wish, **seen, "seen": "monitor"})
    as_mo.post(address, {**wish, "seen": "auto"})
    assert as_mo.post(address, {**wish, "seen": "auto", "rehearsal": "no"}).status_code == 409
    with scope(cast.acme):
        assert not LayerMode.objects.exists(), "only what was rehearsed is saved"
    assert as_mo.post(address, {**wish, **seen}).status_code == 302
    with scope(cast.acme):
        row = LayerMode.objects.get()
        assert (row.group_id, row.mode, row.set_by) == (board.id, "auto", "Mo")
    page = text(as_mo, "modes", "acme")
    assert "group Board &lt;b&gt;" in page
    assert "Ask before each pull: " in page
    assert "They asked" in page


def test_what_is_decided_for_later_is_shown_with_what_holds_until_then(cast: Cast, as_mo):
    address = reverse("mode_set", args=["acme"])
    at = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    wish = {"mode": "monitor", "effective_from": at}
    seen = rehearsed(as_mo.post(address, wish).content.decode())
    assert as_mo.post(address, {**wish, **seen}).status_code == 302
    page = text(as_mo, "modes", "acme")
    assert "Until then: ask before each pull." in page
    assert "prepares each pull" in page, "the effect of the mode that holds"


@pytest.mark.parametrize("wish", [{"mode": "always"}, {"mode": "ask", "effective_from": "soon"}])
def test_bad_input_is_said_and_nothing_is_saved(cast: Cast, as_mo, wish: dict[str, Any]):
    address = reverse("mode_set", args=["acme"])
    assert as_mo.post(address, {**wish, "seen": wish["mode"]}).status_code in (200, 422)
    with scope(cast.acme):
        assert not LayerMode.objects.exists()
    assert as_mo.get(f"{address}?group={new_id()}").status_code == 404


def test_a_group_whose_members_are_not_known_yet_says_so(cast: Cast, as_mo):
    with scope(cast.acme):
        group = {"tenant": cast.acme, "source_id": new_id()}
        new = MailboxGroup.objects.create(external_id="g2", name="New", **group)
        read = {"members_at": timezone.now(), **group}
        empty = MailboxGroup.objects.create(external_id="g3", name="Empty", **read)
    assert text(as_mo, "modes", "acme").count("not read yet") == 1
    for each, said in ((new, True), (empty, False)):
        page = as_mo.get(f"{reverse('mode_set', args=['acme'])}?group={each.id}")
        assert ("was not read yet" in page.content.decode()) is said


@pytest.mark.usefixtures("board")
def test_only_a_lead_says_how_far_bailey_goes(cast: Cast, as_ana):
    address = reverse("mode_set", args=["acme"])
    assert address not in as_ana.get(reverse("modes", args=["acme"])).content.decode()
    assert as_ana.post(address, {"mode": "auto", "seen": "auto"}).status_code == 403
    with scope(cast.acme):
        with pytest.raises(NotAllowed):
            set_mode(tenant=cast.acme, mode="auto", actor=cast.ana)
        assert not LayerMode.objects.exists()
    as_ana.force_login(cast.mo)
    assert address in as_ana.get(reverse("modes", args=["acme"])).content.decode()


def test_one_click_on_the_incident_pulls_what_waits(cast: Cast, as_ana):
    proposal = condemned(cast)
    page = text(as_ana, "incident", proposal.incident_id)
    assert "Approve: pull 2" in page
    assert "Pull 2" in text(as_ana, "modes", "acme")
    answer = as_ana.post(reverse("proposal_approve", args=[proposal.id]))
    with scope(cast.acme):
        job = Job.objects.get(kind="pull")
        assert (job.requested_by, job.counts["copies"]) == ("Ana", 2)
    assert answer.url == reverse("job", args=[job.id])
    assert "Approve: pull" not in text(as_ana, "incident", proposal.incident_id)
    assert as_ana.post(reverse("proposal_approve", args=[proposal.id])).status_code == 409


def test_the_pull_that_waits_is_the_one_recommended_action(cast: Cast, as_ana):
    proposal = condemned(cast)
    page = text(as_ana, "incident", proposal.incident_id)
    [card] = re.findall(r'<section class="card act".*?</section>', page, re.S)
    assert 'aria-label="Recommended action"' in card
    assert card.count("btn primary") == 1
    assert card.index("Approve: pull 2 copies") < card.index("Reversible.")
    assert card.index("Reversible.") < card.index("Pull with a reason of yours")
    assert "Leave them" in card
    queue = as_ana.get(reverse("queue"), {"tab": "team"}).content.decode()
    assert "Pull waits for approval" in queue
    with scope(cast.acme):
        set_mode(tenant=cast.acme, mode="monitor", actor=cast.mo)
    serve_responses(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    queue = as_ana.get(reverse("queue"), {"tab": "team"}).content.decode()
    assert "waits for approval" not in queue


def test_a_call_is_logged_beside_whom_to_call(cast: Cast, as_ana):
    proposal = condemned(cast)
    page = text(as_ana, "incident", proposal.incident_id)
    [line] = re.findall(r'<div class="card call">.*?</div>', page, re.S)
    assert reverse("incident_call", args=[proposal.incident_id]) in line
    assert page.count("Log a call") == 1


def test_declining_takes_a_reason(cast: Cast, as_ana):
    proposal = condemned(cast)
    address = reverse("proposal_decline", args=[proposal.id])
    assert "asks no more" in as_ana.get(address).content.decode()
    as_ana.post(address, {"reason": ""})
    with scope(cast.acme):
        assert PullProposal.objects.get().state == "open"
    assert as_ana.post(address, {"reason": "A drill"}).status_code == 302
    with scope(cast.acme):
        assert PullProposal.objects.get().state == "declined"


def test_a_monitored_client_is_told_and_asked_for_nothing(cast: Cast, as_ana):
    with scope(cast.acme):
        set_mode(tenant=cast.acme, mode="monitor", actor=cast.mo)
    proposal = condemned(cast)
    assert "Approve: pull" not in text(as_ana, "incident", proposal.incident_id)
    assert "Waiting for a yes" not in text(as_ana, "modes", "acme")
    with scope(cast.acme):
        assert Incident.objects.get().is_open
