"""The same mail seen by both layers, and what becomes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from incidents import known_rows, opening
from incidents.correlation import make_sense_of_backlog, serve_intake
from incidents.intake import record
from incidents.models import Backlog, Delivery, Incident, IncidentMessage, Message
from incidents.models.mail import Match, Outcome, Place
from incidents.observations import Observation
from incidents.services import resolve_incident
from incidents.story.headline import what_it_is
from incidents.story.sender import Client
from incidents.words import Outcome as Did
from incidents.words import Place as At
from incidents.words import Verdict
from tenants.doors import ClaimedWork
from tenants.errors import is_passing_trouble
from tenants.models import AuditEntry, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw

INFO, IT = "info@acme.example", "it@acme.example"


def take(tenant: Tenant, *seen: Observation) -> None:
    for one in seen:
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
            record([one])
            while make_sense_of_backlog(tenant):
                pass


@pytest.fixture
def acme(cast: Cast):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield cast.acme


def test_the_trace_joins_both_layers_in_any_order(acme: Tenant):
    gateway, mailbox = gateway_saw(acme, INFO), mailbox_saw(acme, INFO)
    take(acme, mailbox)
    assert Delivery.objects.get().match == Match.PENDING
    assert Backlog.objects.get().wait_until is not None
    take(acme, gateway)
    delivery = Delivery.objects.get()
    assert (delivery.match, delivery.place) == (Match.STRONG, Place.INBOX)
    assert delivery.gateway_at
    assert delivery.mailbox_at
    assert Message.objects.count() == 1


def test_one_observation_that_makes_no_sense_holds_up_no_other(cast: Cast):
    of = ClaimedWork(cast.acme.id, cast.provider.id, 1)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        for number in range(9):
            detail = {"received_at": "once upon a time"} if number == 4 else {}
            ulid = f"01J{number:023d}"
            record([gateway_saw(cast.acme, INFO, ulid=ulid, detail=detail)])
    before = datetime.now(UTC)
    for _ in range(20):
        again_at = serve_intake(of)
        if again_at is None or again_at > datetime.now(UTC):
            break
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        assert Message.objects.count() == 8
        aside = Backlog.objects.get()
        assert aside.wait_until is not None
        assert aside.wait_until > before + timedelta(minutes=55)
        entry = AuditEntry.objects.get(action="incidents.observation.put_aside")
        assert (entry.object_id, entry.detail["error"]) == (
            str(aside.observation_id),
            "ValueError",
        )


def test_a_release_is_known_in_any_order_of_its_accounts(acme: Tenant):
    held = gateway_saw(acme, INFO, action=Did.HELD, place=At.HOLD, verdict=Verdict.SPAM)
    later = held.observed_at + timedelta(minutes=9)
    released = replace(held, action=Did.DELIVERED, place=None, verdict=None, observed_at=later)
    take(acme, released, held)
    copy = Delivery.objects.get()
    assert (copy.was_released, copy.outcome) == (True, Outcome.DELIVERED)


@pytest.mark.parametrize("first", [0x21, 0x4E00, 0x20000])
def test_a_message_id_of_any_length_is_stored_and_found_again(acme: Tenant, first: int):
    # At random, so that the index cannot compress it.
    chance = Random(1)
    text = "".join(chr(first + chance.randrange(90)) for _ in range(990))
    own = {"internet_message_id": f"<{text}@evil.example>", "fingerprint": "ab" * 16}
    take(acme, gateway_saw(acme, INFO, **own))
    take(acme, mailbox_saw(acme, INFO, trace_state="missing", trace_ulid="", **own))
    assert Delivery.objects.get().match == Match.WEAK


def test_a_statement_that_can_never_succeed_is_no_passing_trouble(db: None):
    with pytest.raises(OperationalError) as too_large, transaction.atomic():
        connection.cursor().execute(
            "CREATE TEMPORARY TABLE narrow (value text PRIMARY KEY);"
            " INSERT INTO narrow SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) n"
        )
    assert not is_passing_trouble(too_large.value)
    with pytest.raises(OperationalError) as too_slow, transaction.atomic():
        connection.cursor().execute("SET LOCAL statement_timeout = 5; SELECT pg_sleep(9)")
    assert is_passing_trouble(too_slow.value)
    assert not is_passing_trouble(ValueError())


def test_a_trace_that_no_gate_confirms_is_a_bypass(acme: Tenant):
    take(acme, mailbox_saw(acme, INFO))
    Backlog.objects.update(wait_until=datetime.now(UTC) - timedelta(seconds=1))
    make_sense_of_backlog(acme)
    delivery = Delivery.objects.get()
    assert delivery.is_bypass
    assert delivery.match == Match.ONE_LAYER
    assert not Backlog.objects.exists()
    assert Incident.objects.get().kind == Incident.Kind.HEALTH


def come_around(tenant: Tenant, *numbers: int) -> None:
    """Mails that no gateway knows, after the gateway had its time."""
    for number in numbers:
        own = {"internet_message_id": f"<{number}@x.example>", "fingerprint": f"{number:032d}"}
        ulid = f"01J0000000000000000000000{number}"
        take(tenant, mailbox_saw(tenant, INFO, trace_ulid=ulid, **own))
        Backlog.objects.update(wait_until=datetime.now(UTC) - timedelta(seconds=1))
        make_sense_of_backlog(tenant)


def homes() -> list[int]:
    return sorted(IncidentMessage.objects.values_list("incident__number", flat=True))


def test_a_bypass_is_one_open_incident_whatever_the_day(acme: Tenant, cast: Cast):
    come_around(acme, 1)
    long_ago = datetime.now(UTC) - timedelta(days=9)
    Incident.objects.update(opened_at=long_ago)
    Message.objects.update(first_seen_at=long_ago, last_seen_at=long_ago)
    come_around(acme, 2, 3)
    assert homes() == [1, 1, 1]
    incident = Incident.objects.get()
    assert incident.is_open
    assert incident.first_seen_at == long_ago
    words = what_it_is(incident, [], set(), Client(acme))
    assert words == f"Mail around the gateway at Acme since {long_ago:%-d %B %Y}"


def test_after_a_person_has_closed_a_bypass_the_next_mail_opens_the_next(acme: Tenant, cast: Cast):
    come_around(acme, 1)
    incident = Incident.objects.get()
    resolve_incident(
        incident=incident, actor=cast.mo, classification="true_positive", cause="The MX was open"
    )
    come_around(acme, 2)
    assert homes() == [1, 2]


def test_a_bypass_that_is_full_has_the_next_beside_it(acme: Tenant, monkeypatch):
    monkeypatch.setattr(opening, "HEALTH_TAKES", 2)
    come_around(acme, 1, 2, 3, 4)
    assert homes() == [1, 1, 2, 2]


def test_a_replayed_trace_counts_once(acme: Tenant):
    take(acme, gateway_saw(acme, INFO), mailbox_saw(acme, INFO), mailbox_saw(acme, INFO))
    assert sorted(Delivery.objects.values_list("match", flat=True)) == ["ambiguous", "strong"]


def test_mail_without_trace_is_matched_by_id_only_with_sender_or_content(acme: Tenant):
    take(acme, gateway_saw(acme, INFO))
    other = mail_json(sender={"address": "x@else.example", "name": "", "raw": ""})
    lost = {"trace_ulid": "", "trace_state": "missing"}
    take(acme, mailbox_saw(acme, INFO, **lost, fingerprint="0" * 32, mail=other))
    assert Delivery.objects.filter(is_bypass=True).count() == 1
    take(acme, mailbox_saw(acme, INFO, **lost))
    assert Delivery.objects.filter(match=Match.WEAK, is_bypass=False).count() == 1


def test_a_clean_mail_opens_nothing(acme: Tenant):
    take(acme, gateway_saw(acme, INFO), mailbox_saw(acme, INFO))
    assert not Incident.objects.exists()


def test_what_the_gateway_held_alone_opens_nothing(acme: Tenant):
    take(
        acme,
        gateway_saw(acme, INFO, verdict=Verdict.PHISH, score=12.0, action=Did.HELD, place=At.HOLD),
    )
    assert Delivery.objects.get().place == Place.HOLD
    assert not Incident.objects.exists()


def test_passed_by_the_gateway_and_condemned_in_the_mailbox(acme: Tenant):
    take(acme, gateway_saw(acme, INFO), mailbox_saw(acme, INFO, verdict=Verdict.PHISH))
    incident = Incident.objects.get()
    assert incident.kind == "phish"
    assert incident.cross_layer == ["gateway_passed_mailbox_condemned"]
    assert (incident.gateway_verdict, incident.mailbox_verdict) == ("clean", "phish")
    assert incident.counts["in_inbox"] == 1


def test_partly_held(acme: Tenant):
    held = gateway_saw(acme, IT, verdict=Verdict.SPAM, action=Did.HELD, place=At.HOLD)
    take(acme, held, gateway_saw(acme, INFO, verdict=Verdict.SPAM))
    assert "partly_held" in Incident.objects.get().cross_layer


def test_around_the_gateway(acme: Tenant):
    lost = {"trace_ulid": "", "trace_state": "missing", "verdict": Verdict.PHISH}
    take(acme, mailbox_saw(acme, INFO, **lost), mailbox_saw(acme, IT, **lost))
    incident = Incident.objects.get()
    assert "gateway_bypassed" in incident.cross_layer
    assert incident.counts["copies"] == 2
    assert Message.objects.count() == 1


def test_internal_mail_is_no_bypass(acme: Tenant):
    take(
        acme,
        mailbox_saw(
            acme, INFO, direction="internal", trace_ulid="", trace_state="", verdict=Verdict.PHISH
        ),
    )
    assert Incident.objects.get().cross_layer == ["internal_only"]


def test_the_same_content_joins_the_incident_and_says_why(acme: Tenant):
    first = {"verdict": Verdict.PHISH}
    take(acme, gateway_saw(acme, INFO), mailbox_saw(acme, INFO, **first))
    other = "01J00000000000000000000002"
    take(acme, gateway_saw(acme, IT, ulid=other), mailbox_saw(acme, IT, trace_ulid=other, **first))
    incident = Incident.objects.get()
    assert incident.counts["messages"] == 2
    joined = IncidentMessage.objects.order_by("created_at").last()
    assert joined
    assert "content" in joined.reason


def test_after_three_idle_days_a_new_incident_opens(acme: Tenant):
    old = datetime.now(UTC) - timedelta(days=5)
    take(acme, mailbox_saw(acme, INFO, verdict=Verdict.PHISH, observed_at=old, trace_ulid="a"))
    take(acme, mailbox_saw(acme, IT, verdict=Verdict.PHISH, trace_ulid="b"))
    assert Incident.objects.count() == 2


def test_the_order_of_arrival_changes_nothing(acme: Tenant):
    at = datetime.now(UTC)
    seen = [
        gateway_saw(acme, INFO, observed_at=at),
        mailbox_saw(acme, INFO, item="i", observed_at=at + timedelta(seconds=1), verdict="phish"),
        mailbox_saw(
            acme,
            INFO,
            item="i",
            observed_at=at + timedelta(seconds=9),
            place=At.QUARANTINE,
            verdict=None,
            mail={},
        ),
    ]
    results = set()
    for number, order in enumerate(permutations(seen)):
        ulid = f"01J0000000000000000000{number:04d}"
        shifted = [
            replace(
                one,
                trace_ulid=ulid,
                fingerprint=f"{number:032d}",
                source_key=f"{one.source_key}{number}",
                mailbox_item_id=one.mailbox_item_id and f"i{number}",
            )
            for one in order
        ]
        take(acme, *shifted)
        copy = Delivery.objects.get(message__trace_ulid=ulid)
        results.add((copy.place, copy.mailbox_verdict, copy.gateway_verdict, copy.was_exposed))
        assert copy.outcome == Outcome.DELIVERED
    assert results == {("quarantine", "phish", "clean", True)}


def test_an_id_that_came_many_thousand_times_costs_its_latest_mails(acme: Tenant):
    """Whatever their number: nothing reads more rows, and the mails of the day are found."""
    now = datetime.now(UTC)
    Message.objects.bulk_create(
        Message(
            tenant=acme,
            internet_message_id="<same@x.example>" if number % 2 else f"<{number}@x.example>",
            first_seen_at=now - timedelta(minutes=number),
            last_seen_at=now,
        )
        for number in range(5_000)
    )
    most = known_rows.LATEST_OF_ONE_ID
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE; ANALYZE incidents_message; SET LOCAL ROLE c_worker")
        for day, found in ((now, 50), (now - timedelta(days=3), 0)):
            of: list[Any] = [["<same@x.example>"], acme.id, most, day - timedelta(hours=4), day, 50]
            cursor.execute(known_rows._OF_THAT_DAY, of)
            assert len(cursor.fetchall()) == found
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {known_rows._OF_THAT_DAY}", of)
            assert max(rows_read(cursor.fetchone()[0][0]["Plan"])) <= most


def rows_read(plan):
    """Of every step of a plan: rows that came out and rows that were looked at for nothing."""
    yield (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    for step in plan.get("Plans", ()):
        yield from rows_read(step)
