"""A mail that somebody put there with an old date is found by the next night's reading."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

from django.utils import timezone

from api_bridge.models import Connection, MailboxSync, NightFolder, SeenItem
from api_bridge.round import Round
from api_bridge.services import seal_pushes
from api_bridge.store import forget_old_items
from tenants.audit import BAILEY
from tests.api_bridge.sync.test_told import tell, warm_up

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


def test_what_lay_there_before_the_first_night_is_learnt_and_not_judged(inside, sleeper):
    client = inside.connect("eta", ("ana",))
    other = type(sleeper)(inside, client)
    before = other.put("ana", timezone.now() - LONG_AGO)
    client.sync()
    other.night(times=2)
    after = other.put("ana", timezone.now() - LONG_AGO)
    other.night()
    assert other.judged(before) == []
    assert len(other.judged(after)) == 1
    assert other.gaps() == {GAP.IMPORTED: 1}


def test_what_is_put_into_a_folder_that_was_empty_is_found_not_learnt(sleeper):
    old = sleeper.put("ana", timezone.now() - LONG_AGO, folder="archive")
    sleeper.night()
    assert len(sleeper.judged(old)) == 1
    assert sleeper.gaps() == {GAP.IMPORTED: 1}


def test_an_old_mail_that_moves_or_is_read_is_not_new(inside, sleeper):
    """Also where it was forgotten since, and so was the place in its folders."""
    old = sleeper.put("ana", timezone.now() - LONG_AGO)
    sleeper.night()
    company = sleeper.client.company
    with sleeper.client.scope():
        SeenItem.objects.all().delete()
    (mail,) = [each for each in company.mails("ana") if each["internetMessageId"] == old]
    base = f"users/{company.mail('ana')}/messages"
    company.post(f"{base}/{mail['id']}/move", {"destinationId": "archive"})
    inside.cloud.admin("POST", f"mailboxes/{company.mail('ana')}/read", {
        "internet_message_id": company.mails("ana")[0]["internetMessageId"],
    })  # fmt: skip
    sleeper.night()
    with sleeper.client.scope():
        NightFolder.objects.update(link="")
    sleeper.night()
    assert len(sleeper.judged(old)) == 1
    assert sleeper.gaps() == {}


def test_a_folder_that_was_made_since_is_no_hiding_place(sleeper):
    """Nor is a hidden one, nor one below another."""
    company = sleeper.client.company
    base = f"users/{company.mail('ana')}/mailFolders"
    made = company.post(base, {"displayName": "Feeds", "isHidden": True})
    below = company.post(f"{base}/{made['id']}/childFolders", {"displayName": "Deep"})
    at = timezone.now() - LONG_AGO
    old = [sleeper.put("ana", at, folder=each["id"]) for each in (made, below)]
    sleeper.night()
    assert [len(sleeper.judged(each)) for each in old] == [1, 1]
    assert {each.place for each in sleeper.judged(old[1])} == {"other"}


def test_a_mail_that_every_reading_missed_is_found_and_counted_as_missed(sleeper):
    missed = sleeper.client.company.receive("ana")
    with sleeper.client.scope():
        Connection.objects.update(sweep_due_at=timezone.now() + timedelta(hours=6))
        MailboxSync.objects.update(caught_up_at=timezone.now() + timedelta(minutes=10))
    sleeper.night()
    assert len(sleeper.judged(missed)) == 1
    assert sleeper.gaps() == {GAP.MISSED: 1}
    with sleeper.client.scope():
        # What failed for one mailbox may fail for all of its connection.
        assert Connection.objects.get().sweep_due_at <= timezone.now()


def test_the_live_sync_and_a_night_at_once_tell_a_mail_once(sleeper, monkeypatch):
    """The night comes when the live sync has judged the mail, and has not stored it yet."""
    new = sleeper.client.company.receive("ana")
    nights: list[str] = []
    real = Round._originals

    def between(self, read):
        if not nights:
            nights.append("begun")
            sleeper.night()
        return real(self, read)

    monkeypatch.setattr(Round, "_originals", between)
    sleeper.client.sync()
    assert nights
    assert len(sleeper.judged(new)) == 1
    sleeper.client.sync()
    assert len(sleeper.judged(new)) == 1


def test_found_late_stands_for_45_days_from_when_it_was_found(sleeper):
    sleeper.put("ana", timezone.now() - LONG_AGO)
    sleeper.night()
    with sleeper.client.scope():
        ids = [box.mailbox_id for box in MailboxSync.objects.all()]
        forget_old_items(ids, before=timezone.now() - timedelta(days=45))
        assert SeenItem.objects.filter(gap=GAP.IMPORTED).count() == 1
        SeenItem.objects.update(found_at=timezone.now() - timedelta(days=46))
        forget_old_items(ids, before=timezone.now() - timedelta(days=45))
        assert SeenItem.objects.filter(gap=GAP.IMPORTED).count() == 0


def test_what_moved_and_what_went_is_told(sleeper):
    """What came into another folder costs no request; what came into none is asked for."""
    company = sleeper.client.company
    moved, gone = company.receive("ana"), company.receive("ana")
    sleeper.client.sync()
    sleeper.client.make_sense()
    sleeper.night()
    listed = {each["internetMessageId"]: each["id"] for each in company.mails("ana")}
    base = f"users/{company.mail('ana')}/messages"
    company.post(f"{base}/{listed[moved]}/move", {"destinationId": "deleteditems"})
    company.graph.post(f"{base}/{listed[gone]}/permanentDelete")
    sleeper.night()
    places = {copy.message.internet_message_id: copy.place for copy in sleeper.client.deliveries()}
    assert (places[moved], places[gone]) == ("deleted", "gone")
    row = sleeper.reading()
    assert (row.vanished, row.removed, row.imported) == (1, [], 0)
    sleeper.night()
    assert sleeper.reading().vanished == 0


def test_more_that_went_than_one_night_asks_for_is_told_in_the_next(sleeper, monkeypatch):
    company = sleeper.client.company
    went = [company.receive("ana") for _ in range(3)]
    sleeper.client.sync()
    sleeper.client.make_sense()
    sleeper.night()
    for each in company.mails("ana"):
        if each["internetMessageId"] in went:
            company.graph.post(f"users/{company.mail('ana')}/messages/{each['id']}/permanentDelete")
    monkeypatch.setattr("api_bridge.nightly.reading.MOST_ASKED", 2)
    sleeper.night()
    assert (sleeper.reading().vanished, len(sleeper.reading().removed)) == (2, 1)
    sleeper.night()
    assert (sleeper.reading().vanished, sleeper.reading().removed) == (1, [])
    places = {copy.message.internet_message_id: copy.place for copy in sleeper.client.deliveries()}
    assert {places[each] for each in went} == {"gone"}


def test_a_push_that_brings_an_old_mail_leaves_it_to_the_night(inside, sleeper):
    """It may as well have been moved, and from before the connection: a push cannot tell."""
    client = inside.connect("eta", ("ana",))
    with client.scope():
        seal_pushes(connection=client.connection, is_on=True, actor=BAILEY)
    warm_up(inside, client)
    other = type(sleeper)(inside, client)
    other.night()
    old = other.put("ana", timezone.now() - LONG_AGO)
    assert tell(inside) == 1
    client.sync(everything=False)
    with client.scope():
        assert not SeenItem.objects.filter(received_at__lt=timezone.now() - LONG_AGO / 2).exists()
    other.night()
    assert len(other.judged(old)) == 1
    assert other.gaps() == {GAP.IMPORTED: 1}


def test_a_draft_is_not_taken_for_a_mail(sleeper):
    company = sleeper.client.company
    raw = base64.b64encode(b"Subject: x\r\nMessage-ID: <d@x.example>\r\n\r\ny")
    company.graph.post(
        f"users/{company.mail('ana')}/messages",
        content=raw,
        headers={"content-type": "text/plain"},
    )
    sleeper.night()
    assert sleeper.judged("<d@x.example>") == []
    assert sleeper.gaps() == {}


def test_the_requests_of_a_night_are_counted(sleeper, monkeypatch):
    """A night in which nothing changed asks for the folders alone; an import is one request for its
    folder and one for itself.
    """
    asked: list[str] = []
    real = sleeper.inside.cloud.serve

    def serve(request):
        if request.path.endswith("$batch"):
            asked.extend(each["url"] for each in json.loads(request.body)["requests"])
        return real(request)

    monkeypatch.setattr(sleeper.inside.cloud, "serve", serve)
    user = sleeper.client.company.ids["ana"]

    def of_ana() -> int:
        found = [each for each in asked if user in each]
        asked.clear()
        return len(found)

    calls = sleeper.inside.cloud.calls
    sleeper.night()
    assert sleeper.inside.cloud.calls - calls == 1  # both mailboxes share it
    quiet = of_ana()
    assert (quiet, sleeper.reading().requests) == (1, 1)
    sleeper.put("ana", timezone.now() - LONG_AGO)
    sleeper.night()
    assert of_ana() == sleeper.reading().requests == 3
    with sleeper.client.scope():
        read = NightFolder.objects.filter(read_at__isnull=False)
        read.update(read_at=timezone.now() - timedelta(days=8))
    sleeper.night()
    assert of_ana() == sleeper.reading().requests == 2
