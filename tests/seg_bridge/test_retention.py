"""How long held mail is kept, and what nothing removes."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from django.urls import reverse
from django.utils import timezone

from incidents.client_words import ask_for_release
from incidents.correlation import make_sense_of_backlog
from incidents.evidence import read_evidence, store_evidence
from incidents.intake import record
from incidents.models import Delivery, Evidence, Incident, IncidentMessage, Message
from incidents.remediation import release_held
from incidents.words import Place, Verdict
from seg_bridge.held.drop import delete_held
from seg_bridge.held.legal import end_hold, set_hold
from seg_bridge.held.retention import serve_retention
from seg_bridge.held.shorter import would_be_deleted
from seg_bridge.models import GateCommand, LegalHold, PolicyLayer
from seg_bridge.policies.layers import Target
from seg_bridge.policies.services import ask_change, make_change
from tenants.errors import Conflict, NotAllowed, NotThere, WrongInput
from tenants.models import AuditEntry, Domain, Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, state_policy
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.test_requests import claimed, scope
from tests.seg_bridge.test_requests import hold as hold_one

RAW = b"From: eve@evil.example\r\n\r\n%d\r\n"


@pytest.fixture
def gated(cast: Cast) -> Cast:
    """Acme keeps held mail for a week, its second domain for a day."""
    make_gate(cast, cast.acme)
    with scope(cast):
        second = Domain.objects.create(
            tenant=cast.acme, name="labs.example", next_hop_host="127.0.0.1", next_hop_port=25
        )
        Mailbox.objects.create(tenant=cast.acme, domain=second, address="lab@labs.example")
        state_policy(cast.acme, held_keep_days=7)
        PolicyLayer.objects.create(
            provider=cast.provider,
            tenant=cast.acme,
            level=PolicyLayer.Level.DOMAIN,
            domain=second,
            stated={"held.keep_days": {"value": 1}},
            changed_by="Mo",
        )
    return cast


_counter = iter(range(1, 1000))


def hold(cast: Cast, *, days: float, to: str = "info@acme.example") -> Delivery:
    """A mail that has been held for so many days, with its original in the store."""
    raw = RAW % next(_counter)
    copy = hold_one(cast, Verdict.PHISH, evidence=sha256(raw).hexdigest(), recipient=to)
    with scope(cast):
        store_evidence(tenant_id=cast.acme.id, raw=raw, source="gate:mx1", method="smtp")
        Message.objects.filter(id=copy.message_id).update(size_bytes=4_000_000)
        at = timezone.now() - timedelta(days=days)
        Delivery.objects.filter(id=copy.id).update(received_at=at)
    return copy


def dropped(cast: Cast) -> set[UUID]:
    """Copies that a gate was told to throw away."""
    with scope(cast):
        told = GateCommand.objects.filter(kind=GateCommand.Kind.DROP)
        ulids = told.values_list("trace_ulid", flat=True)
        found = Delivery.objects.filter(message__trace_ulid__in=list(ulids))
        return set(found.values_list("id", flat=True))


def carried_out(cast: Cast) -> None:
    """As the gate's word makes it."""
    gone = dropped(cast)
    with scope(cast):
        GateCommand.objects.update(ok=True)
        Delivery.objects.filter(id__in=gone).update(place=Place.GONE)


def kept_originals(cast: Cast) -> int:
    with scope(cast):
        return Evidence.objects.count()


def test_two_domains_of_one_client_keep_different_ages(gated: Cast):
    ours = hold(gated, days=3)
    labs = hold(gated, days=3, to="lab@labs.example")
    young = hold(gated, days=0.5, to="lab@labs.example")
    old = hold(gated, days=8)
    serve_retention(claimed(gated))
    assert dropped(gated) == {labs.id, old.id}
    assert kept_originals(gated) == 4  # the gate has not said so yet
    carried_out(gated)
    serve_retention(claimed(gated))
    assert kept_originals(gated) == 2
    with scope(gated):
        assert read_evidence(tenant_id=gated.acme.id, digest=ours.message.evidence)
        with pytest.raises(NotThere):
            read_evidence(tenant_id=gated.acme.id, digest=old.message.evidence)
        assert Message.objects.get(id=old.message_id).evidence == ""
        reasons = AuditEntry.objects.filter(action="seg_bridge.held.expired")
        assert set(reasons.values_list("object_id", "reason")) == {
            (str(labs.id), "older than 1 days (policy of labs.example)"),
            (str(old.id), "older than 7 days (policy of Acme)"),
        }
        assert AuditEntry.objects.filter(action="incidents.evidence.removed").count() == 2
        assert set(Delivery.objects.filter(place=Place.HOLD).values_list("id", flat=True)) == {
            ours.id,
            young.id,
        }


