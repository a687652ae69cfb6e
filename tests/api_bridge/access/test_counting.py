"""Joiners and leavers by the hourly list, and what is counted for a month."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest

from api_bridge.access.counting import month_counts
from api_bridge.connectors import Mailbox as Listed
from api_bridge.connectors import MailboxState
from api_bridge.listing import store_mailboxes
from api_bridge.models import Connection, MailboxDay, MailboxMove
from console.lib.exports import counts_csv
from console.queries.access import counts_asked
from tenants.errors import WrongInput
from tenants.scope import Role, tenant_scope


def listed(*names, licences=1, **changes):
    return [
        Listed(id=name, address=f"{name}@acme.example", licences=licences, **changes)
        for name in names
    ]


@pytest.fixture
def acme(cast):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield Connection.objects.create(
            tenant=cast.acme,
            cloud_tenant_id="t",
            authority_url="https://login.example",
            api_url="https://graph.example",
        )


def moves():
    return sorted(MailboxMove.objects.values_list("kind", "address"))


def test_the_first_list_shows_who_is_there_and_later_ones_who_came_and_went(acme):
    store_mailboxes(acme.id, listed("info", "ceo"))
    assert moves() == []
    store_mailboxes(acme.id, listed("info", "new"))
    store_mailboxes(acme.id, listed("info", "new"))
    assert moves() == [("joined", "new@acme.example"), ("left", "ceo@acme.example")]
    store_mailboxes(acme.id, listed("info", "new", "ceo"))
    assert ("joined", "ceo@acme.example") in moves()


def test_a_user_without_a_mailbox_neither_joins_nor_counts(acme):
    store_mailboxes(acme.id, listed("info"))
    guest = listed("guest", state=MailboxState.NO_MAILBOX, licences=0)
    store_mailboxes(acme.id, [*listed("info"), *guest])
    assert moves() == []
    assert MailboxDay.objects.values_list("mailboxes", "licensed").get() == (1, 1)


def test_the_most_of_a_day_and_of_a_month_stand(acme):
    store_mailboxes(acme.id, listed("info", "ceo", "cfo"))
    store_mailboxes(acme.id, listed("info", "ceo"))
    assert MailboxDay.objects.get().mailboxes == 3
    MailboxDay.objects.all().delete()
    for day, n, licensed in ((1, 5, 4), (30, 7, None)):
        MailboxDay.objects.create(
            tenant_id=acme.tenant_id, day=date(2026, 9, day), mailboxes=n, licensed=licensed
        )
    MailboxDay.objects.create(tenant_id=acme.tenant_id, day=date(2026, 10, 1), mailboxes=6)
    counted = month_counts(date(2026, 9, 1), date(2026, 10, 31))
    assert [(each.month, each.mailboxes, each.licensed, each.days) for each in counted] == [
        (date(2026, 9, 1), 7, 4, 2),
        (date(2026, 10, 1), 6, None, 1),
    ]


def test_several_hosts_of_one_client_are_added_up(acme):
    other = Connection.objects.create(
        tenant=acme.tenant,
        kind=Connection.Kind.IMAP,
        cloud_tenant_id="imap.acme.example",
    )
    store_mailboxes(acme.id, listed("info", "ceo"))
    store_mailboxes(other.id, listed("a", "b", "c", licences=None))
    assert MailboxDay.objects.values_list("mailboxes", "licensed").get() == (5, 2)
    store_mailboxes(acme.id, listed("info"))
    store_mailboxes(other.id, listed("a", licences=None))
    assert MailboxDay.objects.values_list("mailboxes", "licensed").get() == (5, 2)
    store_mailboxes(acme.id, listed("info", "ceo", "cfo"))
    assert MailboxDay.objects.values_list("mailboxes", "licensed").get() == (6, 3)


def test_mailboxes_outside_the_clients_domains_are_not_billed_and_said_apart(acme):
    others = [Listed(id=name, address=f"{name}@other.example", licences=1) for name in "ab"]
    guest = Listed(id="g", address="g@other.example", state=MailboxState.NO_MAILBOX)
    store_mailboxes(acme.id, [*listed("info", "ceo"), *others, guest])
    store_mailboxes(acme.id, [*listed("info"), others[0]])
    (counted,) = month_counts(date(2026, 1, 1), date(2999, 1, 1))
    assert (counted.mailboxes, counted.licensed, counted.outside) == (2, 2, 2)
    (line,) = csv.DictReader(io.StringIO(counts_csv([counted]).decode("utf-8-sig")))
    assert (line["mailboxes"], line["outside"]) == ("2", "2")


def test_of_a_client_without_its_domain_it_is_said_that_all_are_outside(acme):
    store_mailboxes(acme.id, [Listed(id="a", address="a@other.example")])
    assert MailboxDay.objects.values_list("mailboxes", "outside").get() == (0, 1)


@pytest.mark.parametrize("asked", [("2026-13", ""), ("x", ""), ("2027-01", "2026-01")])
def test_a_month_that_is_none_is_refused(acme, asked):
    first, last = asked
    with pytest.raises(WrongInput):
        counts_asked(first, last, "")
