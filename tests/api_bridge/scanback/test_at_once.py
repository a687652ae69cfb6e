"""A look back reads a mail while somebody else does: it is judged once, whoever comes first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from api_bridge.models import Correspondent, MailboxSync, ScanBack, SeenItem
from api_bridge.nightly.work import serve_nightly
from api_bridge.round import Round
from api_bridge.scanback.work import serve_lookback
from tests.api_bridge.nightly.conftest import Sleeper, asleep
from tests.api_bridge.scanback.conftest import Looker
from tests.api_bridge.sync.conftest import Inside, inside

__all__ = ["inside"]

NIGHT, LOOK, SYNC = "a night", "a look back", "the live sync"


@pytest.mark.parametrize(
    ("first", "between"), [(NIGHT, LOOK), (LOOK, NIGHT), (SYNC, LOOK), (LOOK, SYNC)]
)
def test_a_mail_is_judged_once(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, first: str, between: str
):
    """``between`` comes when ``first`` has judged the mail, and has not stored it yet."""
    with asleep(inside, ("ana",)) as sleeper:
        looker = Looker(sleeper.client, inside.cast.mo)
        serve = serving(sleeper)
        imported = sleeper.put("ana", timezone.now() - timedelta(days=5))
        looker.start()
        came: list[str] = []
        real = Round._originals

        def amid(self, read):
            if not came:
                came.append(between)
                serve(between)
            return real(self, read)

        with monkeypatch.context() as patched:
            patched.setattr(Round, "_originals", amid)
            serve(first)
        assert came
        for _ in range(2):
            for each in (first, between):
                serve(each)
        assert len(sleeper.judged(imported)) == 1
        assert looker.run().state == ScanBack.State.DONE
        with sleeper.client.scope():
            assert SeenItem.objects.filter(is_judged=False).count() == 0
            assert Correspondent.objects.get(recipient="").mails == 2


def serving(sleeper: Sleeper) -> Callable[[str], None]:
    """Each reads the mail, as if nothing but itself were due."""
    client = sleeper.client

    def serve(who: str) -> None:
        sleeper.fall()
        if who == SYNC:
            with client.scope():
                away = timezone.now() - timedelta(days=6)
                MailboxSync.objects.update(cursor="", synced_at=away)
            client.sync()
        elif who == NIGHT:
            serve_nightly(sleeper.claimed)
        else:
            with client.scope():
                ScanBack.objects.update(due_at=timezone.now())
            serve_lookback(sleeper.claimed)

    return serve
