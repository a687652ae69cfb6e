"""A look back, by workers that are killed at every commit in turn."""

from __future__ import annotations

from collections import Counter

import pytest

from api_bridge.models import Correspondent
from api_bridge.scanback import work
from tests.api_bridge.scanback.conftest import Looker
from tests.api_bridge.sync.conftest import Inside, inside
from tests.api_bridge.sync.test_removing import PHISH
from tests.crash.worker import check_passed, crash_at_each, serve

__all__ = ["inside"]

FAILS = {"park": "a mailbox that fails is read again, and listed at last: test_trouble.py"}


def test_a_look_back_judges_once(inside: Inside, monkeypatch: pytest.MonkeyPatch):
    """What came before is looked at again each time, as if nobody had: two pages, one of them with
    a mail that is condemned.
    """
    monkeypatch.setattr(work, "SLICE_S", 60.0)
    monkeypatch.setattr(work, "PAGE", 2)
    monkeypatch.setattr(work, "PAGE_OF", {})
    client = inside.connect("delta", ("ana",))
    client.sync()
    looker, company = Looker(client, inside.cast.mo), client.company
    ids: list[str] = []

    def begin() -> None:
        base = f"users/{company.mail('ana')}/messages"
        for mail in company.mails("ana"):
            company.graph.post(f"{base}/{mail['id']}/permanentDelete")
        number = len(ids)
        ids.extend(company.receive("ana") for _ in "ab")
        raw = PHISH.format(to=company.mail("ana")).replace("phish-1@", f"phish-{number}@")
        company.receive("ana", raw=raw.encode())
        ids.append(f"<phish-{number}@secure-login.example.net>")
        looker.connected_later()
        looker.start()

    def work_until_done() -> None:
        """A worker whose clock is set back meanwhile says that it comes again, and does."""
        for _ in range(3):
            serve("lookback")
            if looker.run().state == "done":
                return

    def check(died_at: str) -> None:
        judged = Counter(looker.judged())
        run, (row,) = looker.run(), looker.rows().values()
        told = (died_at, run.state, run.waits_for, row.state, row.failures, row.last_error)
        assert [judged[each] for each in ids] == [1] * len(ids), told
        assert (run.state, run.ended_by) == ("done", "all"), died_at
        assert (run.mails, run.hour_mails, row.mails, row.unread) == (3, 3, 3, 0), died_at
        assert row.reached_at == run.since, died_at
        assert len(looker.findings()) == len(ids) // 3, died_at
        with client.scope():
            taught = Correspondent.objects.get(recipient="")
        # What is condemned teaches nothing.
        assert taught.mails == len(ids) - len(ids) // 3, died_at

    with inside.behind_the_sync():
        places = crash_at_each(begin, work_until_done, check, only="api_bridge.scanback")
    check_passed(places, "api_bridge.scanback.reading", others=FAILS)
    check_passed(places, "api_bridge.scanback.work", reads={"_open"})
