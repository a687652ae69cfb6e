"""Merge, split and move by people and by Bailey, and that undoing each restores the state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import pytest
from django.utils import timezone

from console.queries.sla import due_within
from incidents.campaigns.ledger import standing
from incidents.campaigns.moving import lineage, message_ids_of, successor
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import (
    Edge,
    GroupKey,
    Incident,
    IncidentMessage,
    Job,
    Message,
    Pause,
    Quiet,
    Regrouping,
    StandingOrder,
)
from incidents.observations import Observation
from incidents.opening import refresh_incident
from incidents.orders import give_order, orders_in_force
from incidents.regroup import (
    merge_incidents,
    move_messages,
    split_incident,
    undo_regrouping,
    undoable,
)
from incidents.regroup_campaigns import join_campaign, leave_campaign
from incidents.remediation import pull_incident
from incidents.services import resolve_incident, take_incident
from incidents.services.waiting import stop_waiting, wait_for
from incidents.sla.plan import BUILT_IN_TARGETS
from incidents.taking_back import restore_incident
from incidents.words import Verdict
from tenants.errors import Conflict, WrongInput
from tenants.models import AuditEntry, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw

NOW = datetime.now(UTC)
WHY = "the same sender's work"


@pytest.fixture
def acme(cast: Cast) -> Iterator[Tenant]:
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield cast.acme


def take(tenant: Tenant, *seen: Observation) -> None:
    record(seen)
    while make_sense_of_backlog(tenant):
        pass


def phish(tenant: Tenant, number: int, text: str, **changes: Any) -> list[Observation]:
    """Mail ``number`` with the content named ``text``, condemned in the mailbox."""
    ulid = f"01J00000000000000000000{number:03d}"
    recipient = f"user{number}@{tenant.slug}.example"
    sender = {"address": f"eve@{text}.example", "name": "", "raw": ""}
    values: dict[str, Any] = {
        "fingerprint": text.ljust(32, "0"),
        "internet_message_id": f"<{number}@{text}.example>",
        "mail": mail_json(
            subject=f"About {text} number {number}", sender=sender, shingles=list(range(64))
        ),
        "observed_at": NOW + timedelta(minutes=number),
    } | changes
    if text != "short":
        values["mail"]["shingles"] = [crc32(f"{text}{at}".encode()) for at in range(64)]
    return [
        gateway_saw(tenant, recipient, ulid=ulid, **values),
        mailbox_saw(tenant, recipient, trace_ulid=ulid, verdict=Verdict.PHISH, **values),
    ]


def as_it_stands() -> dict[str, Any]:
    """All that a regrouping may touch and that is not append-only."""
    incidents = [
        {name: value for name, value in row.items() if name != "revision"}
        for row in Incident.objects.order_by("number").values()
    ]
    edges = standing().values_list("level", "act", "a", "b", "kind", "value", "weight", "who")
    return {
        "incidents": incidents,
        "members": list(IncidentMessage.objects.order_by("id").values()),
        "keys": list(GroupKey.objects.order_by("id").values()),
        "jobs": list(Job.objects.order_by("id").values()),
        "edges": sorted(edges, key=str),
    }


@pytest.fixture
def two(acme: Tenant) -> tuple[Incident, Incident]:
    """Incident 1 with three mails of one text, incident 2 with two of another."""
    for number in (1, 2, 3):
        take(acme, *phish(acme, number, "apple"))
    for number in (4, 5):
        take(acme, *phish(acme, number, "pear"))
    one, other = Incident.objects.order_by("number")
    assert (len(message_ids_of(one)), len(message_ids_of(other))) == (3, 2)
    return one, other


def test_merging_takes_mail_and_history_along_and_undo_brings_both_back(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, other = two
    take_incident(incident=other, actor=cast.ana)
    job = Job.objects.create(
        tenant=acme, incident=other, kind=Job.Kind.PULL, requested_by="Ana", reason="x"
    )
    refresh_incident(Incident.objects.get(id=other.id))
    before = as_it_stands()
    done = merge_incidents(kept=other, gone=one, actor=cast.ana, reason=WHY)
    one.refresh_from_db()
    other.refresh_from_db()
    assert other.merged_into_id == one.id
    assert not other.is_open
    assert one.counts["messages"] == 5
    assert Job.objects.get(id=job.id).incident_id == one.id
    assert successor(other).id == one.id
    assert lineage(one) == [one.id, other.id]
    undo_regrouping(done=done, actor=cast.ana)
    assert as_it_stands() == before
    assert AuditEntry.objects.filter(action__startswith="incidents.incident.").count() >= 4


def test_splitting_and_undoing_restores_the_state(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, _ = two
    before = as_it_stands()
    leaving = message_ids_of(one)[1:2]
    done = split_incident(incident=one, messages=leaving, actor=cast.ana, reason=WHY)
    made = Incident.objects.get(number=3)
    assert message_ids_of(made) == leaving
    assert made.counts["messages"] == 1
    assert Incident.objects.get(id=one.id).counts["messages"] == 2
    undo_regrouping(done=done, actor=cast.ana)
    after = as_it_stands()
    redirect = after["incidents"].pop()
    assert redirect["merged_into_id"] == one.id
    assert after == before


def test_what_is_split_off_keeps_the_clock_of_the_one_it_came_from(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    """Three hours ago it opened and was taken; an hour of silence, then the client was asked."""
    one, _ = two
    now = timezone.now()
    hour = timedelta(hours=1)
    opened = now - 3 * hour
    take_incident(incident=one, actor=cast.ana)
    Incident.objects.filter(id=one.id).update(
        opened_at=opened, triaged_at=opened + hour / 4, acted_at=opened + hour / 2
    )
    silent = {"tenant": acme, "incident": one, "kind": Quiet.Kind.MUTED, "reason": "known"}
    ended = {"until": opened + 2 * hour, "ended_at": opened + 2 * hour, "copies": 3, "exposed": 0}
    Quiet.objects.create(**silent, **ended, started_at=opened + hour, started_by="Ana")
    one = Incident.objects.select_related("tenant").get(id=one.id)
    wait_for(incident=one, actor=cast.ana, cause="client_answer", asked="Did anybody pay?")
    done = split_incident(
        incident=one, messages=message_ids_of(one)[1:2], actor=cast.ana, reason=WHY
    )
    made = Incident.objects.select_related("tenant").get(number=3)
    assert (made.opened_at, made.triaged_at) == (opened, opened + hour / 4)
    assert (made.acted_at, made.due_at, made.waiting_for) == (
        opened + hour / 2,
        None,
        "client_answer",
    )

    stop_waiting(incident=made, actor=cast.ana, answer="No.")
    one.refresh_from_db()
    made.refresh_from_db()
    # What the other is asked is still open there; of the part the client has answered.
    assert (one.due_at, made.due_for) == (None, "contain")
    agreed = BUILT_IN_TARGETS[made.severity]["contain"] * timedelta(minutes=1)
    assert made.due_at is not None
    assert hour <= made.due_at - opened - agreed < hour + timedelta(minutes=1)
    forecast = {each.id for each in due_within(Incident.objects.all(), "48")}
    assert (made.id in forecast, one.id in forecast) == (True, False)

    undo_regrouping(done=done, actor=cast.ana)
    one.refresh_from_db()
    assert one.waiting_for == "client_answer"
    assert Pause.objects.filter(ended_at=None).count() == 1


def test_an_answer_given_before_a_split_is_undone_stays_given(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one = Incident.objects.select_related("tenant").get(id=two[0].id)
    wait_for(incident=one, actor=cast.ana, cause="client_answer", asked="Did anybody pay?")
    done = split_incident(
        incident=one, messages=message_ids_of(one)[1:2], actor=cast.ana, reason=WHY
    )
    stop_waiting(incident=one, actor=cast.ana, answer="No.")
    undo_regrouping(done=done, actor=cast.ana)
    one.refresh_from_db()
    assert (one.waiting_for, one.due_at is None) == ("", False)


def test_moving_and_undoing_restores_the_state(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, other = two
    before = as_it_stands()
    leaving = message_ids_of(one)[:1]
    done = move_messages(incident=one, target=other, messages=leaving, actor=cast.ana, reason=WHY)
    assert Incident.objects.get(id=other.id).counts["messages"] == 3
    undo_regrouping(done=done, actor=cast.ana)
    assert as_it_stands() == before


def test_what_people_did_after_a_merge_survives_its_undoing(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, other = two
    done = merge_incidents(kept=one, gone=other, actor=cast.ana, reason=WHY)
    take_incident(incident=Incident.objects.get(id=one.id), actor=cast.bo)
    undo_regrouping(done=done, actor=cast.ana)
    assert Incident.objects.get(id=one.id).owner_name == "Bo"
    assert Incident.objects.get(id=other.id).owner_name == ""


def test_later_mail_does_not_join_again_what_a_person_split(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, _ = two
    split_incident(incident=one, messages=message_ids_of(one)[1:2], actor=cast.ana, reason=WHY)
    take(acme, *phish(acme, 7, "apple"))
    take(acme, *phish(acme, 8, "apple"))
    assert Incident.objects.filter(merged_into=None).count() == 3
    assert Regrouping.objects.count() == 1


def test_a_mail_that_belongs_to_both_makes_two_incidents_one(acme: Tenant):
    take(acme, *phish(acme, 1, "apple"))
    take(acme, *phish(acme, 2, "pear"))
    both = phish(acme, 3, "apple")
    shingles = both[0].mail["shingles"]
    pear = Message.objects.get(fingerprint__startswith="pear")
    half = [*pear.facts["shingles"][:60], *shingles[60:]]
    for one in both:
        one.mail["shingles"] = half
    take(acme, *both)
    kept, gone = Incident.objects.order_by("number")
    assert gone.merged_into_id == kept.id
    assert kept.counts["messages"] == 3
    assert Regrouping.objects.get().who == "Bailey"
    assert AuditEntry.objects.filter(action="incidents.incident.merged").count() == 1


def test_incidents_that_people_treat_differently_stay_two(acme: Tenant, cast: Cast):
    take(acme, *phish(acme, 1, "apple"))
    take(acme, *phish(acme, 2, "pear"))
    one, other = Incident.objects.order_by("number")
    take_incident(incident=one, actor=cast.ana)
    take_incident(incident=other, actor=cast.bo)
    both = phish(acme, 3, "apple")
    pear = Message.objects.get(fingerprint__startswith="pear")
    for seen in both:
        seen.mail["shingles"] = [*pear.facts["shingles"][:60], 1, 2, 3, 4]
    take(acme, *both)
    assert not Incident.objects.exclude(merged_into=None).exists()


def test_a_person_can_take_back_what_bailey_merged(acme: Tenant, cast: Cast):
    test_a_mail_that_belongs_to_both_makes_two_incidents_one(acme)
    kept, gone = Incident.objects.order_by("number")
    undo_regrouping(done=undoable(kept)[0], actor=cast.ana)
    gone.refresh_from_db()
    assert gone.merged_into_id is None
    assert gone.counts["messages"] == 1


def test_undo_goes_from_the_newest_backwards(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, other = two
    split = split_incident(
        incident=one, messages=message_ids_of(one)[1:2], actor=cast.ana, reason=WHY
    )
    merged = merge_incidents(
        kept=Incident.objects.get(id=one.id), gone=other, actor=cast.bo, reason=WHY
    )
    with pytest.raises(Conflict, match="first undo what Bo did"):
        undo_regrouping(done=split, actor=cast.ana)
    undo_regrouping(done=merged, actor=cast.ana)
    undo_regrouping(done=split, actor=cast.ana)
    with pytest.raises(Conflict):
        undo_regrouping(done=split, actor=cast.ana)


def test_an_incident_never_spans_clients(acme: Tenant, two: tuple[Incident, Incident], cast: Cast):
    globex = cast.globex
    with tenant_scope(Role.WORKER, [globex.id], provider_id=cast.provider.id):
        take(globex, *phish(globex, 6, "apple"))
    with tenant_scope(Role.ANALYST, [acme.id, globex.id], provider_id=cast.provider.id):
        theirs = Incident.objects.get(tenant=globex)
        assert theirs.counts["messages"] == 1
        with pytest.raises(WrongInput, match="never spans clients"):
            merge_incidents(kept=two[0], gone=theirs, actor=cast.ana, reason=WHY)
        assert not Edge.objects.filter(tenant=globex).exists()


@pytest.mark.parametrize("chosen", [0, 3])
def test_a_split_leaves_something_on_both_sides(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast, chosen: int
):
    with pytest.raises(WrongInput):
        split_incident(
            incident=two[0],
            messages=message_ids_of(two[0])[:chosen],
            actor=cast.ana,
            reason=WHY,
        )


def test_the_ledger_is_only_ever_added_to(acme: Tenant, two: tuple[Incident, Incident]):
    from django.db import ProgrammingError, transaction

    for change in (lambda: Edge.objects.update(label="x"), lambda: Edge.objects.all().delete()):
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            change()


def test_undoing_a_split_leaves_the_merge_before_it_to_be_undone_whole(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, other = two
    before = as_it_stands()
    merged = merge_incidents(kept=one, gone=other, actor=cast.ana, reason=WHY)
    theirs = message_ids_of(one)[3:]
    split = split_incident(incident=one, messages=theirs, actor=cast.ana, reason=WHY)
    undo_regrouping(done=split, actor=cast.ana)
    undo_regrouping(done=merged, actor=cast.ana)
    after = as_it_stands()
    assert after["edges"] == before["edges"], "her word that they are one stands no longer"
    assert after["members"] == before["members"]


def test_what_has_no_mail_any_more_is_refused_in_words(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, other = two
    IncidentMessage.objects.filter(incident=other).update(incident=one)
    refresh_incident(Incident.objects.get(id=other.id))
    with pytest.raises(WrongInput, match="#2 has no mail any more"):
        merge_incidents(kept=one, gone=other, actor=cast.ana, reason=WHY)
    with pytest.raises(WrongInput, match="#2 has no mail any more"):
        join_campaign(incident=one, other=other, actor=cast.ana, reason=WHY)


def test_the_only_incident_of_a_campaign_stays_in_it(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, other = two
    join_campaign(incident=one, other=other, actor=cast.ana, reason=WHY)
    merge_incidents(kept=one, gone=other, actor=cast.ana, reason=WHY)
    with pytest.raises(WrongInput, match="no other incident"):
        leave_campaign(incident=one, actor=cast.ana, reason=WHY)


def test_what_was_merged_misses_no_agreed_time_and_starts_no_job(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, other = two
    assert other.due_at is not None
    done = merge_incidents(kept=one, gone=other, actor=cast.ana, reason=WHY)
    gone = Incident.objects.select_related("tenant").get(id=other.id)
    assert (gone.due_at, gone.due_for) == (None, "")
    with pytest.raises(Conflict, match="#2 was merged"):
        pull_incident(incident=gone, actor=cast.ana)
    undo_regrouping(done=done, actor=cast.ana)
    assert Incident.objects.get(id=other.id).due_at == other.due_at


def test_restoring_withdraws_the_orders_of_what_was_merged_into_it_too(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, other = two
    for each in two:
        give_order(incident=each, kind="pull", actor=cast.ana)
    merge_incidents(kept=one, gone=other, actor=cast.ana, reason=WHY)
    restore_incident(incident=Incident.objects.get(id=one.id), actor=cast.ana)
    assert not StandingOrder.objects.filter(orders_in_force()).exists()


def test_a_part_of_a_closed_incident_keeps_what_caused_it(
    acme: Tenant, two: tuple[Incident, Incident], cast: Cast
):
    one, _ = two
    resolve_incident(
        incident=one, actor=cast.ana, classification="benign", cause="A drill", cause_code="other"
    )
    split_incident(incident=one, messages=message_ids_of(one)[1:2], actor=cast.ana, reason=WHY)
    made = Incident.objects.get(number=3)
    assert (made.classification, made.cause_code, made.cause) == ("benign", "other", "A drill")
