"""The same at Google, with pages smaller than what came in one second."""

from __future__ import annotations

from collections import Counter

import pytest

from api_bridge.models import ScanBack
from api_bridge.scanback import work
from tests.api_bridge.scanback.conftest import Looker
from tests.api_bridge.sync.conftest import make_google_client


@pytest.fixture
def google(cast, cloud):
    client = make_google_client(cast, cloud, "gamma")
    client.sync()
    yield Looker(client, cast.mo)
    client.company.close()


def test_what_came_before_is_judged_once_at_google(google, monkeypatch):
    monkeypatch.setattr(work, "PAGE_OF", {"google": 2})
    ids = [google.client.company.receive(name) for name in ("ana",) * 5 + ("bo",)]
    google.connected_later()
    assert google.judged() == []
    google.start(days=7)
    for _ in range(5):
        google.look()
    run = google.run()
    assert (run.state, run.ended_by, run.mails) == (ScanBack.State.DONE, "all", 6)
    assert Counter(google.judged()) == Counter(ids)
    assert run.requests >= 6
