"""A mail to an alias is one copy, whatever name each layer gives it."""

from __future__ import annotations

import pytest

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Delivery
from incidents.words import Place
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mailbox_saw

INFO, ALIAS = "info@acme.example", "hello@acme.example"


@pytest.fixture
def aliased(cast: Cast) -> Cast:
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        Mailbox.objects.filter(address=INFO).update(aliases=[ALIAS])
    return cast


def take(cast: Cast, *seen) -> list[Delivery]:
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        for each in seen:
            record([each])
            make_sense_of_backlog(cast.acme)
        return list(Delivery.objects.order_by("recipient"))


@pytest.mark.parametrize("mailbox_first", [False, True])
def test_a_mail_to_an_alias_is_one_copy_in_either_order(aliased: Cast, mailbox_first: bool):
    seen = [
        gateway_saw(aliased.acme, ALIAS),
        mailbox_saw(aliased.acme, INFO, item="i1"),
        mailbox_saw(aliased.acme, INFO, item="i1", place=Place.JUNK, verdict=None),
    ]
    if mailbox_first:
        seen = [seen[1], seen[0], seen[2]]
    (delivery,) = take(aliased, *seen)
    assert (delivery.match, delivery.is_bypass) == ("strong", False)
    assert (delivery.mailbox_item_id, delivery.place) == ("i1", Place.JUNK)
    assert delivery.gateway_verdict == delivery.mailbox_verdict == "clean"


def test_without_a_trace_the_alias_is_found_by_the_message_id(aliased: Cast):
    seen = mailbox_saw(aliased.acme, INFO, item="i1", trace_state="missing", trace_ulid="")
    (delivery,) = take(aliased, gateway_saw(aliased.acme, ALIAS), seen)
    assert (delivery.match, delivery.recipient) == ("weak", ALIAS)


def test_an_address_of_another_mailbox_is_another_copy(aliased: Cast):
    found = take(
        aliased,
        gateway_saw(aliased.acme, "it@acme.example"),
        mailbox_saw(aliased.acme, INFO, item="i1"),
    )
    assert [copy.match for copy in found] == ["pending", "one_layer"]
