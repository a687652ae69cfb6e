"""Pages of what mail has in common: how common, at whom, which incidents, mails and rules."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Incident
from incidents.words import Verdict
from seg_bridge.services import add_rule
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw

LINK = {"url": "https://pay.evil.example/x/1", "host": "pay.evil.example", "text": "Pay"}
FILE = {
    "name": "<b>invoice</b>.pdf",
    "kind": "pdf",
    "claimed_type": "application/pdf",
    "size_bytes": 9_000,
    "sha256": "ab" * 32,
    "is_inline": False,
    "members": [],
    "flags": [],
}


@pytest.fixture(autouse=True)
def _no_broker(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def mail_at(tenant: Tenant, number: int, verdict: Verdict) -> None:
    whom = f"cfo@{tenant.slug}.example"
    ulid = f"01J00000000000000000{tenant.id % 10000:04d}{number:02d}"
    common = {
        "mail": mail_json(subject=f"Invoice {number}", links=[LINK], attachments=[FILE]),
        "internet_message_id": f"<{number}.{tenant.slug}@evil.example>",
        "fingerprint": f"{tenant.id}{number}".rjust(32, "0"),
    }
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        record(
            [
                gateway_saw(tenant, whom, ulid=ulid, **common),
                mailbox_saw(tenant, whom, trace_ulid=ulid, verdict=verdict, **common),
            ]
        )
        make_sense_of_backlog(tenant)


def page_of(person, kind: str, value: str) -> str:
    client = Client()
    client.force_login(person)
    answer = client.get(reverse("entity"), {"kind": kind, "value": value})
    assert answer.status_code == 200
    return re.sub(r"<[^>]+>|\s+", " ", answer.content.decode())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("sender", "Eve@evil.example"),
        ("domain", "evil.example"),
        ("host", "pay.evil.example"),
        ("file", "ab" * 32),
    ],
)
def test_prevalence_counts_benign_mail_and_only_the_clients_in_sight(cast: Cast, kind, value):
    mail_at(cast.acme, 1, Verdict.PHISH)
    mail_at(cast.acme, 2, Verdict.CLEAN)
    mail_at(cast.globex, 1, Verdict.CLEAN)
    seen_by_ana = " ".join(page_of(cast.ana, kind, value).split())
    assert "In 3 of 3 mails, at 2 clients" in seen_by_ana
    assert "Globex" in seen_by_ana
    seen_by_bo = " ".join(page_of(cast.bo, kind, value).split())
    assert "In 2 of 2 mails, at 1 client" in seen_by_bo
    assert "Globex" not in seen_by_bo
    assert "Phishing: Invoice 1" in seen_by_bo


def test_a_mailbox_shows_its_mail(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    text = page_of(cast.bo, "mailbox", "cfo@acme.example")
    assert "1 copy of mail" in text
    assert "Phishing: Invoice 1" in text
    assert "No client in sight" in page_of(cast.bo, "mailbox", "cfo@globex.example")


def test_rules_in_force_are_named(cast: Cast):
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        add_rule(
            tenant_id=cast.acme.id,
            kind="block",
            match="sender_domain",
            value="evil.example",
            reason="They keep writing",
            actor=cast.ana,
        )
    for kind, value in (("sender", "eve@evil.example"), ("domain", "evil.example")):
        assert "They keep writing" in page_of(cast.ana, kind, value)


def test_the_incident_leads_to_its_entities(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    client = Client()
    client.force_login(cast.bo)
    with tenant_scope(Role.ANALYST, [cast.acme.id]):
        incident = Incident.objects.get()
    text = client.get(reverse("incident", args=[incident.id])).content.decode()
    found = re.findall(r'href="(/console/entities\?[^"]+)"', text)
    assert len(found) == 4
    for address in found:
        page = client.get(address.replace("&amp;", "&")).content.decode()
        assert "In 1 of 1 mails" in " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "<b>invoice</b>" not in text


def test_nothing_named_is_a_page_to_ask(cast: Cast):
    assert "Look up" in page_of(cast.bo, "", "")
    assert "No client in sight" in page_of(cast.bo, "no such kind", "nobody@nowhere.example")
