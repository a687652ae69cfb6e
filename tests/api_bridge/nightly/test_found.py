"""A mail that somebody put there with an old date is found by the next night's reading."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from api_bridge.models import SeenItem

LONG_AGO = timedelta(days=700)
GAP = SeenItem.Gap


def test_a_mail_with_an_old_date_is_never_listed_and_found_by_night(sleeper):
    assert sleeper.reading().whole_at is not None
    old = sleeper.put("ana", timezone.now() - LONG_AGO)
    sleeper.client.sync()
    assert sleeper.judged(old) == []
    sleeper.night()
    (found,) = sleeper.judged(old)
    assert found.place == "inbox"
    assert sleeper.gaps() == {GAP.IMPORTED: 1}
    reading = sleeper.reading()
    assert (reading.imported, reading.missed, reading.failures) == (1, 0, 0)
    sleeper.night(times=2)
    assert len(sleeper.judged(old)) == 1
