"""How common a thing is over all of a client's mail, benign mail first of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from incidents.campaigns.traits import make_trait
from incidents.models import Incident, TraitCount
from incidents.prevalence import FORGOTTEN_AFTER, counts_of, total_messages
from incidents.tasks import forget_rare_traits
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.identity_mails import INFO, IT, Letter, box, gate, take, ulid

LETTER = Letter()
HOST = make_trait("url_host", "partner.example")
SENDER = make_trait("sender", "eve@partner.example")
UNKNOWN = make_trait("url_host", "never-seen.example")


@pytest.fixture
def acme(cast: Cast) -> Iterator[Tenant]:
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield cast.acme


def count(tenant: Tenant, *traits: object) -> list[int]:
    return list(counts_of(tenant.id, list(traits)).values())  # type: ignore[arg-type]


def test_benign_mail_counts_and_a_message_counts_once(acme: Tenant):
    traced = LETTER.passed(acme, ulid(1)).bytes()
    copies = [gate(acme, LETTER.bytes(), to) for to in (INFO, IT)]
    shown = [box(acme, traced, to, f"of-{to}") for to in (INFO, IT)]
    again = box(acme, traced, INFO, "a second copy")
    take(acme, copies, shown, again, [replace(one, source="gate:mx2") for one in copies])
    assert not Incident.objects.exists()
    assert count(acme, HOST, SENDER, UNKNOWN) == [1, 1, 0]
    assert total_messages() == 1


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_every_message_adds_one(acme: Tenant, in_one_batch: bool):
    letters = [
        replace(LETTER, message_id=f"<{number}@x.example>", sender=f"{number}@partner.example")
        for number in range(3)
    ]
    seen = [gate(acme, each.bytes(), INFO, number) for number, each in enumerate(letters, start=1)]
    take(acme, *([seen] if in_one_batch else seen))
    assert count(acme, HOST, make_trait("sender", "1@partner.example")) == [3, 1]
    assert total_messages() == 3


def test_a_mail_whose_facts_come_later_is_counted_then(acme: Tenant):
    account = gate(acme, LETTER.bytes(), INFO)
    take(acme, replace(account, mail={}, source_key="status"))
    assert total_messages() == 0
    take(acme, account)
    assert (total_messages(), count(acme, HOST)) == (1, [1])


def test_a_client_counts_its_own_mail_only(acme: Tenant, cast: Cast):
    take(acme, gate(acme, LETTER.bytes(), INFO))
    with tenant_scope(Role.WORKER, [cast.globex.id]):
        assert (total_messages(), count(acme, HOST)) == (0, [0])
    with tenant_scope(Role.ANALYST, [cast.acme.id, cast.globex.id]):
        assert (total_messages(), count(acme, HOST), count(cast.globex, HOST)) == (1, [1], [0])


def test_what_was_rare_and_long_ago_is_forgotten(cast: Cast):
    old = timezone.now() - FORGOTTEN_AFTER - timedelta(days=1)
    take(cast.acme, gate(cast.acme, LETTER.bytes(), INFO))
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        TraitCount.objects.update(last_seen_at=old)
        TraitCount.objects.filter(kind="sender").update(messages=3)
        TraitCount.objects.filter(kind="url_host").update(last_seen_at=timezone.now())
    forget_rare_traits()
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        assert count(cast.acme, HOST, SENDER) == [1, 3]
        assert total_messages() == 1
        kinds = set(TraitCount.objects.values_list("kind", flat=True))
    assert kinds == {"message", "sender", "url_host"}
