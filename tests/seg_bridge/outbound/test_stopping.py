"""A stop that a gate tells: one incident of the account, and a person who lifts it."""

from typing import Any

import pytest
from django.utils import timezone

from incidents.accounts import Sign, note_signs, open_account_incident
from incidents.correlation import serve_intake
from incidents.intake import record
from incidents.models import Delivery, Incident, IncidentMessage, LedgerEntry
from incidents.opening import assess_messages
from incidents.remediation import release_held
from incidents.services import resolve_incident
from incidents.signs import signs_of
from incidents.words import Outcome, Place, Verdict
from seg_bridge.gate.outbound.watch import Stop
from seg_bridge.gate.ship import lines_of
from seg_bridge.models import GateClient, GateCommand
from seg_bridge.outbound import stopping
from seg_bridge.outbound.serving import serve_outbound
from seg_bridge.outbound.stopping import lift_stop
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, WrongInput
from tenants.models import AuditEntry
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.seg_bridge.conftest import Wire, make_gate
from tests.seg_bridge.outbound.parts import (
    CEO,
    accounts,
    analyst,
    sent,
    stopped,
    stops,
    switch_on,
    told_to,
    ulid,
)

SECOND = {"ulid": "01J0000000000000000000ST02"}


def serve(cast: Cast):
    claimed = ClaimedWork(cast.acme.id, cast.provider.id, 1)
    serve_intake(claimed)
    return serve_outbound(claimed)


def test_held_outbound_mail_alone_opens_no_incident(cast: Cast, wire: Wire):
    wire.ship(sent(cast, 1))
    serve(cast)
    with analyst(cast):
        copy = Delivery.objects.get()
        assert (copy.direction, copy.place) == ("outbound", Place.HOLD)
        assert not Incident.objects.exists()
        assert not LedgerEntry.objects.exists(), "it is no mail that a layer kept out"


def test_a_stop_opens_one_incident_of_the_account_with_its_mails(cast: Cast, wire: Wire):
    assert wire.ship(*(sent(cast, n) for n in range(5)), stopped(cast, *range(5))).json() == {
        "stored": 6,
        "duplicates": 0,
        "refused": [],
    }
    assert serve(cast) is None
    (incident,) = accounts(cast)
    assert incident.sender == CEO
    assert incident.title == "An account at risk, its mail to 5 people was held"
    assert (incident.severity, incident.queue_rank) == ("high", 2)
    assert (incident.counts["messages"], incident.counts["held"]) == (5, 5)
    (stop,) = stops(cast)
    assert stop.incident_id == incident.id
    with analyst(cast):
        reasons = set(IncidentMessage.objects.values_list("reason", flat=True))
        assert reasons == {f"The gateway stopped {CEO} from sending: {stop.words}."}
        actions = set(AuditEntry.objects.values_list("action", flat=True))
        assert {"seg_bridge.sender.stopped", "incidents.incident.opened"} <= actions


def test_a_stop_that_comes_twice_is_one(cast: Cast, wire: Wire):
    line = stopped(cast, 1)
    wire.ship(sent(cast, 1), line)
    assert wire.ship(line).json()["duplicates"] == 1
    serve(cast)
    serve(cast)
    assert len(stops(cast)) == len(accounts(cast)) == 1


def test_what_a_gate_writes_is_what_is_read_here(cast: Cast, wire: Wire):
    told = stopped(cast, 1)
    del told["kind"]
    stop = Stop(**{**told, "evidence": tuple(told["evidence"])})
    (line,) = lines_of(stop.record())
    assert wire.ship(line + b"\n").json()["stored"] == 1
    assert [(each.mailbox, each.words) for each in stops(cast)] == [(CEO, stop.words)]


def test_a_stop_waits_for_its_mails(cast: Cast, wire: Wire):
    wire.ship(stopped(cast, 1))
    assert serve(cast) is not None, "it comes round again"
    assert stops(cast)[0].incident is None
    wire.ship(sent(cast, 1))
    assert serve(cast) is None
    assert stops(cast)[0].incident is not None


