"""What is watched hourly, by workers that are killed before and after its commit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from api_bridge.blindspots import watch_sight
from api_bridge.conservation import watch_conservation
from api_bridge.models import SeenItem
from incidents.findings import OPENED
from incidents.models import Delivery, Finding, Incident
from incidents.services.states import RESOLVED
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry, Mailbox
from tests.console.test_blindspots import AT, read_at, worker
from tests.crash.worker import check_passed, crash_at_each
from tests.factories import Cast
from tests.incidents.test_disagreements import INFO, happened, passed

__all__ = ["read_at"]
pytestmark = pytest.mark.usefixtures("no_broker")


def make_lost(cast: Cast) -> None:
    """Three mails that the gateway delivered, in a mailbox that was read since."""
    happened(cast, *(passed(cast, INFO, number) for number in (1, 2, 3)))
    Delivery.objects.update(received_at=AT)


def show(is_lost: bool) -> None:
    Delivery.objects.update(mailbox_at=None if is_lost else AT)


def make_unaccounted(cast: Cast) -> None:
    """An item that is still being tried."""
    box = Mailbox.objects.get(address=INFO)
    SeenItem.objects.create(
        tenant=cast.acme, mailbox=box, item_id="a", place="", is_read=False,
        received_at=AT, found_at=AT, is_judged=False,
    )  # fmt: skip


def settle(is_lost: bool) -> None:
    SeenItem.objects.update(place="" if is_lost else "sent")


def said(cast: Cast, code: str) -> dict[str, int]:
    with worker(cast):
        of_code = Incident.objects.filter(finding=code)
        ids = [str(each.id) for each in of_code]
        audit = AuditEntry.objects.filter(object_id__in=ids)
        return {
            "incidents": of_code.count(),
            "open": of_code.exclude(state="resolved").count(),
            "findings": Finding.objects.filter(code=code).count(),
            "standing": Finding.objects.filter(code=code, settled_at=None).count(),
            "opened": audit.filter(action=OPENED).count(),
            "resolved": audit.filter(action=RESOLVED).count(),
        }


def kill_over(
    cast: Cast,
    code: str,
    make: Callable[[Cast], None],
    turn: Callable[[bool], None],
    watch: Callable[[ClaimedWork], None],
) -> set[str]:
    """Something is lost, is found again, is lost anew: an odd number of times, and so once more."""
    times: list[str] = []
    with worker(cast):
        make(cast)

    def begin() -> None:
        times.append(code)
        with worker(cast):
            turn(len(times) % 2 == 1)

    def check(died_at: str) -> None:
        stands, ever, gone = len(times) % 2, (len(times) + 1) // 2, len(times) // 2
        assert said(cast, code) == {
            "incidents": ever, "open": stands, "findings": ever, "standing": stands,
            "opened": ever, "resolved": gone,
        }, died_at  # fmt: skip

    def work() -> None:
        watch(ClaimedWork(cast.acme.id, cast.provider.id, 1))

    places = crash_at_each(begin, work, check)
    assert len(times) % 2, "the other way round the second time"
    return places | crash_at_each(begin, work, check)


def test_delivered_mail_that_is_not_seen_opens_one_incident(cast: Cast, read_at: None):
    places = kill_over(cast, "lost", make_lost, show, watch_sight)
    check_passed(places, "api_bridge.blindspots")


def test_what_has_no_outcome_opens_one_incident(cast: Cast, read_at: None):
    places = kill_over(cast, "unaccounted", make_unaccounted, settle, watch_conservation)
    check_passed(places, "api_bridge.conservation")
