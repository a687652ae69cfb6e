"""A worker of the mailbox layer that is killed at every commit and every call in turn."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from django.utils import timezone

from api_bridge import traces
from api_bridge.models import Connection, MailboxSync, PushNotice, TracedMail
from api_bridge.runtime import connector_of
from api_bridge.sandbox.web import Request, Response
from api_bridge.traces import read_traces
from incidents.models import Delivery, Intent, Job
from incidents.remediation import start_job
from incidents.words import Layer, Place
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tests.api_bridge.sync.conftest import Client, Inside
from tests.api_bridge.sync.test_told import deliver, found, tell, told, warm_up
from tests.api_bridge.sync.test_traces import on_record
from tests.bench.mailbox_day import CONDEMNED_EACH
from tests.crash.worker import check_passed, crash_at_each, serve

__all__ = ["told"]


def due(client: Client) -> None:
    """All mailboxes are to be read whole now, and it is long ago that their host was seen."""
    now = timezone.now() - timedelta(seconds=1)
    with client.scope():
        Connection.objects.update(last_ok_at=now - timedelta(hours=1))
        MailboxSync.objects.update(due_at=now, whole_due_at=now, check_due_at=now)


def known_once(client: Client, ids: list[str]) -> None:
    """All that came was judged once and is one copy each."""
    assert sorted(found(client)) == sorted(ids)
    copies = [copy.message.internet_message_id for copy in client.deliveries()]
    assert sorted(each for each in copies if each in ids) == sorted(ids)


def test_told_mail_is_taken_in_once(inside: Inside, told: Client):
    numbers = count(2, CONDEMNED_EACH)
    ids: list[str] = []

    def begin() -> None:
        number = next(numbers)
        ids.extend(deliver(inside, told, "ana", each) for each in (number, CONDEMNED_EACH * number))
        tell(inside)

    def check(died_at: str) -> None:
        assert len(found(told)) == len(ids), died_at
        with told.scope():
            assert not PushNotice.objects.exists(), died_at

    places = crash_at_each(begin, lambda: serve("sync"), check)
    known_once(told, ids)
    check_passed(places, "api_bridge.notices")


FAILS = "a mail host that fails is asked again: test_trouble.py"
REFUSED = dict.fromkeys(("serve_sync", "_let_rest", "_read", "_park"), FAILS)
LISTED = {"_list_mailboxes": "the list of mailboxes is read anew each time"}
IN_SYNC = {"_next_due", "_read_told"}
UNREAD = {"Round._park": FAILS, "Round._without_unstorable": "rolled back; test_bad_input.py"}


@pytest.mark.parametrize("host", ["microsoft", "google"])
def test_a_page_of_a_list_is_taken_in_once(inside: Inside, host: str):
    client = inside.connect("delta", ("ana",)) if host == "microsoft" else None
    client = client or inside.connect_google("delta")
    warm_up(inside, client)
    numbers = count(2, CONDEMNED_EACH)
    ids: list[str] = []

    def begin() -> None:
        number = next(numbers)
        ids.extend(
            deliver(inside, client, "ana", each) for each in (number, CONDEMNED_EACH * number)
        )
        due(client)

    def check(died_at: str) -> None:
        assert len(found(client)) == len(ids), died_at

    places = crash_at_each(begin, lambda: serve("sync"), check)
    known_once(client, ids)
    check_passed(places, "api_bridge.round", reads={"Round.run"}, others=UNREAD)
    check_passed(places, "api_bridge.watch")
    if host == "google":
        check_passed(places, "api_bridge.hearing")
        check_passed(places, "api_bridge.gaps", reads={"unknown_to_us"})
        is_checked = {"_check_lists": "notes when a list was held against what is known"}
        others = REFUSED | LISTED | is_checked
        check_passed(places, "api_bridge.sync", reads=IN_SYNC, others=others)
        check_passed(places, "api_bridge.opening", reads={"open_all"})
        check_passed(places, "api_bridge.taking_up", reads={"take_up"})


def moves_of(inside: Inside) -> Counter[str]:
    """Item → how many moves of it the mail host was asked for, from now on."""
    asked, real = Counter[str](), inside.cloud.serve

    def serve_and_count(request: Request) -> Response:
        if request.path.endswith("/move"):
            asked[request.path.rsplit("/", 2)[1]] += 1
        return real(request)

    inside.cloud.serve = serve_and_count  # type: ignore[method-assign]
    return asked


COPIES = 18  # more than there are failpoints on the way of one of them


def test_each_action_on_a_copy_has_one_effect(inside: Inside):
    """Pull, its later check, restore, and the original's bytes; each killed everywhere."""
    client = inside.connect("delta", ("ana",))
    warm_up(inside, client)
    for number in range(2, 2 + COPIES):
        deliver(inside, client, "ana", number)
    due(client)
    client.sync()
    copies, asked = client.deliveries()[-COPIES:], moves_of(inside)
    assert len({copy.mailbox_item_id for copy in copies}) == COPIES
    places: set[str] = set()
    for action, moves in (("pull", 1), ("check", 0), ("restore", 1), ("acquire", 0)):
        places |= kill_over(client, action, copies, asked, moves)
        asked.clear()
    assert {copy.place for copy in client.deliveries()} == {Place.INBOX}
    reads = {"_next_due", "_undo_of_pull"}
    others = {"_after_error": FAILS, "_leave": "a stopped job: tests/incidents/test_crash.py"}
    check_passed(places, "incidents.execution", reads=reads, others=others)


