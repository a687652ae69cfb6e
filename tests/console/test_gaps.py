"""Found late: every number opens its list, on the page and in the API."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.urls import reverse
from django.utils import timezone

from api_bridge.models import Connection, MailboxSync, NightReading, SeenItem
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.incidents.test_disagreements import INFO, IT

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def late(cast):
    """Three mails in INFO's mailbox that no push announced, one in IT's that a reading missed."""
    now = timezone.now()
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        connection = Connection.objects.create(tenant=cast.acme, kind="graph")
        for address, kind, n in ((INFO, "unannounced", 3), (IT, "missed", 1)):
            mailbox = Mailbox.objects.get(address=address)
            MailboxSync.objects.create(
                tenant=cast.acme, mailbox=mailbox, connection=connection, due_at=now,
                push_began_at=now, push_expires_at=now + timedelta(days=1),
            )  # fmt: skip
            for number in range(n + 1):
                SeenItem.objects.create(
                    tenant=cast.acme, mailbox=mailbox, item_id=f"{kind}{number}", place="inbox",
                    is_read=False, received_at=now, found_at=now, gap=kind if number else "",
                )  # fmt: skip


def test_each_number_opens_the_mails_behind_it(client, cast, late):
    client.force_login(cast.ana)
    text = client.get(reverse("client_gaps", args=["acme"])).content.decode()
    listed = reverse("client_gaps_list", args=["acme", "unannounced"])
    assert f'href="{listed}">3</a>' in text
    assert "2 of 2 mailboxes are announced by push" in text
    rows = client.get(listed, {"mailbox": INFO}).content.decode()
    assert rows.count("not told of yet") == 3
    assert client.get(listed, {"mailbox": IT}).content.decode().count("not told of yet") == 0
    assert client.get(reverse("client_gaps_list", args=["acme", "x"])).status_code == 404


@pytest.fixture
def nights(cast, late):
    """INFO's was read and found one with an old date; IT's waits, and says why."""
    now = timezone.now()
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        connection = Connection.objects.get(tenant=cast.acme)
        boxes = {address: Mailbox.objects.get(address=address) for address in (INFO, IT)}
        NightReading.objects.create(
            tenant=cast.acme, mailbox=boxes[INFO], connection=connection, due_at=now,
            read_at=now, whole_at=now, imported=1,
        )  # fmt: skip
        NightReading.objects.create(
            tenant=cast.acme, mailbox=boxes[IT], connection=connection, due_at=now,
            last_error="The provider answered 403.",
        )  # fmt: skip
        SeenItem.objects.create(
            tenant=cast.acme, mailbox=boxes[INFO], item_id="old", place="inbox", is_read=False,
            received_at=now - timedelta(days=700), found_at=now, gap="imported",
        )  # fmt: skip


def test_the_page_says_when_the_last_night_was_and_what_it_found(client, cast, nights):
    client.force_login(cast.ana)
    text = client.get(reverse("client_gaps", args=["acme"])).content.decode()
    listed = reverse("client_gaps_list", args=["acme", "imported"])
    assert f'href="{listed}">1</a>' in text
    assert "1 of 2" in text
    assert "found 1 mail that was not known" in text
    assert text.index("The provider answered 403.") < text.index(f"{listed}?mailbox={quote(INFO)}")
    (since,) = re.findall(rf'{re.escape(listed)}\?mailbox=[^"]*&amp;since=([^"]*)"', text)
    rows = client.get(f"{listed}?since={since}").content.decode()
    assert rows.count("not told of yet") == 1
    assert client.get(listed, {"since": "2099-01-01T00:00:00Z"}).content.count(b"not told") == 0
    assert client.get(listed, {"since": "yesterday"}).status_code == 400
    rows = client.get(listed, {"mailbox": INFO}).content.decode()
    assert "that somebody put there with an old date" in rows
    assert rows.count("not told of yet") == 1
    said = client.get("/api/v1/tenants/acme/found-late").json()
    assert said["imported"] == 1
    assert (said["nights"]["mailboxes"], said["nights"]["read"], said["nights"]["found"]) == (
        2, 1, 1,
    )  # fmt: skip
    assert [row["mailbox"] for row in said["nights"]["rows"]] == [IT, INFO]


def test_before_the_first_night_the_page_says_what_it_is_for(client, cast, late):
    client.force_login(cast.ana)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        NightReading.objects.create(
            tenant=cast.acme, mailbox=Mailbox.objects.get(address=INFO), due_at=timezone.now(),
            connection=Connection.objects.get(tenant=cast.acme),
        )  # fmt: skip
    text = client.get(reverse("client_gaps", args=["acme"])).content.decode()
    assert "No mailbox was read through yet" in text
    assert "still being learnt" in text


def test_a_client_without_mailbox_layer_is_told_what_to_do(client, cast):
    client.force_login(cast.ana)
    text = client.get(reverse("client_gaps", args=["acme"])).content.decode()
    assert "No mailbox is read" in text


def test_the_api_says_the_same(client, cast, late):
    client.force_login(cast.ana)
    said = client.get("/api/v1/tenants/acme/found-late").json()
    assert (said["unannounced"], said["missed"], said["mailboxes"]) == (3, 1, 2)
    assert [row["address"] for row in said["rows"]] == [INFO, IT]
    found = client.get("/api/v1/tenants/acme/found-late/missed").json()
    assert [row["mailbox"] for row in found["results"]] == [IT]
    assert client.get("/api/v1/tenants/acme/found-late/x").status_code == 404
    assert client.get("/api/v1/tenants/acme/found-late/missed?tenant=x").status_code == 400


def test_another_clients_numbers_are_not_there(client, cast, late):
    client.force_login(cast.bo)
    assert client.get(reverse("client_gaps", args=["globex"])).status_code == 404
    assert client.get("/api/v1/tenants/globex/found-late").status_code == 404
