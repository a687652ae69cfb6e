"""Users without a mailbox, shared and room mailboxes, and one that comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from api_bridge.models import Connection, MailboxDay, MailboxMove, MailboxSync
from tenants.models import Mailbox
from tests.api_bridge.sync.conftest import Client


def user(client: Client, name: str, **more: Any) -> dict[str, Any]:
    return {"mail": client.company.mail(name), "display_name": name.title(), **more}


def put(client: Client, *users: dict[str, Any]) -> None:
    company = client.company
    wanted = {"domain": company.domain, "users": list(users)}
    company.cloud.admin("PUT", f"tenants/{company.tenant_id}", wanted)


def listed(client: Client) -> None:
    with client.scope():
        Connection.objects.update(list_due_at=Connection.objects.get().created_at)
    client.sync()


def state(client: Client, name: str) -> str:
    with client.scope():
        return str(Mailbox.objects.get(address=client.company.mail(name)).state)


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"purpose": "shared"}, "active"),
        ({"purpose": "room"}, "active"),
        ({"purpose": "equipment"}, "active"),
        ({"account_enabled": False}, "active"),
        ({"has_mailbox": False}, "no_mailbox"),
        ({"has_mailbox": False, "user_type": "Guest"}, "no_mailbox"),
    ],
)
def test_each_kind_of_mailbox_is_read_if_there_is_one(
    connect: Callable[[str], Client], more: dict[str, Any], wanted: str
):
    client = connect("delta")
    put(client, user(client, "desk", **more))
    client.sync()
    if wanted == "active":
        client.company.receive("desk")
        client.sync()
        assert [seen.recipient for seen in client.observations()] == [client.company.mail("desk")]
    assert state(client, "desk") == wanted
    with client.scope():
        assert Connection.objects.get().state == Connection.State.ACTIVE
        # A user without one is no error of the layer, and is asked again in a day.
        row = MailboxSync.objects.get(mailbox__address=client.company.mail("desk"))
        assert (row.failures > 0) is (wanted != "active")
        assert {box.state for box in Mailbox.objects.exclude(id=row.mailbox_id)} == {"active"}


def test_a_mailbox_that_comes_and_goes_misses_nothing_and_is_no_joiner_twice(client_: Client):
    ana = {"id": client_.company.ids["ana"]}
    first = client_.company.receive("ana")
    client_.sync()
    for _ in range(2):
        put(client_, user(client_, "ana", **ana, has_mailbox=False))
        listed(client_)
        assert state(client_, "ana") == "no_mailbox"
        put(client_, user(client_, "ana", **ana))
        listed(client_)
        assert state(client_, "ana") == "active"
    second = client_.company.receive("ana")
    client_.sync()
    seen = [each.internet_message_id for each in client_.observations()]
    assert seen == [first, second], "each once"
    with client_.scope():
        assert not MailboxMove.objects.exists(), "neither left nor joined"
        assert MailboxSync.objects.filter(mailbox__address=client_.company.mail("ana")).count() == 1
        assert MailboxDay.objects.get().mailboxes == 3


def test_a_mailbox_that_is_gone_from_the_list_comes_back_as_itself(client_: Client):
    with client_.scope():
        before = Mailbox.objects.get(address=client_.company.mail("ana")).id
        Mailbox.objects.filter(id=before).update(state="gone")
    listed(client_)
    assert state(client_, "ana") == "active"
    with client_.scope():
        assert Mailbox.objects.get(address=client_.company.mail("ana")).id == before
        moves = list(MailboxMove.objects.values_list("kind", flat=True))
    assert moves == ["joined"]
