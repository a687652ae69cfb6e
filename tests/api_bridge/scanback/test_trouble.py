"""Killed, stopped, slowed down, refused: nothing is seen twice and nothing is missed."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from api_bridge.errors import AccessDenied
from api_bridge.limits import LocalLimits, Quota
from api_bridge.models import MailboxSync, ScanBack, ScanBackMailbox
from api_bridge.runtime import shared_runtime
from api_bridge.scanback import reading, services, work
from api_bridge.scanback.behind import ONE
from api_bridge.scanback.limits import LowerLimits, behind
from api_bridge.scanback.services import go_on, start_scan_back, stop_scan_back
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.ids import new_id
from tests.api_bridge.scanback.test_looking import phish


@pytest.fixture
def older(looker, monkeypatch):
    """Five mails of Ana's, two of Bo's, one condemned one of the CFO's; two to a page."""
    monkeypatch.setattr(work, "PAGE", 2)
    monkeypatch.setattr(work, "PAGE_OF", {})
    company = looker.client.company
    looker.ids = [company.receive(name) for name in ("ana",) * 5 + ("bo",) * 2]
    phish(looker, "cfo")
    looker.ids.append("<phish-1@secure-login.example.net>")
    looker.connected_later()
    return looker


class Killed(BaseException):
    """As the process ends: nothing that comes after is done."""


PLACES = [
    (reading.BackRound, "run"),
    (reading, "store_scanned"),
    (reading, "remember"),
    (reading, "_note_findings"),
    (work, "_count"),
    (work, "_turn"),
]


@pytest.mark.parametrize(("where", "name"), PLACES, ids=[name for _, name in PLACES])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_moment_it_goes_on_where_it_stood(older, monkeypatch, where, name, after):
    older.start()
    real, calls = getattr(where, name), itertools.count(1)

    def strike(*args, **kwargs):
        number = next(calls)
        if number % 2 == 0 and not after:
            raise Killed
        answer = real(*args, **kwargs)
        if number % 2 == 0:
            raise Killed
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(where, name, strike)
        for _ in range(20):
            try:
                older.look()
            except Killed:
                continue
            if older.run().state == ScanBack.State.DONE:
                break
    assert older.run().state == ScanBack.State.DONE
    assert Counter(older.judged()) == Counter(older.ids)
    assert older.run().mails == 8
    assert len(older.findings()) == 1


def test_a_second_look_with_more_days_begins_where_the_first_ended(older):
    older.start(days=7)
    older.look()
    with older.client.scope(), pytest.raises(Conflict, match="choose more days"):
        start_scan_back(tenant=older.client.tenant, actor=older.lead, days=7)
    older.start(days=90)
    older.look()
    assert Counter(older.judged()) == Counter(older.ids)
    with older.client.scope():
        assert ScanBack.objects.count() == 2
    assert older.run().mails == 0


def test_it_keeps_to_the_mails_and_requests_of_an_hour(older):
    older.start()
    with older.client.scope():
        ScanBack.objects.update(mails_per_hour=3)
    again = older.look(times=3)
    run = older.run()
    assert (run.mails, run.hour_mails, run.state) == (3, 3, ScanBack.State.RUNNING)
    assert "this hour" in run.waits_for
    assert again > timezone.now() + timedelta(minutes=50)
    with older.client.scope():
        ScanBack.objects.update(hour_began_at=timezone.now() - timedelta(hours=1))
        ScanBack.objects.update(mails_per_hour=1000, requests_per_hour=work.SPARE_REQUESTS + 1)
    older.look(times=3)
    run = older.run()
    # A page of one mail; then the hour has no request left for another.
    assert run.mails == 4
    assert 1 <= run.hour_requests <= work.SPARE_REQUESTS + 1


def test_it_ends_at_the_number_of_mails_that_was_agreed_and_says_so(older):
    older.start(most_mails=3)
    older.look(times=2)
    run = older.run()
    assert (run.mails, run.state, run.ended_by) == (3, ScanBack.State.DONE, "most")


def test_it_gives_way_while_the_live_sync_has_a_mailbox_due(older):
    older.start()
    with older.client.scope():
        MailboxSync.objects.filter(mailbox__address__startswith="bo").update(
            due_at=timezone.now() - timedelta(seconds=1)
        )
    older.look()
    assert (older.run().mails, older.run().waits_for) == (0, work.WAITS_SYNC)
    older.settle()
    older.look()
    assert older.run().state == ScanBack.State.DONE


def test_only_one_worker_of_the_installation_looks_back_at_a_time(older):
    older.start()
    with shared_runtime().limits.slot(work.ALONE, quota=ONE):
        again = older.look()
    assert again > timezone.now()
    assert older.run().mails == 0


