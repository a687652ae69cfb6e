"""The sending host's name, and telling a dead resolver from a name that nobody knows."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from seg_bridge.engines.names import Names
from tests.seg_bridge.engines.dns import TableLookup, dns_server

TABLE = {
    ("10.2.0.192.in-addr.arpa", "PTR"): ("mail.nordvent.example",),
    ("mail.nordvent.example", "A"): ("192.0.2.10",),
    ("11.2.0.192.in-addr.arpa", "PTR"): ("mail.nordvent.example",),
}


@contextlib.contextmanager
def silent_server() -> Iterator[tuple[str, int]]:
    """Takes what comes and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        yield server.getsockname()


def closed_port() -> tuple[str, int]:
    with silent_server() as place:
        return place


@pytest.fixture
def names():
    made: list[Names] = []

    def make(*arguments, **options) -> Names:
        made.append(Names(*arguments, probe_timeout_s=0.2, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.10", "mail.nordvent.example"),
        ("192.0.2.11", "unknown"),  # its name leads to another host
        ("192.0.2.12", "unknown"),
        ("2001:db8::1", "unknown"),
    ],
)
async def test_a_hosts_name_counts_where_it_leads_back_to_it(names, address, name):
    assert await names(None, lookup=TableLookup(TABLE)).of_client(address) == name


async def test_where_the_resolver_does_not_say_the_name_is_not_called_unknown(names):
    lookup = TableLookup(TABLE, broken=frozenset({"*"}))
    assert await names(None, lookup=lookup).of_client("192.0.2.10") == ""


async def test_a_resolver_that_knows_nothing_lives(names):
    with dns_server({}, asked=[]) as server:
        assert await names(server).lives()


async def test_a_resolver_is_dead_that_hangs_has_ended_or_only_fails(names):
    with silent_server() as silent:
        assert not await names(silent).lives()
    assert not await names(closed_port()).lives()
    with dns_server({(".", "NS"): ("SERVFAIL",)}, asked=[]) as failing:
        assert not await names(failing).lives()
