"""For all tests of the mailbox layer."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nothing_is_gathered(settings) -> None:
    """A hint is looked at in the next turn, unless a test says otherwise."""
    settings.SYNC_GATHER_S = 0.0
