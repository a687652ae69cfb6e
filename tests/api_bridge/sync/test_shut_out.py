"""A mail host that is there, and that Bailey may not call or does not trust: people are told what
to do, and never that it does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from api_bridge.models import Connection
from api_bridge.runtime import close_connectors, shared_runtime
from api_bridge.sight import mailbox_blindness
from tests.api_bridge.sync.conftest import Client, make_google_client


@pytest.fixture(params=["graph", "google"])
def client_(request, cast, cloud, connect) -> Iterator[Client]:
    if request.param == "graph":
        made: Client = connect("delta")
    else:
        made = make_google_client(cast, cloud, "delta")
    made.sync()
    assert told(made) == ("active", "")
    yield made
    made.company.close()


def told(client: Client) -> tuple[str, str]:
    """The connection's state, and why people are told that it cannot be read."""
    with client.scope():
        blind = mailbox_blindness(client.tenant.id)
        return Connection.objects.get().state, blind.why if blind else ""


def change(client: Client, **values: Any) -> None:
    """As after a restart: no connection from before stands."""
    close_connectors()
    shared_runtime.cache_clear()
    with client.scope():
        Connection.objects.update(**values)


def test_a_certificate_that_is_not_accepted_is_named_and_mended(client_, cloud):
    with client_.scope():
        ca_file = Connection.objects.get().ca_file
    change(client_, ca_file="")
    client_.sync()
    state, why = told(client_)
    assert (state, "certificate is not accepted" in why) == ("not_trusted", True)
    assert "renews it" in why
    with client_.scope():
        error = Connection.objects.get().last_error
    assert "unable to get local issuer certificate" in error
    assert "127.0.0.1" in error

    change(client_, ca_file=ca_file, list_due_at=client_.connection.created_at)
    client_.sync()
    assert told(client_) == ("active", "")


def test_an_address_that_may_not_be_called_is_named(client_, settings):
    settings.OUTGOING_HOSTS = []
    change(client_)
    client_.sync()
    state, why = told(client_)
    assert (state, "may not call the mail host's address" in why) == ("not_allowed", True)
    assert "whoever runs Bailey allows it" in why
    with client_.scope():
        assert "BAILEY_OUTGOING_HOSTS" in Connection.objects.get().last_error