def kill_over(
    client: Client,
    action: str,
    copies: list[Delivery],
    asked: Counter[str],
    moves: int,
    *,
    only: str = "",
) -> set[str]:
    """``moves``: how often the mail host may be asked to move a copy, and is.  ``only`` as in
    ``crash_at_each``.
    """
    waiting = iter(copies)
    now: list[Delivery] = []

    def order(wanted: list[Delivery]) -> None:
        now[:] = wanted
        with client.scope():
            rows = list(Delivery.objects.filter(id__in=[copy.id for copy in wanted]))
            if action != "check":
                start_job(Job.Kind(action), action, rows, None, actor=BAILEY, reason="")

    def begin() -> None:
        order([next(waiting)])

    def work() -> None:
        with client.scope():
            # Not this very moment: a clock that is set back meanwhile would find nothing due.
            due_at = timezone.now() - timedelta(seconds=1)
            Intent.objects.filter(delivery__in=now).update(due_at=due_at)
        serve("remediate")

    def check(died_at: str) -> None:
        with client.scope():
            intents = list(Intent.objects.filter(delivery__in=now).select_related("job"))
        told = [(each.state, each.attempts, each.error, each.waits_since) for each in intents]
        asked_for = [asked[copy.mailbox_item_id] for copy in now]
        assert asked_for == [moves] * len(now), (died_at, told)
        states = {(intent.state, intent.job.state) for intent in intents}
        assert states == {("verified", "done")}, (died_at, told)

    places = crash_at_each(begin, work, check, only=only)
    if left := list(waiting):
        order(left)
        work()
        check("")
    return places


def test_the_hosts_own_record_is_read_once(inside: Inside, monkeypatch: pytest.MonkeyPatch):
    """It has a mail that it kept back, and one that was delivered and never seen."""
    monkeypatch.setattr(traces, "LAG", timedelta(0))
    client = inside.connect("delta", ("ana",))
    warm_up(inside, client)
    known = client.deliveries()[0].message.internet_message_id
    with client.scope():
        # The record has whole seconds: what it says of this one may lie before the connection.
        Connection.objects.update(created_at=timezone.now() - timedelta(minutes=1))
        connection = Connection.objects.get()
    claimed = ClaimedWork(client.tenant.id, client.tenant.provider_id, 1)
    begun: list[str] = []

    def begin() -> None:
        begun.append(f"<{len(begun)}@never.example>")
        on_record(client, "ana", internet_message_id=begun[-1])
        on_record(client, "ana", internet_message_id=known, status="quarantined")
        with client.scope():
            MailboxSync.objects.update(due_at=timezone.now() + timedelta(hours=1))

    def work() -> None:
        """As if it were time."""
        with client.scope():
            Connection.objects.update(trace_due_at=timezone.now())
        read_traces(claimed, connection.id, connector_of(client.wired()))

    def check(died_at: str) -> None:
        assert len(client.observations(layer=Layer.VENDOR)) == len(begun), died_at
        with client.scope():
            kept = TracedMail.objects.filter(internet_message_id__in=begun)
            assert sorted(kept.values_list("internet_message_id", flat=True)) == sorted(begun)
            assert TracedMail.objects.filter(status="quarantined").count() == len(begun), died_at
            now, row = timezone.now(), Connection.objects.get()
            assert row.traced_until is not None
            assert now - row.traced_until < timedelta(minutes=1), died_at
            assert (row.trace_due_at > now, row.trace_error) == (True, ""), died_at
            # What was not seen is looked for at once.
            assert MailboxSync.objects.get().due_at <= now, died_at

    places = crash_at_each(begin, work, check)
    check_passed(places, "api_bridge.traces", others={"_note": "only a sentence is noted"})