def test_what_others_need_is_left_to_them():
    now = [0.0]
    shared = LocalLimits(
        Quota(concurrent=4, per_s=1.0, burst=10.0),
        wait_s=0.0,
        clock=lambda: now[0],
        sleep=lambda _: None,
    )
    lower = LowerLimits(shared)
    with shared.slot("app.box"), pytest.raises(Exception, match="limit"), lower.slot("app.box"):
        pass  # somebody else is at this mailbox
    for _ in range(4):
        with lower.slot("app.box"):
            pass
    with pytest.raises(Exception, match="limit"), lower.slot("app.box"):
        pass  # half of the tokens are left,
    for _ in range(5):
        with shared.slot("app.box"):
            pass  # and the live sync has them all at once
    assert behind(Quota(concurrent=4, burst=10.0)).spare == 5.0


def test_stopped_it_reads_nothing_and_goes_on_later(older):
    run = older.start()
    with older.client.scope():
        stop_scan_back(run=run, actor=older.lead)
    assert older.look(times=2) is None
    assert (older.run().state, older.run().mails) == (ScanBack.State.STOPPED, 0)
    with older.client.scope():
        with pytest.raises(Conflict, match="does not run"):
            stop_scan_back(run=run, actor=older.lead)
        with pytest.raises(Conflict, match="open already"):
            start_scan_back(tenant=older.client.tenant, actor=older.lead)
        go_on(run=run, actor=older.lead)
    older.look()
    assert Counter(older.judged()) == Counter(older.ids)


def test_a_mailbox_that_fails_is_listed_with_its_reason_and_stops_nobody(older, monkeypatch):
    run = older.start()
    denied = older.client.company.ids["ana"]
    real = reading.BackRound.__init__

    def refuse(self, connector, claimed, turn, page):
        if turn.mine.external_id == denied:
            raise AccessDenied("The mailbox is closed to this application.")
        real(self, connector, claimed, turn, page)

    with monkeypatch.context() as patched:
        patched.setattr(reading.BackRound, "__init__", refuse)
        older.look()
        row = older.rows()["ana"]
        assert (row.state, row.failures) == ("waiting", 1)
        assert {name: each.state for name, each in older.rows().items() if name != "ana"} == {
            "bo": "done",
            "cfo": "done",
        }
        older.look(times=reading.TRIES)
    run, row = older.run(), older.rows()["ana"]
    assert (run.state, run.ended_by) == (ScanBack.State.DONE, "failed")
    assert row.last_error == "The mailbox is closed to this application."
    with older.client.scope():
        go_on(run=run, actor=older.lead)
    older.look()
    assert older.run().ended_by == "all"
    assert Counter(older.judged()) == Counter(older.ids)


def test_going_on_against_a_start_at_the_same_moment_is_refused_in_words(older, monkeypatch):
    run = older.start()
    older.look()
    with older.client.scope():
        ScanBackMailbox.objects.update(state=ScanBackMailbox.State.FAILED)
        ScanBack.objects.update(ended_by="failed")
        other = ScanBack.objects.get()
        other.id, other.state, other._state.adding = new_id(), ScanBack.State.RUNNING, True
        other.save(force_insert=True)
        # The other one is committed between the look and the write.
        monkeypatch.setattr(services, "_OPEN", ())
        with pytest.raises(Conflict, match="started a look back just now"):
            go_on(run=run, actor=older.lead)
        assert ScanBack.objects.filter(state=ScanBack.State.RUNNING).count() == 1


def test_a_run_of_some_mailboxes_reads_those_only(older):
    older.start(addresses=[older.client.company.mail("bo").upper()])
    older.look()
    assert Counter(older.judged()) == Counter(older.ids[5:7])
    assert set(older.rows()) == {"bo"}


def test_mail_is_counted_as_it_was_expected(older):
    older.start()
    rows = older.rows()
    assert {name: row.estimated for name, row in rows.items()} == {"ana": 5, "bo": 2, "cfo": 1}
    older.look()
    assert {name: row.mails for name, row in older.rows().items()} == {"ana": 5, "bo": 2, "cfo": 1}
    with older.client.scope():
        reached = ScanBackMailbox.objects.values_list("reached_at", flat=True)
        assert set(reached) == {older.run().since}


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"days": 8}, WrongInput, "7, 30 or 90"),
        ({"most_mails": 0}, WrongInput, "At least 1"),
        ({"mails_per_hour": 5}, WrongInput, "mails in an hour"),
        ({"requests_per_hour": 10**9}, WrongInput, "requests in an hour"),
        ({"addresses": ["who@else.example"]}, WrongInput, "Not a watched mailbox"),
        ({"actor": "ana"}, NotAllowed, "A lead"),
    ],
)
def test_what_cannot_be_is_refused_in_words(older, cast, changes, error, says):
    if "actor" in changes:
        changes = {"actor": cast.ana}
    with older.client.scope(), pytest.raises(error, match=says):
        start_scan_back(**{"tenant": older.client.tenant, "actor": older.lead, **changes})
