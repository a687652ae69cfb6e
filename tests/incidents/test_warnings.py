"""Shared warnings: a number from three other clients on that names nobody, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.ledger import note_messages
from incidents.models import Incident, Message, WarningMark
from incidents.services import resolve_incident, share_incident
from incidents.warnings import also_seen_at, share_warnings, sweep_marks
from incidents.words import Verdict
from tenants.audit import BAILEY
from tenants.models import Provider, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tenants.services import NewMailbox, create_client, create_provider
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw


def a_client(provider: Provider, slug: str) -> Tenant:
    return create_client(
        provider=provider,
        slug=slug,
        name=slug.title(),
        domain=f"{slug}.example",
        next_hop=("127.0.0.1", 25),
        mailboxes=[NewMailbox(f"cfo@{slug}.example", "CFO")],
        actor=BAILEY,
    )


@pytest.fixture
def clients(cast: Cast) -> list[Tenant]:
    """Acme, Globex and five more of the same provider."""
    with maintenance_scope():
        slugs = ("umbra", "tyrell", "wayne", "hooli", "initech")
        more = [a_client(cast.provider, slug) for slug in slugs]
    return [cast.acme, cast.globex, *more]


def phish_at(tenant: Tenant, *, verdict: Verdict = Verdict.PHISH, subject: str = "Invoice 4711"):
    """The same mail with a word of this client's in it, in an inbox; answers its incident."""
    whom = f"cfo@{tenant.slug}.example"
    ulid = f"01J0000000000000000000{tenant.id % 10000:04d}"
    link = f"https://evil.example/pay/{subject.split(maxsplit=1)[0]}"
    facts = mail_json(
        subject=subject,
        links=[{"url": link, "host": "evil.example", "domain": "evil.example", "text": ""}],
    )
    common = {
        "mail": facts,
        "fingerprint": f"{tenant.id:032d}",
        "internet_message_id": f"<{tenant.slug}@evil.example>",
    }
    with scope_of(tenant):
        record(
            [
                gateway_saw(tenant, whom, ulid=ulid, **common),
                mailbox_saw(tenant, whom, trace_ulid=ulid, verdict=verdict, **common),
            ]
        )
        make_sense_of_backlog(tenant)
        return Incident.objects.select_related("tenant").first()


def scope_of(tenant: Tenant, role: Role = Role.WORKER):
    return tenant_scope(role, [tenant.id], provider_id=tenant.provider_id)


def told(incident: Incident, role: Role = Role.ANALYST) -> int:
    with tenant_scope(role, [incident.tenant_id]):
        return also_seen_at(incident)


def test_three_others_make_a_warning_and_two_make_none(clients: list[Tenant]):
    mine = phish_at(clients[0])
    for other in clients[1:3]:
        phish_at(other)
    assert told(mine) == 0
    phish_at(clients[3])
    assert told(mine) == 3
    phish_at(clients[4])
    assert told(mine) == 4


def test_a_number_never_names_everybody(clients: list[Tenant], cast: Cast):
    """Where all had it, or all but one, a number would say so of each."""
    incidents = [phish_at(each) for each in clients]
    assert told(incidents[0]) == 4, "six had it: at least four"
    for leaving, left in ((clients[6], 3), (clients[5], 0)):
        with scope_of(leaving, Role.ANALYST):
            share_warnings(tenant=leaving, actor=cast.mo, is_on=False)
        assert told(incidents[0]) == left
    assert told(phish_at(clients[1], subject="Voicemail of today")) == 0


def test_another_threat_is_not_counted(clients: list[Tenant]):
    mine = phish_at(clients[0])
    for other in clients[1:]:
        phish_at(other, subject="Voicemail of today")
    with scope_of(clients[1]):
        assert WarningMark.objects.exists()
    assert told(mine) == 0


def test_who_opted_out_is_not_counted_and_is_told_nothing(clients: list[Tenant], cast: Cast):
    incidents = [phish_at(each) for each in clients[:5]]
    assert told(incidents[0]) == 4
    with scope_of(clients[4], Role.ANALYST):
        share_warnings(tenant=clients[4], actor=cast.mo, is_on=False)
        assert not WarningMark.objects.exists()
    assert told(incidents[0]) == 3
    assert told(incidents[4]) == 0
    with scope_of(clients[4]):
        clients[4].refresh_from_db()
    phish_at(clients[4], subject="Voicemail of today")
    with scope_of(clients[4]):
        assert not WarningMark.objects.exists()


