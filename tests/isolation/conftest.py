from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from pytest_django import DjangoDbBlocker

from tests.isolation.world import World, make_world


@pytest.fixture(scope="package")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Both clients, committed: tests here sign in as the real logins, over connections of theirs.

    A test that changes something does it in a transaction that it rolls back.
    """
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    with django_db_blocker.unblock():
        try:
            yield make_world()
        finally:
            call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def db(world: World) -> None:
    """Instead of pytest-django's: no transaction around a test, for it would hide the rows."""
