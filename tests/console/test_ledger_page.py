"""The ledger's page: every number leads to a list that is as long as it says."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.observations import Observation
from incidents.words import Outcome, Place, Verdict
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw

pytestmark = pytest.mark.usefixtures("no_broker")

NUMBER = re.compile(r'<a href="(/console/ledger/[^"]+)">(\d+)')


def mails_at(tenant: Tenant, *mails: tuple[int, Verdict, Verdict | None]) -> None:
    """Each with its number and what the gateway and the mailbox layer say; None: it was held."""
    seen = [each for mail in mails for each in seen_of(tenant, *mail)]
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        record(seen)
        make_sense_of_backlog(tenant)


def seen_of(
    tenant: Tenant, number: int, gateway: Verdict, mailbox: Verdict | None
) -> list[Observation]:
    whom, ulid = f"cfo@{tenant.slug}.example", f"01J000000000000000{tenant.id:04d}{number:04d}"
    common = {
        "mail": mail_json(subject=f"<i>Invoice</i> {number}"),
        "internet_message_id": f"<{number}.{tenant.slug}@evil.example>",
        "fingerprint": f"{tenant.id}{number}".rjust(32, "0"),
    }
    held = {"action": Outcome.HELD, "place": Place.HOLD} if mailbox is None else {}
    seen = [gateway_saw(tenant, whom, ulid=ulid, verdict=gateway, **common, **held)]
    if mailbox is not None:
        seen.append(mailbox_saw(tenant, whom, trace_ulid=ulid, verdict=mailbox, **common))
    return seen


@pytest.fixture
def ana(cast: Cast) -> Client:
    for tenant in (cast.acme, cast.globex):
        mails_at(
            tenant,
            (1, Verdict.PHISH, None),
            (2, Verdict.PHISH, None),
            (3, Verdict.CLEAN, Verdict.BEC),
            (4, Verdict.PHISH, Verdict.PHISH),
            (5, Verdict.CLEAN, Verdict.CLEAN),
        )
    client = Client()
    client.force_login(cast.ana)
    return client


@pytest.mark.parametrize(("query", "threats"), [("", 8), ("?client=acme", 4), ("?client=x", 0)])
def test_every_number_opens_to_its_mails(ana: Client, query: str, threats: int):
    page = ana.get(reverse("ledger") + query).content.decode()
    numbers = NUMBER.findall(page)
    assert (numbers[0][1]) == str(threats)
    for address, number in numbers:
        listed = ana.get(unescape(address)).content.decode()
        assert listed.count("<tr data-row") == int(number), address
        assert "<i>Invoice</i>" not in listed


def test_who_was_later_is_said(ana: Client):
    page = ana.get(reverse("ledger")).content.decode()
    assert "the mailbox layer after the gateway: half within" in page


def test_a_day_without_mail_and_one_that_is_none(ana: Client):
    empty = ana.get(reverse("ledger"), {"from": "2026-01-01", "to": "2026-01-02"})
    assert ">0 threats</a>" in empty.content.decode()
    assert ana.get(reverse("ledger"), {"from": "soon"}).status_code == 400
    assert ana.get(reverse("ledger_figure", args=["nothing"])).status_code == 404


def test_the_periods_page_leads_on(ana: Client, cast: Cast):
    mails_at(cast.acme, *((number, Verdict.SPAM, None) for number in range(10, 65)))
    address = reverse("ledger_figure", args=["gateway_only_unseen"]) + "?client=acme"
    first = ana.get(address).content.decode()
    older = re.search(r'href="(\?[^"]*cursor=[^"]+)"', first)
    assert older is not None
    assert first.count("<tr data-row") == 50
    second = ana.get(address.partition("?")[0] + unescape(older[1])).content.decode()
    assert second.count("<tr data-row") == 7
