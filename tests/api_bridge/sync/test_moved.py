"""Where a mail lies, and whether it was read, follows what its mailbox lists, whatever was told or
done in between.
"""

from __future__ import annotations

from datetime import datetime

import pytest
from django.utils import timezone

from api_bridge import known
from incidents.intake import record
from incidents.observations import Observation
from incidents.words import Layer, Place
from tests.api_bridge.sync.conftest import Client

ARCHIVE, DELETED = "archive", "deleteditems"


def move(client: Client, folder: str) -> None:
    (mail,) = client.company.mails("ana")
    address = f"users/{client.company.mail('ana')}/messages/{mail['id']}/move"
    client.company.post(address, {"destinationId": folder})


def place(client: Client) -> str:
    (copy,) = client.deliveries()
    return copy.place


def tell(client: Client, item_id: str, shown: Place, at: datetime) -> None:
    """As the check after one of our own moves tells."""
    with client.scope():
        record([
            Observation(
                tenant_id=client.tenant.id, layer=Layer.MAILBOX, source="check", source_key="1/1",
                observed_at=at, recipient=client.company.mail("ana"), mailbox_item_id=item_id,
                place=shown, is_read=False,
            )
        ])  # fmt: skip


@pytest.fixture
def client(inside) -> Client:
    """One mail in ana's archive, told and made sense of."""
    made: Client = inside.connect("moved", ("ana",))
    made.sync()
    made.company.receive("ana")
    move(made, ARCHIVE)
    made.sync()
    assert place(made) == Place.ARCHIVE
    return made


@pytest.mark.parametrize("most_waiting", [known.MOST_WAITING, 0])
def test_a_mail_that_is_back_before_its_move_was_made_sense_of(client, monkeypatch, most_waiting):
    monkeypatch.setattr(known, "MOST_WAITING", most_waiting)
    move(client, DELETED)
    client.sync()
    move(client, ARCHIVE)
    client.sync()
    assert place(client) == Place.ARCHIVE


def test_a_mail_that_was_taken_out_before_the_list_showed_our_own_move(client):
    (seen,) = client.observations()
    tell(client, seen.mailbox_item_id, Place.QUARANTINE, timezone.now())
    assert place(client) == Place.QUARANTINE
    client.sync()
    assert place(client) == Place.ARCHIVE


def test_what_a_copy_shows_already_is_not_told_again(client):
    (seen,) = client.observations()
    move(client, DELETED)
    tell(client, seen.mailbox_item_id, Place.DELETED, timezone.now())
    assert place(client) == Place.DELETED
    before = len(client.observations())
    for _ in range(2):
        client.sync()
    assert len(client.observations()) == before
    assert place(client) == Place.DELETED
