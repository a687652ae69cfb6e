"""Taken in = sum of outcomes, for each layer and hour (PROMISES 3)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from api_bridge.conservation import (
    LONGEST,
    conservation_of,
    unaccounted_of,
    watch_conservation,
)
from api_bridge.models import Connection, MailboxSync, SeenItem
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.ledger import Period
from incidents.models import Finding, Incident
from incidents.words import Outcome, Place
from tenants.doors import ClaimedWork
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.console.test_blindspots import AT, HOUR, worker
from tests.factories import Cast, gateway_saw, mailbox_saw
from tests.incidents.test_disagreements import INFO, IT

pytestmark = pytest.mark.usefixtures("no_broker")
PERIOD = Period(HOUR - timedelta(hours=2), HOUR + timedelta(hours=1))
BEFORE = AT - timedelta(hours=1)


def ulid(n: int) -> str:
    return f"01J0000000000000000000000{n}"


@pytest.fixture
def taken_in(cast):
    """Gateway: delivered, held, deferred and then delivered an hour later, unknown, and one that
    nobody made sense of.  Mailbox: judged, sent, being tried, and one whose observation is lost.
    """
    acme = cast.acme
    with worker(cast):
        record(
            [
                gateway_saw(acme, INFO, ulid=ulid(1), observed_at=AT),
                gateway_saw(
                    acme, INFO, ulid=ulid(2), observed_at=AT, action=Outcome.HELD, place=Place.HOLD
                ),
                gateway_saw(acme, INFO, ulid=ulid(3), observed_at=BEFORE, action=Outcome.PASSED),
                gateway_saw(acme, INFO, ulid=ulid(3), observed_at=AT),
                gateway_saw(acme, IT, ulid=ulid(4), observed_at=AT, action=Outcome.UNKNOWN),
                mailbox_saw(
                    acme, IT, source_key="a/scan", item="a", observed_at=AT,
                    trace_ulid="", trace_state="missing", internet_message_id="<a@x>",
                ),
            ]
        )  # fmt: skip
        make_sense_of_backlog(acme)
        record([gateway_saw(acme, IT, ulid=ulid(5), observed_at=AT)])
        connection = Connection.objects.create(tenant=acme, kind="graph")
        box = Mailbox.objects.get(address=IT)
        MailboxSync.objects.create(tenant=acme, mailbox=box, connection=connection, due_at=AT)
        for item, place, is_judged in (
            ("a", "inbox", True), ("b", "sent", False), ("c", "", False), ("d", "inbox", True),
        ):  # fmt: skip
            SeenItem.objects.create(
                tenant=acme, mailbox=box, item_id=item, place=place, is_read=False,
                received_at=AT, found_at=AT, is_judged=is_judged,
            )  # fmt: skip


def test_what_was_taken_in_is_what_became_of_it_and_what_is_unaccounted(cast, taken_in):
    with tenant_scope(Role.ANALYST, [cast.acme.id]):
        gateway, mailbox = conservation_of(cast.acme, PERIOD)
        lost = unaccounted_of(cast.acme, PERIOD)
    assert [(each.at, each.outcomes, each.unaccounted) for each in gateway.hours] == [
        (BEFORE.replace(minute=0), {"delivered": 1}, 0),
        (HOUR, {"delivered": 1, "held": 1}, 2),
    ]
    assert (gateway.taken_in, gateway.unaccounted) == (5, 2)
    assert (mailbox.taken_in, mailbox.outcomes, mailbox.unaccounted) == (
        4, {"judged": 1, "noted": 1}, 2,
    )  # fmt: skip
    assert sorted((each.layer, each.name) for each in lost) == [
        ("gateway", ulid(4)), ("gateway", ulid(5)), ("mailbox", "c"), ("mailbox", "d"),
    ]  # fmt: skip


def test_once_all_is_made_sense_of_nothing_is_unaccounted(cast, taken_in):
    acme = cast.acme
    with worker(cast):
        later = AT + timedelta(minutes=5)
        record([gateway_saw(acme, IT, ulid=ulid(4), observed_at=later)])
        SeenItem.objects.filter(item_id="c").update(place="inbox", is_judged=True)
        record(
            mailbox_saw(
                acme, IT, source_key=f"{item}/scan", item=item, observed_at=AT,
                trace_ulid="", trace_state="missing", internet_message_id=f"<{item}@x>",
            )
            for item in "cd"
        )  # fmt: skip
        assert conservation_of(acme, PERIOD)[1].unaccounted == 2  # stored, not made sense of
        make_sense_of_backlog(acme)
        assert [each.unaccounted for each in conservation_of(acme, PERIOD)] == [0, 0]
        assert [each.taken_in for each in conservation_of(acme, PERIOD)] == [5, 4]


def test_page_and_api_say_it_of_ones_own_client(client, cast, taken_in):
    client.force_login(cast.bo)
    wish = {"from": PERIOD.since.isoformat(), "to": PERIOD.until.isoformat()}
    told = client.get("/api/v1/tenants/acme/conservation", wish).json()
    assert [(each["layer"], each["unaccounted"]) for each in told["layers"]] == [
        ("gateway", 2), ("mailbox", 2),
    ]  # fmt: skip
    assert len(told["unaccounted"]) == 4
    assert client.get("/api/v1/tenants/globex/conservation").status_code == 404
    assert client.get("/api/v1/tenants/acme/conservation", {"x": "1"}).status_code == 400
    page = client.get(reverse("client_blindspots", args=["acme"])).content.decode()
    assert "5 taken in, 2 delivered, 1 held" in page
    assert "2 unaccounted" in page
    assert ulid(4) in page


def watch(cast: Cast) -> None:
    watch_conservation(ClaimedWork(cast.acme.id, cast.provider.id, 1))


def alarms(cast: Cast) -> list[tuple[str, bool, str]]:
    """Of each finding: layer, whether it stands, the state of its incident."""
    with worker(cast):
        rows = Finding.objects.filter(code="unaccounted").select_related("incident")
        found = [(row.key, row.settled_at is None, row.incident.state) for row in rows]
    return sorted(found)


def test_what_stays_unaccounted_opens_one_incident_until_it_has_an_outcome(client, cast, taken_in):
    for _ in range(2):
        watch(cast)
    assert alarms(cast) == [("gateway", True, "new"), ("mailbox", True, "new")]
    with worker(cast):
        (incident,) = Incident.objects.filter(finding="unaccounted")
        words = incident.findings.get(key="gateway").words
        assert (
            f"of 2 of 5 copies that were taken in nobody knows what became: 2 from {HOUR:%-d}"
            in words
        )
        make_sense_of_backlog(cast.acme)
        record([gateway_saw(cast.acme, IT, ulid=ulid(4), observed_at=AT + timedelta(minutes=5))])
        make_sense_of_backlog(cast.acme)
    client.force_login(cast.bo)
    page = client.get(reverse("incident", args=[incident.id])).content.decode()
    assert "See what has no outcome" in page
    assert f"{reverse('client_blindspots', args=['acme'])}?days=7" in page
    watch(cast)
    assert alarms(cast) == [("gateway", False, "new"), ("mailbox", True, "new")]
    with worker(cast):
        SeenItem.objects.filter(item_id__in="cd").update(place="sent", is_judged=False)
    watch(cast)
    assert {state for _, _, state in alarms(cast)} == {"resolved"}


def test_within_the_grace_time_nothing_is_said(cast):
    with worker(cast):
        record([gateway_saw(cast.acme, INFO, ulid=ulid(1))])
    watch(cast)
    assert alarms(cast) == []


def test_what_is_too_old_to_be_looked_at_is_not_said_to_be_settled(cast, taken_in):
    watch(cast)
    with worker(cast):
        Finding.objects.update(since=AT - LONGEST)
        SeenItem.objects.all().delete()
    watch(cast)
    assert [stands for _, stands, _ in alarms(cast)] == [True, True]