def test_opting_out_works_both_ways_whatever_marks_are_left(clients: list[Tenant]):
    """Marks that a batch wrote while the client left are neither counted nor answered for."""
    incidents = [phish_at(each) for each in clients[:5]]
    assert (told(incidents[0]), told(incidents[4])) == (4, 4)
    with maintenance_scope():
        Tenant.objects.filter(id=clients[4].id).update(shares_warnings=False)
    with scope_of(clients[4]):
        assert WarningMark.objects.exists()
    assert (told(incidents[0]), told(incidents[4])) == (3, 0)


def test_repeating_the_mail_makes_the_number_no_larger(clients: list[Tenant]):
    """Organisations are counted, not mails, marks or questions."""
    mine = phish_at(clients[0])
    for other in clients[1:3]:
        for subject in ("Invoice 4711", "Invoice 4712", "Invoice 4711"):
            phish_at(other, subject=subject)
    assert [told(mine) for _ in range(3)] == [0, 0, 0]
    phish_at(clients[3])
    phish_at(clients[3], subject="Invoice 4713")
    assert [told(mine) for _ in range(3)] == [3, 3, 3]


def test_what_was_cleared_elsewhere_is_no_warning(clients: list[Tenant], cast: Cast):
    incidents = [phish_at(each) for each in clients[:4]]
    assert told(incidents[0]) == 3
    with scope_of(clients[3]):
        resolve_incident(
            incident=incidents[3], actor=cast.mo, classification="false_positive", cause="Ours."
        )
    assert told(incidents[0]) == 0


def test_another_provider_is_not_counted(clients: list[Tenant]):
    incidents = [phish_at(each) for each in clients[:3]]
    with maintenance_scope():
        stranger = a_client(create_provider(slug="other", name="Other", actor=BAILEY), "stranger")
    phish_at(stranger)
    assert told(incidents[0]) == 0


def test_old_marks_count_no_more_and_go(clients: list[Tenant]):
    incidents = [phish_at(each) for each in clients[:4]]
    with scope_of(clients[3]):
        WarningMark.objects.update(last_seen_at=timezone.now() - timedelta(days=31))
    assert told(incidents[0]) == 0
    with scope_of(clients[3]):
        assert sweep_marks(clients[3]) > 0
        assert not WarningMark.objects.exists()


def test_spam_warns_nobody(clients: list[Tenant]):
    phish_at(clients[0], verdict=Verdict.SPAM)
    with scope_of(clients[0]):
        assert not WarningMark.objects.exists()


def test_nobody_asks_about_an_incident_that_is_not_hers(clients: list[Tenant]):
    incidents = [phish_at(each) for each in clients]
    with scope_of(clients[1], Role.ANALYST):
        assert also_seen_at(incidents[0]) == 0


def test_the_portal_asks_about_what_is_shared_only(clients: list[Tenant], cast: Cast):
    incidents = [phish_at(each) for each in clients]
    assert told(incidents[0], Role.PORTAL) == 0
    with scope_of(clients[0]):
        share_incident(incident=incidents[0], actor=cast.mo)
    assert told(incidents[0], Role.PORTAL) == 4


def test_a_mark_says_nothing_without_the_key(clients: list[Tenant], settings):
    def marks() -> set[str]:
        with scope_of(clients[0]):
            return set(WarningMark.objects.values_list("mark", flat=True))

    phish_at(clients[0])
    before = marks()
    assert before
    assert all(len(mark) == 64 for mark in before)
    with scope_of(clients[0]):
        WarningMark.objects.all().delete()
        settings.MASTER_KEY = b"another key of thirty-two bytes!"
        note_messages(clients[0], Message.objects.values_list("id", flat=True))
    assert marks()
    assert not marks() & before


def test_the_pages_say_how_many_and_nothing_else(clients: list[Tenant], cast: Cast, settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    incidents = [phish_at(each, subject=f"Invoice for {each.slug} canary") for each in clients]
    assert told(incidents[0]) == 4
    with scope_of(clients[0]):
        share_incident(incident=incidents[0], actor=cast.mo)
    console, portal = Client(), Client()
    console.force_login(cast.bo)
    pages = [console.get(f"/console/incidents/{incidents[0].id}").content.decode()]
    settings.ROOT_URLCONF, settings.SURFACE = "console.urls_portal", "portal"
    portal.force_login(cast.pia)
    pages.append(portal.get(f"/portal/incidents/{incidents[0].id}").content.decode())
    for page in pages:
        assert "Also seen at 4 or more other organisations." in page
        for other in clients[1:]:
            assert other.slug not in page
            assert other.name not in page
