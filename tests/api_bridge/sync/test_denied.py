"""The mail host gives tokens and lists people, and refuses their mail: an access policy, a role
scope (trap 14).  Some mailboxes, or all of them: nobody goes blind in silence.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from api_bridge.access.work import serve_access
from api_bridge.errors import AccessDenied
from api_bridge.models import Connection
from api_bridge.runtime import connector_of
from incidents.models import Finding, Incident
from tenants.doors import ClaimedWork
from tenants.models import Mailbox, Work
from tests.api_bridge.sync.conftest import change_lists

PEOPLE = ("ana", "bo", "cfo")
DENIED = AccessDenied("The provider answered 403.", code="ErrorAccessDenied", status=403)


@pytest.fixture(params=["graph", "google"])
def client_(inside, request):
    connect = inside.connect if request.param == "graph" else inside.connect_google
    made = connect("delta")
    made.sync()
    return made


def refuse(client, monkeypatch, *names: str) -> None:
    addresses = {client.company.mail(name) for name in names}
    with client.scope():
        boxes = Mailbox.objects.filter(address__in=addresses)
        ids = set(boxes.values_list("external_id", flat=True))

    def change(mailbox_id, ask):
        if mailbox_id in ids:
            raise DENIED
        return ask()

    change_lists(connector_of(client.wired()), monkeypatch, change)


def watched(client) -> list[str]:
    """What stands of the client's access, after a look at it."""
    serve_access(ClaimedWork(client.tenant.id, client.tenant.provider_id, 1))
    with client.scope():
        return list(
            Finding.objects.filter(code="refused", settled_at=None).values_list("words", flat=True)
        )


def connection(client) -> Connection:
    with client.scope():
        return Connection.objects.get()


def look_again(client) -> None:
    with client.scope():
        Connection.objects.update(list_due_at=timezone.now())
    client.sync()


def test_where_every_mailbox_is_refused_the_layer_is_blind_until_one_is_read(client_, monkeypatch):
    refuse(client_, monkeypatch, *PEOPLE)
    told = {client_.company.receive(name) for name in PEOPLE}
    client_.sync()
    row = connection(client_)
    assert (row.state, row.last_error) == ("needs_consent", str(DENIED))
    since = row.blind_since
    assert since is not None
    assert row.list_due_at <= timezone.now() + timedelta(minutes=3)
    look_again(client_)  # people are still listed: that is no sight of their mail
    assert connection(client_).blind_since == since
    monkeypatch.undo()
    look_again(client_)
    assert connection(client_).blind_since is None
    assert {each.internet_message_id for each in client_.observations()} == told


def test_some_refused_mailboxes_are_one_health_incident_until_they_are_read(client_, monkeypatch):
    assert watched(client_) == []
    refuse(client_, monkeypatch, "ana", "bo")
    with client_.scope():
        Work.objects.filter(queue="access").update(wanted_at=None)
    for _ in range(2):
        client_.sync()
    assert connection(client_).blind_since is None
    with client_.scope():
        assert Work.objects.filter(queue="access").exclude(wanted_at=None).exists()
    (words,) = watched(client_)
    assert all(client_.company.mail(name) in words for name in ("ana", "bo"))
    assert client_.company.mail("cfo") not in words
    assert watched(client_) == [words]
    with client_.scope():
        incident = Incident.objects.get(finding="refused")
    monkeypatch.undo()
    client_.sync()
    assert watched(client_) == []
    with client_.scope():
        assert Incident.objects.get(id=incident.id).state == Incident.State.RESOLVED