def test_a_mail_that_becomes_known_after_the_others_joins_them(cast: Cast, wire: Wire):
    wire.ship(*(sent(cast, n) for n in range(4)), stopped(cast, *range(5)))
    assert serve(cast) is not None, "it comes round for the fifth"
    assert [each.counts["messages"] for each in accounts(cast)] == [4]
    wire.ship(sent(cast, 4))
    assert serve(cast) is None
    assert [each.counts["messages"] for each in accounts(cast)] == [5]


def test_a_mail_that_becomes_known_while_the_incident_opens_joins_it_too(
    cast: Cast, wire: Wire, monkeypatch: pytest.MonkeyPatch
):
    def and_the_fifth_comes(**case: Any) -> Incident | None:
        opened = open_account_incident(**case)
        record([sent(cast, 4)])
        serve_intake(ClaimedWork(cast.acme.id, cast.provider.id, 1))
        return opened

    monkeypatch.setattr(stopping, "open_account_incident", and_the_fifth_comes)
    wire.ship(*(sent(cast, n) for n in range(4)), stopped(cast, *range(5)))
    assert serve(cast) is not None
    monkeypatch.undo()
    serve(cast)
    assert [each.counts["messages"] for each in accounts(cast)] == [5]


def test_no_late_mail_opens_again_what_a_person_closed(cast: Cast, wire: Wire):
    wire.ship(sent(cast, 0), stopped(cast, 0, 1))
    serve(cast)
    with analyst(cast):
        resolve_incident(
            incident=accounts(cast)[0],
            actor=cast.ana,
            classification="true_positive",
            cause="account",
        )
    wire.ship(sent(cast, 1))
    assert serve(cast) is None
    (incident,) = accounts(cast)
    assert not incident.is_open


def test_a_second_stop_joins_the_open_incident_and_reopens_none(cast: Cast, wire: Wire):
    wire.ship(sent(cast, 1), stopped(cast, 1))
    serve(cast)
    wire.ship(sent(cast, 2), stopped(cast, 2, **SECOND))
    serve(cast)
    (first,) = accounts(cast)
    assert first.counts["messages"] == 2
    with analyst(cast):
        resolve_incident(
            incident=first, actor=cast.ana, classification="true_positive", cause="account"
        )
    wire.ship(sent(cast, 3), stopped(cast, 3, ulid="01J0000000000000000000ST03"))
    serve(cast)
    assert [each.counts["messages"] for each in accounts(cast)] == [2, 1]


@pytest.mark.parametrize("signs_come", ["before", "below the threshold", "after"])
def test_signs_of_the_account_and_its_stop_are_one_incident(
    cast: Cast, wire: Wire, signs_come: str
):
    def note(*codes: str) -> None:
        now = timezone.now()
        signs = [Sign(code=each, key=each, words=each, source="test", at=now) for each in codes]
        with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
            note_signs(cast.acme, CEO, signs, threshold=60)

    if signs_come != "after":
        note("mail_grant", *(["new_country"] if signs_come == "before" else []))
        assert len(accounts(cast)) == (signs_come == "before")
    wire.ship(sent(cast, 1), stopped(cast, 1))
    serve(cast)
    if signs_come == "after":
        note("mail_grant")
    (incident,) = accounts(cast)
    assert (incident.counts["messages"], incident.sender) == (1, CEO)
    with analyst(cast):
        codes = {sign.code for sign in signs_of(incident)}
    assert codes >= {"stopped", "mail_grant"}


def test_a_mail_that_looks_alike_joins_no_account(cast: Cast, wire: Wire):
    """The same lure comes in, delivered: it is its own incident."""
    same = {"fingerprint": "ab" * 16, "internet_message_id": "<same@acme.example>"}
    wire.ship(sent(cast, 1, **same), stopped(cast, 1))
    serve(cast)
    delivered = {"action": Outcome.DELIVERED, "place": Place.UNKNOWN, "direction": "inbound"}
    wire.ship(sent(cast, 2, **same, **delivered))
    serve(cast)
    with analyst(cast):
        assert sorted(Incident.objects.values_list("kind", flat=True)) == ["account", "phish"]
        message_ids = list(IncidentMessage.objects.values_list("message_id", flat=True))
        assess_messages(cast.acme, message_ids)
        assert sorted(Incident.objects.values_list("kind", flat=True)) == ["account", "phish"]


