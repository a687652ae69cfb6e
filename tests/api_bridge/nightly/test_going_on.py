"""Killed, refused, expired, gone, blind: the next step goes on where the rows say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from api_bridge.connectors.graph import connector, nightly
from api_bridge.models import Connection, MailboxSync, NightFolder, SeenItem
from api_bridge.nightly import reading, times, work
from api_bridge.nightly.work import serve_nightly
from api_bridge.scanback.behind import AGAIN_SOON
from tests.api_bridge.nightly.test_found import LONG_AGO
from tests.api_bridge.sync.test_denied import DENIED

GAP = SeenItem.Gap


def fault(sleeper, kind: str, name: str = "ana", match: str = "") -> None:
    path = f"users/{sleeper.client.company.ids[name]}/{match}"
    sleeper.inside.cloud.faults.add({"kind": kind, "match": path, "seconds": 0})


def test_killed_amid_a_reading_it_goes_on_with_the_page_after(sleeper, monkeypatch):
    old = [sleeper.put("ana", timezone.now() - LONG_AGO) for _ in range(7)]
    monkeypatch.setattr(nightly, "PAGE_SIZE", 3)
    monkeypatch.setattr(reading, "MOST_NEW", 2)
    real, pages = reading.read_page, []

    def dies(*given):
        pages.append(given)
        if len(pages) in (2, 4):
            raise KeyboardInterrupt
        real(*given)

    monkeypatch.setattr(work, "read_page", dies)
    sleeper.fall()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            serve_nightly(sleeper.claimed)
    serve_nightly(sleeper.claimed)
    assert [len(sleeper.judged(each)) for each in old] == [1] * 7
    assert sleeper.gaps() == {GAP.IMPORTED: 7}
    row = sleeper.reading()
    assert (row.imported, row.began_at) == (7, None)


@pytest.mark.parametrize("kind", ["expired_delta", "repeated_link"])
def test_a_place_that_was_lost_is_read_from_its_beginning_and_nothing_twice(sleeper, kind):
    known = sleeper.client.company.mails("ana")[0]["internetMessageId"]
    before = len(sleeper.judged(known))
    old = sleeper.put("ana", timezone.now() - LONG_AGO)
    fault(sleeper, kind, match="mailFolders")
    sleeper.night(times=2)
    assert len(sleeper.judged(old)) == 1
    assert len(sleeper.judged(known)) == before
    assert sleeper.gaps() == {GAP.IMPORTED: 1}


def test_a_place_that_is_lost_again_and_again_rests_until_the_next_night(sleeper):
    old = sleeper.put("ana", timezone.now() - LONG_AGO)
    for _ in range(reading.MOST_LOST):
        fault(sleeper, "expired_delta", match="mailFolders")
    # Only a link can be lost: it stands again each time.
    real = reading._move_on

    def loses(night, folder, step, page):
        real(night, folder, step, page)
        if page.restarted:
            folder.link = step.link

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_move_on", loses)
        sleeper.night()
    row = sleeper.reading()
    assert "lost again and again" in row.last_error
    assert sleeper.judged(old) == []
    sleeper.night()
    assert len(sleeper.judged(old)) == 1


def test_a_folder_that_went_away_keeps_no_other_waiting(sleeper, monkeypatch):
    company = sleeper.client.company
    base = f"users/{company.mail('ana')}/mailFolders"
    made = company.post(base, {"displayName": "Old stuff"})
    lies = sleeper.put("ana", timezone.now() - LONG_AGO, folder=made["id"])
    sleeper.night()
    assert len(sleeper.judged(lies)) == 1
    old = sleeper.put("ana", timezone.now() - LONG_AGO)
    sleeper.put("ana", timezone.now() - LONG_AGO, folder=made["id"])
    real = work._read_folders

    def too_late(*given):
        sleeper.inside.cloud.purge_folder("Old stuff")
        real(*given)

    monkeypatch.setattr(work, "_read_folders", too_late)
    sleeper.night()
    assert len(sleeper.judged(old)) == 1
    assert made["id"] not in {each.folder_id for each in sleeper.folders()}
    sleeper.night()
    assert len(sleeper.judged(lies)) == 1


def test_a_mailbox_that_is_blind_waits_alone_and_is_given_up_for_the_night(sleeper, monkeypatch):
    old = {name: sleeper.put(name, timezone.now() - LONG_AGO) for name in ("ana", "bo")}
    real, ana = nightly.folders_of, sleeper.client.company.ids["ana"]

    def refused(client, folders, ids):
        found = real(client, folders, ids)
        return [DENIED if id == ana else each for id, each in zip(ids, found, strict=True)]

    monkeypatch.setattr(connector, "folders_of", refused)
    sleeper.night()
    assert sleeper.judged(old["ana"]) == []
    assert len(sleeper.judged(old["bo"])) == 1
    row = sleeper.reading()
    assert (row.failures, row.began_at) == (1, None)
    assert row.due_at > timezone.now() + timedelta(minutes=4)
    sleeper.night(times=times.TRIES - 1)
    row = sleeper.reading()
    assert (row.failures, row.due_at > timezone.now() + timedelta(hours=11)) == (0, True)
    assert "403" in row.last_error
    monkeypatch.undo()
    sleeper.night()
    assert len(sleeper.judged(old["ana"])) == 1


def test_a_connection_that_is_blind_is_not_asked(sleeper):
    sleeper.put("ana", timezone.now() - LONG_AGO)
    with sleeper.client.scope():
        Connection.objects.update(state=Connection.State.NEEDS_CONSENT)
    calls = sleeper.inside.cloud.calls
    again = sleeper.night()
    assert sleeper.inside.cloud.calls == calls
    assert again is not None
    assert again <= timezone.now() + work.BLIND_AGAIN


def test_it_gives_way_to_the_live_sync(sleeper):
    sleeper.fall()
    with sleeper.client.scope():
        MailboxSync.objects.update(due_at=timezone.now())
    calls = sleeper.inside.cloud.calls
    again = serve_nightly(sleeper.claimed)
    assert sleeper.inside.cloud.calls == calls
    assert again is not None
    assert again <= timezone.now() + AGAIN_SOON


def test_the_requests_of_a_night_are_bounded_and_the_next_one_goes_on(sleeper, monkeypatch):
    old = [sleeper.put("ana", timezone.now() - LONG_AGO) for _ in range(6)]
    monkeypatch.setattr(work, "MOST_REQUESTS", 5)
    monkeypatch.setattr(reading, "MOST_NEW", 2)
    sleeper.night()
    row = sleeper.reading()
    assert "the next one goes on" in row.last_error
    assert 0 < sum(len(sleeper.judged(each)) for each in old) < 6
    read_at = row.read_at
    sleeper.night(times=5)
    assert [len(sleeper.judged(each)) for each in old] == [1] * 6
    assert sleeper.reading().read_at > read_at


def test_a_link_to_another_host_is_not_followed(sleeper):
    with sleeper.client.scope():
        NightFolder.objects.exclude(link="").update(link="https://evil.example/v1.0/users/x?y")
    old = sleeper.put("ana", timezone.now() - LONG_AGO)
    sleeper.night()
    assert sleeper.judged(old) == []
    assert "another host" in sleeper.reading().last_error
    sleeper.night()
    assert len(sleeper.judged(old)) == 1


def test_a_mail_that_cannot_be_had_is_given_up_and_keeps_none_waiting(sleeper):
    poison = sleeper.put("ana", timezone.now() - LONG_AGO)
    good = sleeper.put("ana", timezone.now() - LONG_AGO)
    listed = {mail["internetMessageId"]: mail["id"] for mail in sleeper.client.company.mails(
        "ana", headers={"prefer": 'IdType="ImmutableId"'})}  # fmt: skip
    for _ in range(60):
        fault(sleeper, "status_503", match=f"messages/{listed[poison]}")
    sleeper.night(times=4)
    assert len(sleeper.judged(good)) == 1
    assert [each.verdict for each in sleeper.judged(poison)] == ["unscannable"]


def test_the_night_is_in_the_clients_own_time():
    noon = datetime(2026, 11, 30, 12, tzinfo=UTC)
    boxes = [UUID(int=n * 7919) for n in range(200)]
    for zone in ("Asia/Tokyo", "America/Los_Angeles", "UTC", "No/Such"):
        local = ZoneInfo(zone if zone != "No/Such" else "UTC")
        for tenant_id in range(20):
            at = [times.next_night(tenant_id, box, zone, noon) for box in boxes]
            assert all(noon < each <= noon + timedelta(days=1) for each in at)
            assert all((each.astimezone(local) - timedelta(hours=22)).hour < 7 for each in at)
            assert len(set(at)) == times.STEPS
    of_clients = {times.next_night(n, boxes[0], "UTC", noon) for n in range(300)}
    assert len(of_clients) > 200
