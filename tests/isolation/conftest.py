from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from console import presence
from console.queries import opened
from tests.isolation.world import World, make_world


@pytest.fixture(scope="package")
def world(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """Both clients, committed: tests here sign in as the real logins, over connections of theirs.

    A test that changes something does it in a transaction that it rolls back.  The world outlives
    what ends by itself within minutes: on a slow machine the last test comes late.
    """
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    # The next world's clients have the same numbers and other keys.
    evidence = override_settings(EVIDENCE_DIR=tmp_path_factory.mktemp("evidence"))
    lasting = pytest.MonkeyPatch.context()
    with lasting as patch, evidence, django_db_blocker.unblock():
        patch.setattr(opened, "VALID_FOR", timedelta(hours=3))
        patch.setattr(presence, "SEEN_FOR_S", 3 * 3600)
        try:
            yield make_world()
        finally:
            call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def db(world: World) -> None:
    """Instead of pytest-django's: no transaction around a test, for it would hide the rows."""
