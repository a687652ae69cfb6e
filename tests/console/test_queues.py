"""The page of queues: what waits is counted, listed and saved, and ordered about with an audit."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from seg_bridge.models import Gate, GateCommand, QueueItem
from tenants.ids import new_id
from tests.console.test_work_pages import browser
from tests.incidents.work_on import staff
from tests.seg_bridge.conftest import make_gate

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def mx1(cast):
    return make_gate(cast, cast.acme, cast.globex).row


def wait(tenant, gate, number=1, **changes) -> QueueItem:
    """One copy in the queue, an hour old for each number."""
    values = {
        "queue_id": f"4F1C{number}",
        "where": "deferred",
        "recipient": f"box{number}@{tenant.slug}.example",
        "sender": "ann@sender.example",
        "next_hop": f"mail.{tenant.slug}.example:25",
        "reason": "450 4.7.1 later",
        "reason_kind": "later",
        "size_bytes": 100,
        "arrived_at": timezone.now() - timedelta(hours=number),
        "may_return": True,
    }
    row: QueueItem = QueueItem.objects.create(
        id=new_id(), tenant=tenant, gate=gate, **(values | changes)
    )
    return row


def test_every_number_of_the_summary_opens_the_list_behind_it(cast, mx1):
    with staff(cast):
        wait(cast.acme, mx1, 1)
        wait(cast.acme, mx1, 2, where="hold")
        wait(cast.acme, mx1, 3, reason_kind="full")
        wait(cast.globex, mx1, 4)
    ana = browser(cast.ana)
    page = ana.get(reverse("queues")).content.decode()
    links = re.findall(r'<a href="(\?[^"]+)">(\d+)</a>', page)
    assert {int(n) for _, n in links} >= {3, 1, 2}
    for link, n in links:
        shown = ana.get(reverse("queues") + link.replace("&amp;", "&")).content.decode()
        assert shown.count("<tr data-row") == int(n), link


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, "1234"),
        ({"client": "globex"}, "4"),
        ({"q": "box2@"}, "2"),
        ({"q": "4F1C3"}, "3"),
        ({"q": "ann@"}, "1234"),
        ({"where": "hold"}, "2"),
        ({"why": "full"}, "3"),
        ({"older": "3"}, "34"),
        ({"hop": "mail.acme.example:25"}, "123"),
    ],
)
def test_filters_narrow_page_and_file_alike(cast, mx1, query, numbers):
    with staff(cast):
        wait(cast.acme, mx1, 1)
        wait(cast.acme, mx1, 2, where="hold")
        wait(cast.acme, mx1, 3, reason_kind="full")
        wait(cast.globex, mx1, 4)
    ana = browser(cast.ana)
    for name in ("queues", "queues_csv"):
        shown = ana.get(reverse(name), query).content.decode()
        found = {n for n in "1234" if f"box{n}@" in shown}
        assert found == set(numbers), name


def test_an_analyst_sees_and_orders_for_her_clients_only(cast, mx1):
    with staff(cast):
        mine, foreign = wait(cast.acme, mx1), wait(cast.globex, mx1, 2)
    bo = browser(cast.bo)
    assert "globex" not in bo.get(reverse("queues")).content.decode()
    assert bo.post(reverse("queue_order", args=[foreign.id, "retry"])).status_code == 404
    where = reverse("queue_order", args=[mine.id, "hold"])
    assert bo.post(where, {"reason": "It is being looked into"}).status_code == 302
    with staff(cast):
        command = GateCommand.objects.get()
        assert (command.kind, command.queue_id, command.tenant) == ("q_hold", "4F1C1", cast.acme)
    page = bo.get(reverse("queues")).content.decode()
    assert "Put on hold: ordered" in page
    with staff(cast):
        GateCommand.objects.update(ok=False, detail="It is gone", done_at=datetime.now(UTC))
    assert "Put on hold: It is gone" in bo.get(reverse("queues")).content.decode()


def test_an_order_says_whom_else_it_is_about(cast, mx1):
    with staff(cast):
        one = wait(cast.acme, mx1)
        wait(cast.acme, mx1, 2, queue_id=one.queue_id)
    asked = browser(cast.ana).get(reverse("queue_order", args=[one.id, "remove"]))
    assert "this also holds for box2@acme.example" in asked.content.decode()


def test_a_gate_that_tells_nothing_is_named_and_an_empty_queue_says_so(cast, mx1):
    ana = browser(cast.ana)
    page = ana.get(reverse("queues")).content.decode()
    assert "mx1 has not told its queue" in page
    assert "Nothing waits" in page
    with staff(cast):
        Gate.objects.update(queue_at=timezone.now(), queue_left_out=7)
    page = ana.get(reverse("queues")).content.decode()
    assert "has not told" not in page
    assert "mx1 has 7 more" in page