def test_a_second_pass_does_nothing_twice(gated: Cast):
    hold(gated, days=9)
    for _ in range(3):
        serve_retention(claimed(gated))
    with scope(gated):
        assert GateCommand.objects.count() == 1
        assert AuditEntry.objects.filter(action="seg_bridge.held.expired").count() == 1


def test_beyond_its_size_the_oldest_goes_first(gated: Cast):
    copies = [hold(gated, days=days) for days in (3, 2, 1)]
    with scope(gated):
        state_policy(gated.acme, held_keep_days=30, held_most_mb=10)
    serve_retention(claimed(gated))
    assert dropped(gated) == {copies[0].id}


@pytest.mark.parametrize(
    ("states", "number"),
    [
        ({"held.keep_days": 5}, 1),
        ({"held.keep_days": 2}, 2),
        ({"held.keep_days": 90}, 0),
        ({"held.most_mb": 10}, 2),  # 4 MB each: of four within their time two have room
        ({"action.spam": "tag"}, 0),
    ],
)
def test_who_shortens_the_time_is_shown_how_much_would_go(
    gated: Cast, client, states: dict[str, Any], number: int
):
    """The second domain states a time of its own; what goes today anyway is not counted."""
    for days in (3, 6, 9, 1):
        hold(gated, days=days)
    hold(gated, days=0.5, to="lab@labs.example")
    with scope(gated):
        target = Target(provider=gated.provider, tenant=gated.acme)
        asked = ask_change(target=target, version=1, actor=gated.mo, states=states)
        assert would_be_deleted(asked) == number
    client.force_login(gated.mo)
    page = client.get(reverse("policy_change", args=[asked.id])).content.decode()
    assert ("would be deleted within the hour" in page) == bool(number)
    assert (f"Up to {number} mail" in page) == bool(number)
    with scope(gated):
        make_change(change=asked, actor=gated.mo, reason="agreed", despite=True)
    assert dropped(gated) == set()
    serve_retention(claimed(gated))
    assert len(dropped(gated)) == number + 1 - (states.get("held.keep_days") == 90)


def _open_incident(cast: Cast, copy: Delivery) -> None:
    with scope(cast):
        incident = Incident.objects.filter(memberships__message=copy.message_id).first()
        if incident is None:
            incident = Incident.objects.create(
                tenant=cast.acme,
                number=1,
                title="Phish",
                kind="phish",
                first_seen_at=timezone.now(),
                last_seen_at=timezone.now(),
            )
            IncidentMessage.objects.create(
                tenant=cast.acme, incident=incident, message_id=copy.message_id
            )


def _legal_hold(cast: Cast, copy: Delivery) -> None:
    with scope(cast):
        set_hold(tenant=cast.acme, message=copy.message, actor=cast.ana, reason="A lawsuit")


def _hold_on_the_client(cast: Cast, copy: Delivery) -> None:
    with scope(cast):
        set_hold(tenant=cast.acme, message=None, actor=cast.ana, reason="A lawsuit")


def _wish(cast: Cast, copy: Delivery) -> None:
    with tenant_scope(Role.PORTAL, [cast.acme.id]):
        ask_for_release(delivery=copy, person=cast.pia, reason="Please.")


def _release(cast: Cast, copy: Delivery) -> None:
    with scope(cast):
        release_held(delivery=copy, actor=cast.ana)


@pytest.mark.parametrize(
    "need", [_open_incident, _legal_hold, _hold_on_the_client, _wish, _release]
)
def test_what_is_needed_stays(need, gated: Cast):
    copy = hold(gated, days=40)
    need(gated, copy)
    serve_retention(claimed(gated))
    assert dropped(gated) == set()
    assert kept_originals(gated) == 1


