"""Links between campaigns of several clients: the same threat at whatever client, for staff."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import connection
from django.db.utils import ProgrammingError
from django.utils import timezone

from console.queries.elsewhere import clients_of_campaigns, incidents_everywhere
from incidents.campaigns.belonging import new_campaign
from incidents.campaigns.links import WINDOW
from incidents.models import CampaignLink, Incident, LinkedIncident, Message
from incidents.regroup import merge_incidents, split_incident, undo_regrouping
from tenants.audit import BAILEY
from tenants.models import Provider, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tenants.services import create_provider
from tests.factories import Cast
from tests.incidents.campaigns.test_nightly import take, threat
from tests.incidents.test_warnings import a_client
from tests.incidents.work_on import staff


@pytest.fixture
def three(cast: Cast) -> list[Tenant]:
    with maintenance_scope():
        return [cast.acme, cast.globex, a_client(cast.provider, "umbra")]


def comes(tenant: Tenant, number: int, **changes: Any) -> None:
    """``text``: the first of 64 MinHash values; ``links``: addresses; the rest as in ``threat``."""
    text, links = changes.pop("text", None), changes.pop("links", None)
    seen = threat(tenant, number, **changes)
    for one in seen:
        if text is not None:
            one.mail["shingles"] = [text + at for at in range(64)]
        if links is not None:
            one.mail["links"] = [{"url": each} for each in links]
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        take(tenant, *seen)


def everything(provider: Provider, *tenants: Tenant, role: Role = Role.ANALYST):
    return tenant_scope(role, [each.id for each in tenants], provider_id=provider.id)


def clients(provider: Provider, tenants: list[Tenant]) -> dict[str, set[str]]:
    """Each incident by its mail → the clients of its campaign, as one who sees all is told."""
    with everything(provider, *tenants):
        rows = Incident.objects.select_related("tenant").filter(merged_into=None)
        counted = clients_of_campaigns(rows)
        slugs = {row.id: row.tenant.slug for row in rows}
        found = {}
        for row in rows:
            there = {slugs[each] for each in incidents_everywhere(row)}
            assert len(there) == counted.get(row.id, 1)
            found[f"{row.tenant.slug} {row.number}"] = there
        return found


ONE, OTHER = "https://evil.example/pay/form", "https://bad.example/login/form"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_one_threat_is_one_link_in_whatever_order_it_comes(cast, three, order):
    """The mail in the middle shares a link with each of the others, which share none."""
    carried = [[ONE], [ONE, OTHER], [OTHER]]
    for at in order:
        comes(three[at], at + 1, links=carried[at])
    assert set(map(frozenset, clients(cast.provider, three).values())) == {
        frozenset({"acme", "globex", "umbra"})
    }


def test_nearly_the_same_text_links_and_other_text_does_not(cast, three):
    comes(three[0], 1, text=100)
    comes(three[1], 2, text=104)
    comes(three[2], 3, text=5000)
    found = clients(cast.provider, three)
    assert found["umbra 1"] == {"umbra"}
    assert found["acme 1"] == {"acme"}, "shifted values meet in no band"
    comes(three[2], 4, text=100, at=1)
    assert clients(cast.provider, three)["acme 1"] == {"acme", "umbra"}


def test_what_much_harmless_mail_has_links_nothing(cast, three):
    for own, tenant in enumerate(three[:2], 1):
        harmless = [threat(tenant, number, at=number)[0] for number in range(10, 35)]
        for one in harmless:
            one.mail["links"] = [{"url": ONE}]
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
            take(tenant, *harmless)
        comes(tenant, own, links=[ONE], at=100)
    assert clients(cast.provider, three)["acme 1"] == {"acme"}


def test_the_campaign_of_an_incident_counts(cast, three):
    """Linked is its sibling: the campaign is at both clients, and so says each of its incidents."""
    comes(three[0], 1, links=[ONE])
    comes(three[0], 2, links=["https://h2.example/go/x"], at=1)
    comes(three[1], 3, links=[ONE])
    with tenant_scope(Role.WORKER, [three[0].id], provider_id=cast.provider.id):
        new_campaign(three[0].id, Incident.objects.all())
    found = clients(cast.provider, three)
    assert found["acme 1"] == found["acme 2"] == {"acme", "globex"}


def test_links_follow_the_mail_when_people_split_merge_and_undo(cast, three):
    acme, globex = three[:2]
    comes(acme, 1, links=[ONE], at=1)
    comes(acme, 2, links=[OTHER], at=2)
    comes(globex, 3, links=[OTHER])
    alone, both = {"acme"}, {"acme", "globex"}

    def said() -> list[set[str]]:
        found = clients(cast.provider, three)
        return [found[name] for name in sorted(found) if name.startswith("acme")]

    assert said() == [alone, both]
    with staff(cast, acme):
        one, other = Incident.objects.select_related("tenant").order_by("number")
        merged = merge_incidents(kept=one, gone=other, actor=cast.ana, reason="one hand")
    assert said() == [both]
    with staff(cast, acme):
        leaving = Message.objects.get(internet_message_id="<2@x.example>").id
        split = split_incident(
            incident=Incident.objects.get(number=1),
            messages=[leaving],
            actor=cast.ana,
            reason="two hands",
        )
    assert said() == [alone, both]
    with staff(cast, acme):
        undo_regrouping(done=split, actor=cast.ana)
    assert said() == [both]
    with staff(cast, acme):
        undo_regrouping(done=merged, actor=cast.ana)
    assert said() == [alone, both]


def test_what_was_not_seen_for_long_begins_anew(cast, three):
    comes(three[0], 1, links=[ONE])
    with everything(cast.provider, three[0]):
        CampaignLink.objects.update(seen_at=timezone.now() - WINDOW - timedelta(days=1))
    comes(three[1], 2, links=[ONE])
    assert clients(cast.provider, three)["globex 1"] == {"globex"}
    comes(three[2], 3, links=[ONE])
    assert clients(cast.provider, three)["globex 1"] == {"globex", "umbra"}


def test_providers_share_nothing(cast, three):
    with maintenance_scope():
        other = create_provider(slug="other", name="Other", actor=BAILEY)
        stranger = a_client(other, "stranger")
    comes(three[0], 1, links=[ONE])
    comes(stranger, 2, links=[ONE])
    with everything(cast.provider, three[0]):
        mine = set(CampaignLink.objects.values_list("root", flat=True))
    with everything(other, stranger):
        theirs = set(CampaignLink.objects.values_list("root", flat=True))
    assert mine
    assert theirs
    assert not mine & theirs


def test_who_sees_one_client_is_told_of_one(cast, three):
    for number, tenant in enumerate(three, 1):
        comes(tenant, number, links=[ONE])
    with everything(cast.provider, cast.acme):
        assert clients_of_campaigns(Incident.objects.all()) == {}
        assert len(incidents_everywhere(Incident.objects.get())) == 1
        assert LinkedIncident.objects.count() == 1


@pytest.mark.parametrize(
    "table", ["incidents_campaignlink", "incidents_linkedmail", "incidents_linkedincident"]
)
def test_the_portal_reads_no_link(cast, three, table):
    comes(three[0], 1, links=[ONE])
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        tenant_scope(Role.PORTAL, [three[0].id]),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"SELECT count(*) FROM {table}")
