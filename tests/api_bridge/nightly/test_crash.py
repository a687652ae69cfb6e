"""A night, by workers that are killed at every commit in turn."""

from __future__ import annotations

from collections import Counter

import pytest
from django.utils import timezone

from api_bridge.models import Correspondent, SeenItem
from api_bridge.nightly import work
from tests.api_bridge.nightly.conftest import asleep
from tests.api_bridge.nightly.test_found import LONG_AGO
from tests.api_bridge.sync.conftest import Inside
from tests.crash.worker import check_passed, crash_at_each, serve

FAILS = "only when to go on is noted, and the host is asked again: test_going_on.py"


def test_a_night_finds_and_tells_once(inside: Inside, monkeypatch: pytest.MonkeyPatch):
    """Two mails with old dates were put there, and one from before went."""
    monkeypatch.setattr(work, "SLICE_S", 60.0)
    put: list[str] = []
    nights: list[str] = []

    with asleep(inside, ("ana",)) as sleeper:
        client, company = sleeper.client, sleeper.client.company

        def begin() -> None:
            client.make_sense()
            base = f"users/{company.mail('ana')}/messages"
            company.graph.post(f"{base}/{company.mails('ana')[0]['id']}/permanentDelete")
            put.extend(sleeper.put("ana", timezone.now() - LONG_AGO) for _ in "ab")
            sleeper.fall()

        def check(died_at: str) -> None:
            nights.append(died_at)
            told = client.observations()
            judged = Counter(each.internet_message_id for each in told if each.verdict)
            assert [judged[each] for each in put] == [1] * len(put), died_at
            gone = [each.internet_message_id for each in told if each.place == "gone"]
            assert len(gone) == len(set(gone)) == len(nights), died_at
            assert sleeper.gaps() == {SeenItem.Gap.IMPORTED: len(put)}, died_at
            night = sleeper.reading()
            found = (night.mails, night.imported, night.missed, night.vanished)
            assert found == (2, 2, 0, 1), died_at
            assert (night.began_at, night.removed, night.failures) == (None, [], 0), died_at
            with client.scope():
                taught = Correspondent.objects.get(recipient="")
            assert taught.mails == 1 + len(put), died_at

        places = crash_at_each(begin, lambda: serve("nightly"), check, only="api_bridge.nightly")
    check_passed(places, "api_bridge.nightly.reading", reads={"read_page"}, others={"park": FAILS})
    check_passed(
        places,
        "api_bridge.nightly.work",
        reads={"_open"},
        others={
            "_slice": "the night of a mailbox that has none yet is begun anew",
            "_read_one": "a folder that went is not in the next list",
        }
        | dict.fromkeys(("_after", "_leave_out"), FAILS),
    )