def test_the_original_of_a_mail_that_another_copy_still_holds_stays(gated: Cast):
    copy = hold(gated, days=8)
    with scope(gated):
        message = Message.objects.get(id=copy.message_id)
        Delivery.objects.create(
            tenant=gated.acme,
            message=message,
            recipient="ceo@acme.example",
            outcome="held",
            place=Place.HOLD,
            received_at=timezone.now() - timedelta(days=2),
        )
        Delivery.objects.filter(id=copy.id).update(place=Place.GONE)
    serve_retention(claimed(gated))
    assert kept_originals(gated) == 1


def test_what_was_delivered_at_once_is_not_held_mail(gated: Cast):
    copy = hold(gated, days=40)
    with scope(gated):
        Delivery.objects.filter(id=copy.id).update(place=Place.INBOX, outcome="delivered")
    serve_retention(claimed(gated))
    assert kept_originals(gated) == 1
    with scope(gated):
        Delivery.objects.filter(id=copy.id).update(was_released=True)
    serve_retention(claimed(gated))
    assert kept_originals(gated) == 0


def test_a_legal_hold_is_ended_by_a_person_and_then_the_age_counts(gated: Cast):
    copy = hold(gated, days=9)
    _legal_hold(gated, copy)
    with scope(gated):
        with pytest.raises(Conflict):
            set_hold(tenant=gated.acme, message=copy.message, actor=gated.ana, reason="Again")
        kept = LegalHold.objects.get()
        with pytest.raises(WrongInput):
            end_hold(hold=kept, actor=gated.mo, reason=" ")
        with pytest.raises(NotAllowed):
            end_hold(hold=kept, actor=gated.ana, reason="Settled")
        end_hold(hold=kept, actor=gated.mo, reason="Settled")
        with pytest.raises(Conflict):
            end_hold(hold=kept, actor=gated.mo, reason="Settled")
    serve_retention(claimed(gated))
    assert dropped(gated) == {copy.id}


def test_a_person_deletes_one_and_it_cannot_be_released_any_more(gated: Cast):
    copy = hold(gated, days=0)
    with scope(gated):
        with pytest.raises(WrongInput):
            delete_held(delivery=copy, actor=gated.ana, reason="")
        delete_held(delivery=copy, actor=gated.ana, reason="Rubbish")
        with pytest.raises(Conflict, match="deleted"):
            delete_held(delivery=copy, actor=gated.ana, reason="Rubbish")
        job = release_held(delivery=copy, actor=gated.ana)
        job.refresh_from_db()
        assert job.state == "failed"
        assert AuditEntry.objects.filter(action="seg_bridge.held.deleted").count() == 1
    assert dropped(gated) == {copy.id}


@pytest.mark.parametrize("need", [_legal_hold, _wish, _release])
def test_what_is_needed_is_not_deleted_either(need, gated: Cast):
    copy = hold(gated, days=0)
    need(gated, copy)
    with scope(gated), pytest.raises(Conflict):
        delete_held(delivery=copy, actor=gated.ana, reason="Rubbish")


def test_the_gates_word_that_it_is_thrown_away_ends_the_hold(gated: Cast):
    """As the gate tells it (seg_bridge/gate/release.py: drop)."""
    copy = hold(gated, days=8)
    serve_retention(claimed(gated))
    with scope(gated):
        command = GateCommand.objects.get()
        gone = gateway_saw(
            gated.acme,
            copy.recipient,
            ulid=command.trace_ulid,
            internet_message_id="",
            fingerprint="",
            verdict=None,
            score=None,
            action=None,
            place=Place.GONE,
            rule=f"denied by {command.released_by}",
            evidence=command.evidence,
            mail={},
        )
        record([gone])
        make_sense_of_backlog(gated.acme)
        GateCommand.objects.update(ok=True)
        copy.refresh_from_db()
        assert (copy.place, copy.outcome, copy.gateway_verdict) == ("gone", "held", "phish")
    serve_retention(claimed(gated))
    assert kept_originals(gated) == 0
