"""What a pass would change is shown before it is done; newer rules wait for a person."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console.queries.hubs import hubs_page
from incidents.campaigns import recomputing
from incidents.campaigns.looking import look
from incidents.campaigns.nightly import serve_regroup
from incidents.campaigns.recomputing import (
    ask_recomputation,
    decide_recomputation,
    show_what_would_change,
    what_would_change,
)
from incidents.models import Campaign, Incident, IncidentMessage, Recomputation
from tenants.doors import ClaimedWork
from tenants.errors import Conflict
from tenants.models import AuditEntry, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.campaigns.test_beside_intake import out_of_place, worker
from tests.incidents.campaigns.test_nightly import take, threat
from tests.incidents.work_on import staff

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def acme(cast: Cast) -> Tenant:
    """Two strangers stand in one incident, two of one hand in no campaign."""
    with worker(cast.acme):
        for number in (1, 2):
            take(cast.acme, *threat(cast.acme, number, at=number))
        out_of_place(cast.acme)
        common = {"host": "evil.example", "sender": "a@crook.example"}
        for number in (3, 4):
            take(cast.acme, *threat(cast.acme, number, **common, at=number))
        Incident.objects.update(campaign=None)
        Campaign.objects.all().delete()
    return cast.acme


def said(tenant: Tenant) -> list[str]:
    with worker(tenant):
        return [line["text"] for line in what_would_change(look(tenant, timezone.now()))]


def serve(tenant: Tenant):
    return serve_regroup(ClaimedWork(tenant.id, tenant.provider_id, 1))


WOULD = ["#1 would become 2 incidents of 1 and 1 mails.", "#3 and #4 would be a campaign."]


def test_it_is_said_in_words_and_nothing_is_done(acme: Tenant, cast: Cast):
    assert said(acme) == WOULD
    with staff(cast, acme):
        ask_recomputation(tenant=acme, actor=cast.ana)
    assert serve(acme) is not None, "the night's pass comes all the same"
    with worker(acme):
        shown = Recomputation.objects.get()
        assert [line["text"] for line in shown.lines] == WOULD
        assert shown.counts == {"split": 1, "campaign": 1}
        assert not Campaign.objects.exists()
        assert IncidentMessage.objects.filter(incident__number=1).count() == 2


def test_accepted_it_is_done_and_nothing_is_left_to_say(acme: Tenant, cast: Cast):
    with staff(cast, acme):
        asked = ask_recomputation(tenant=acme, actor=cast.ana)
    with staff(cast, acme), pytest.raises(Conflict, match="reckoned anew"):
        decide_recomputation(asked=asked, actor=cast.ana, is_accepted=True, reason="too early")
    serve(acme)
    with staff(cast, acme):
        decide_recomputation(asked=asked, actor=cast.ana, is_accepted=True, reason="read it")
    serve(acme)
    assert said(acme) == []
    with worker(acme):
        entry = AuditEntry.objects.get(action=recomputing.ACCEPTED)
        assert (entry.actor_name, entry.reason) == ("Ana", "read it")
        assert Campaign.objects.count() == 1


def test_newer_rules_reshuffle_nothing_until_a_person_has_decided(
    acme: Tenant, cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recomputing, "VERSION", 2)
    for _ in range(2):
        serve(acme)
    with worker(acme):
        shown = Recomputation.objects.get()
        assert (shown.asked_by, shown.version) == ("Bailey", 2)
        assert shown.counts, "something would change"
        assert IncidentMessage.objects.filter(incident__number=1).count() == 2
    with staff(cast, acme):
        decide_recomputation(asked=shown, actor=cast.ana, is_accepted=False, reason="not now")
    serve(acme)
    with worker(acme):
        assert Recomputation.objects.count() == 1, "refused is refused"
        assert IncidentMessage.objects.filter(incident__number=1).count() == 2
    with staff(cast, acme):
        asked = ask_recomputation(tenant=acme, actor=cast.ana)
    serve(acme)
    with staff(cast, acme):
        decide_recomputation(asked=asked, actor=cast.ana, is_accepted=True, reason="now then")
    serve(acme)
    assert said(acme) == []


def test_a_new_client_waits_for_nobody(cast: Cast, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recomputing, "VERSION", 2)
    with worker(cast.acme):
        assert show_what_would_change(cast.acme) is None
        assert not recomputing.waits_for_a_person(cast.acme)


def test_the_command_says_it_and_does_it_when_it_is_accepted(acme: Tenant, cast: Cast):
    out = io.StringIO()
    call_command("recomputecampaigns", "acme", by="ana@keep.example", stdout=out)
    assert out.getvalue().splitlines() == [*WOULD, "2 changes at Acme."]
    assert said(acme) == WOULD
    call_command("recomputecampaigns", "acme", by="ana@keep.example", accept="read it", stdout=out)
    assert "1 parted, 1 campaigns changed" in out.getvalue()
    assert said(acme) == []


def test_the_page_shows_it_and_takes_the_decision(acme: Tenant, cast: Cast):
    browser = Client()
    browser.force_login(cast.ana)
    where = reverse("client_grouping", args=["acme"])
    assert "Nobody has asked" in browser.get(where).content.decode()
    browser.post(where)
    assert "Being reckoned" in browser.get(where).content.decode()
    serve(acme)
    page = browser.get(where).content.decode()
    assert all(line in page for line in WOULD)
    decide = reverse("client_grouping_decide", args=["acme"])
    browser.post(decide, {"do": "accept", "reason": "read through"})
    page = browser.get(where).content.decode()
    assert "read through" in page.partition("Decided before")[2]
    assert browser.post(decide, {"do": "accept", "reason": "once more"}).status_code == 404


def test_values_that_join_nothing_are_listed_with_the_reason(cast: Cast):
    """Counted at this client alone, whatever the reader sees beside it."""
    common = {"host": "shared.example", "sender": "news@bulk.example"}
    for tenant, harmless in ((cast.acme, 25), (cast.globex, 15)):
        with worker(tenant):
            for number in range(10, 10 + harmless):
                take(tenant, threat(tenant, number, **common, at=number)[0])
            take(tenant, *threat(tenant, 1, **common, at=100))
            own = threat(tenant, 2, host="sharepoint.com", at=101)
            take(tenant, *own)
    with tenant_scope(Role.ANALYST, [cast.acme.id, cast.globex.id], provider_id=cast.provider.id):
        there = {hub.label: hub for hub in hubs_page(cast.acme).hubs}
        other = {hub.label for hub in hubs_page(cast.globex).hubs}
    assert (there["shared.example"].mails, there["shared.example"].threats) == (26, 1)
    assert "25 harmless mails" in there["shared.example"].why
    assert "many owners" in there["sharepoint.com"].why
    assert "shared.example" not in other
    browser = Client()
    browser.force_login(cast.bo)
    page = browser.get(reverse("client_hubs", args=["acme"])).content.decode()
    assert "shared.example" in page
    assert browser.get(reverse("client_hubs", args=["globex"])).status_code == 404
