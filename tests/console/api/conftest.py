from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from tests.console.api.caller import Caller
from tests.isolation.conftest import db, world
from tests.isolation.surfaces import surface
from tests.isolation.world import World

__all__ = ["db", "world"]


@pytest.fixture
def console(world: World) -> Iterator[None]:
    """The process behind port 8000, with its login."""
    with surface("console"):
        yield


@pytest.fixture
def undone(console: None) -> Iterator[None]:
    """What a test does is taken back: all tests here share one world."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def mo(console: None, world: World) -> Caller:
    """A lead's program: all clients."""
    return Caller(world.tokens["mo"])


@pytest.fixture
def bo(console: None, world: World) -> Caller:
    """An analyst's program: Acme only."""
    return Caller(world.tokens["bo"])


@pytest.fixture
def schema(mo: Caller) -> dict[str, Any]:
    answer = mo.ask("GET", "schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    found: dict[str, Any] = answer.json()
    return found