def test_a_stop_for_too_much_mail_has_what_was_sent_as_its_evidence(cast: Cast, wire: Wire):
    clean = {"verdict": Verdict.CLEAN, "action": Outcome.DELIVERED, "place": None}
    words = "50 of its mails within an hour were beyond its limits"
    wire.ship(sent(cast, 1, **clean), stopped(cast, 1, cause="limits", words=words))
    serve(cast)
    (incident,) = accounts(cast)
    assert incident.title == "An account at risk, its mail went to 1 person"
    assert incident.counts["unseen"] == 0, "nobody of ours looks into other people's mailboxes"


def test_a_released_outbound_mail_goes_out_and_not_in(cast: Cast, wire: Wire):
    detail = {"client_ip": "203.0.113.5", "mail_from": CEO}
    wire.ship(sent(cast, 1, evidence="a" * 64, detail=detail))
    serve(cast)
    with analyst(cast):
        held = Delivery.objects.get()
        release_held(delivery=held, actor=cast.ana, reason="it is our own newsletter")
    (command,) = wire.news()["commands"]
    assert (command["kind"], command["direction"]) == ("release", "outbound")
    assert command["recipients"] == ["bob1@other.example"]
    assert command["terms"] == {"client_ip": "203.0.113.5"}


@pytest.mark.parametrize(
    "change",
    [
        {"tenant_id": 999_999},
        {"tenant_id": "1"},
        {"ulid": "x"},
        {"mailbox": ""},
        {"mailbox": "x" * 400},
        {"cause": "else"},
        {"at": "2026-11-22T00:00:00"},
        {"at": "2099-11-22T00:00:00+00:00"},
        {"evidence": "x"},
        {"evidence": [ulid(1)] * 101},
    ],
)
def test_a_line_that_is_no_stop_is_refused_by_name(cast: Cast, wire: Wire, change):
    answer = wire.ship(sent(cast, 1), stopped(cast, 1, **change)).json()
    assert [each["line"] for each in answer["refused"]] == [1]
    assert not stops(cast)


def test_a_gate_stops_nobody_of_a_client_that_it_does_not_serve(cast: Cast, wire: Wire):
    with analyst(cast):
        GateClient.objects.filter(tenant=cast.acme).delete()
    assert wire.ship(stopped(cast, 1)).json()["refused"]
    assert not stops(cast)


def test_a_lift_is_a_command_for_each_gate_with_an_audit_entry(cast: Cast, wire: Wire):
    make_gate(cast, cast.acme, name="mx2")
    switch_on(cast)
    wire.ship(sent(cast, 1), stopped(cast, 1))
    acme = told_to(wire.mx).tenants[0]
    assert acme.outbound is not None
    assert acme.outbound.stopped == {"01J0000000000000000000ST01": CEO}
    (stop,) = stops(cast)
    with analyst(cast):
        lift_stop(stop=stop, actor=cast.ana, reason="new password, sessions ended")
    commands = wire.news()["commands"]
    assert [(each["kind"], each["ulid"], each["recipients"]) for each in commands] == [
        ("lift", stop.stop_ulid, [CEO])
    ]
    with analyst(cast):
        assert GateCommand.objects.filter(kind="lift").count() == 2
        entry = AuditEntry.objects.get(action="seg_bridge.sender.lifted")
        assert (entry.actor_name, entry.reason) == (cast.ana.name, "new password, sessions ended")
    acme = told_to(wire.mx).tenants[0]
    assert acme.outbound is not None
    assert acme.outbound.stopped == {}


def test_a_lift_needs_a_reason_and_happens_once(cast: Cast, wire: Wire):
    wire.ship(sent(cast, 1), stopped(cast, 1))
    (stop,) = stops(cast)
    with analyst(cast), pytest.raises(WrongInput):
        lift_stop(stop=stop, actor=cast.ana, reason="  ")
    with analyst(cast):
        lift_stop(stop=stop, actor=cast.ana, reason="it was a test")
    with analyst(cast), pytest.raises(Conflict):
        lift_stop(stop=stop, actor=cast.ana, reason="again")
