"""What people and mail hosts say of a mail finds its copy, and tells nothing of the mail's way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from incidents.models import Backlog, Delivery, Sighting
from incidents.observations import Observation
from incidents.words import Layer, Verdict
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.identity_mails import (
    AT,
    INFO,
    IT,
    Letter,
    box,
    copies,
    gate,
    run_out_of_patience,
    take,
    ulid,
)

LETTER = Letter()


@pytest.fixture
def acme(cast: Cast) -> Iterator[Tenant]:
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield cast.acme


def said(tenant: Tenant, **changes: Any) -> Observation:
    values: dict[str, Any] = {
        "tenant_id": tenant.id,
        "layer": Layer.PERSON,
        "source": "person:1",
        "source_key": "report-1",
        "observed_at": AT.replace(hour=15),
        "recipient": INFO,
        "verdict": Verdict.PHISH,
    }
    return Observation(**values | changes)


def copy_of(seen: Observation) -> Delivery | None:
    sighting = Sighting.objects.select_related("delivery").filter(observed_at=seen.observed_at)
    found = sighting.first()
    return found.delivery if found else None


@pytest.fixture
def shown(acme: Tenant) -> Delivery:
    traced = LETTER.passed(acme, ulid(1)).bytes()
    take(acme, gate(acme, LETTER.bytes(), INFO), box(acme, traced, INFO, "i1"))
    return copies()["i1"]


@pytest.mark.parametrize("layer", [Layer.PERSON, Layer.VENDOR])
@pytest.mark.parametrize("by", ["delivery", "item", "message id", "message id alone", "trace"])
def test_a_word_finds_its_copy(acme: Tenant, shown: Delivery, layer: Layer, by: str):
    ways: dict[str, dict[str, Any]] = {
        "delivery": {"detail": {"delivery_id": str(shown.id)}, "recipient": ""},
        "item": {"mailbox_item_id": "i1"},
        "message id": {"internet_message_id": LETTER.message_id},
        "message id alone": {"internet_message_id": LETTER.message_id, "recipient": ""},
        "trace": {"trace_ulid": ulid(1)},
    }
    word = said(acme, layer=layer, **ways[by])
    take(acme, word)
    assert copy_of(word) == shown
    assert not Backlog.objects.exists()


def test_a_word_waits_for_the_layers_and_then_stands_alone_without_a_bypass(acme: Tenant):
    word = said(acme, internet_message_id=LETTER.message_id)
    take(acme, word)
    assert copy_of(word) is None
    assert Backlog.objects.get().wait_until is not None
    run_out_of_patience(acme)
    copy = copy_of(word)
    assert copy is not None
    assert (copy.match, copy.is_bypass, copy.outcome) == ("one_layer", False, "unknown")
    assert not Backlog.objects.exists()


def test_a_word_that_came_before_the_mail_finds_it_later(acme: Tenant):
    word = said(acme, internet_message_id=LETTER.message_id)
    take(acme, word)
    take(acme, gate(acme, LETTER.bytes(), INFO))
    run_out_of_patience(acme)
    assert copy_of(word) == copies()[INFO]
    assert Delivery.objects.count() == 1


def test_a_word_that_fits_several_mails_takes_none(acme: Tenant):
    other = replace(LETTER, subject="Minutes", text="Nothing of that was said. " * 9)
    take(acme, gate(acme, LETTER.bytes(), INFO), gate(acme, other.bytes(), INFO, 2))
    word = said(acme, internet_message_id=LETTER.message_id)
    take(acme, word)
    run_out_of_patience(acme)
    copy = copy_of(word)
    assert copy is not None
    assert (copy.match, copy.match_reason) == ("ambiguous", "2 mails fit what was said.")


def test_of_several_mails_the_content_tells(acme: Tenant):
    other = replace(LETTER, subject="Minutes", text="Nothing of that was said. " * 9)
    second = gate(acme, other.bytes(), INFO, 2)
    take(acme, gate(acme, LETTER.bytes(), INFO), second)
    word = said(acme, internet_message_id=LETTER.message_id, fingerprint=second.fingerprint)
    take(acme, word)
    copy = copy_of(word)
    assert copy is not None
    assert copy.message.trace_ulid == ulid(2)


@pytest.mark.parametrize("named", ["", "no id", "01930000-0000-0000-0000-000000000000"])
def test_a_word_about_nothing_known_is_no_error(acme: Tenant, shown: Delivery, named: str):
    word = said(acme, recipient=IT, detail={"delivery_id": named})
    take(acme, word)
    run_out_of_patience(acme)
    assert copy_of(word) not in (None, shown)


def test_a_copy_of_another_client_cannot_be_named(cast: Cast, acme: Tenant, shown: Delivery):
    word = said(cast.globex, recipient="info@globex.example", detail={"delivery_id": str(shown.id)})
    take(cast.globex, word)
    run_out_of_patience(cast.globex)
    with tenant_scope(Role.WORKER, [cast.globex.id]):
        assert copy_of(word) != shown
    assert Delivery.objects.count() == 1
