from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from incidents.correlation import serve_intake
from incidents.layers import gateway_layer
from incidents.models import Delivery, Intent, Job
from incidents.remediation import release_held
from incidents.words import Outcome, Place, Verdict
from seg_bridge.commands import next_seqs
from seg_bridge.gate.policy import load_signed
from seg_bridge.models import Gate, GateClient, GateCommand, GatewayRule
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.factories import Cast, gateway_saw
from tests.seg_bridge.conftest import Mx, Wire, make_gate

RAW = b"From: eve@evil.example\r\n\r\npay here\r\n"
DIGEST = sha256(RAW).hexdigest()


def analyst(cast: Cast, *tenants):
    ids = [tenant.id for tenant in tenants or (cast.acme,)]
    return tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id)


def hold(cast: Cast, wire: Wire, *, recipient: str = "info@acme.example", n: int = 1) -> Delivery:
    """The gate ships a held mail, and correlation makes a delivery of it."""
    held = gateway_saw(
        cast.acme,
        recipient,
        ulid=f"01J0000000000000000000000{n}",
        internet_message_id=f"<{n}@evil.example>",
        fingerprint=f"{n}" * 32,
        verdict=Verdict.PHISH,
        score=12.0,
        action=Outcome.HELD,
        place=Place.HOLD,
        evidence=DIGEST,
    )
    assert wire.ship(held).json()["stored"] == 1
    serve_intake(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with analyst(cast):
        return Delivery.objects.get(recipient=recipient, message__trace_ulid=held.trace_ulid)


def release(cast: Cast, delivery: Delivery) -> Job:
    with analyst(cast):
        return release_held(delivery=delivery, actor=cast.ana, reason="they asked for it")


def done(command: dict[str, Any], **changes: Any) -> dict[str, Any]:
    line = {"kind": "command_done", "command_id": command["id"], "ok": True, "detail": "250 ok"}
    return line | {"at": timezone.now().isoformat()} | changes


def test_a_gate_gets_its_policy_once_and_again_when_it_changes(cast: Cast, wire: Wire):
    first = wire.news(after=0, snapshot="")
    snapshot = load_signed(first["snapshot"], wire.mx.secret)
    assert wire.news(after=0, snapshot=snapshot.version)["snapshot"] is None
    with analyst(cast):
        gateway_layer().block_sender(
            tenant_id=cast.acme.id,
            sender="eve@evil.example",
            reason="seen",
            owner_id=cast.ana.id,
            owner_name="Ana",
            expires_at=None,
            incident_id=None,
        )
    again = load_signed(wire.news(after=0, snapshot=snapshot.version)["snapshot"], wire.mx.secret)
    assert [rule.value for rule in again.tenants[0].rules] == ["eve@evil.example"]
    assert again.made_at > snapshot.made_at
    with maintenance_scope():
        gate = Gate.objects.get(name="mx1")
        assert gate.snapshot_version == snapshot.version
        assert GatewayRule.objects.get().owner_id == cast.ana.id


def test_a_policy_that_went_back_is_still_newer_for_the_gate(cast: Cast, wire: Wire):
    first = load_signed(wire.news()["snapshot"], wire.mx.secret)
    with maintenance_scope():
        GateClient.objects.filter(tenant=cast.globex).delete()
    second = load_signed(wire.news(snapshot=first.version)["snapshot"], wire.mx.secret)
    with maintenance_scope():
        GateClient.objects.create(tenant=cast.globex, gate=wire.mx.row)
    third = load_signed(wire.news(snapshot=second.version)["snapshot"], wire.mx.secret)
    assert third.version == first.version
    assert first.made_at < second.made_at < third.made_at


def test_a_release_becomes_a_command_and_its_acknowledgement_settles_the_intent(
    cast: Cast, wire: Wire
):
    delivery = hold(cast, wire)
    job = release(cast, delivery)
    (command,) = wire.news(after=0)["commands"]
    assert command | {"seq": 0, "id": ""} == {
        "seq": 0,
        "id": "",
        "kind": "release",
        "tenant_id": cast.acme.id,
        "ulid": "01J00000000000000000000001",
        "recipients": ["info@acme.example"],
        "evidence": DIGEST,
        "direction": "inbound",
        "released_by": "Ana",
        "queue_id": "",
    }
    assert wire.ship(done(command)).json() == {"stored": 1, "duplicates": 0, "refused": []}
    assert wire.news(after=0)["commands"] == []
    with analyst(cast):
        assert Intent.objects.get(job=job).state == Intent.State.VERIFIED
        assert Job.objects.get(id=job.id).state == Job.State.DONE


def test_the_first_word_about_a_command_counts(cast: Cast, wire: Wire):
    job = release(cast, hold(cast, wire))
    (command,) = wire.news(after=0)["commands"]
    no = done(command, ok=False, detail="550 no such user")
    assert wire.ship(no, done(command), no).json() == {"stored": 1, "duplicates": 2, "refused": []}
    with analyst(cast):
        intent = Intent.objects.get(job=job)
        assert (intent.state, intent.error) == (Intent.State.FAILED, "550 no such user")
        assert Job.objects.get(id=job.id).state == Job.State.FAILED


def test_commands_come_in_their_order_and_only_those_not_done(cast: Cast, wire: Wire):
    for n in (1, 2, 3):
        release(cast, hold(cast, wire, n=n))
    offered = wire.news(after=0)["commands"]
    assert [each["ulid"][-1] for each in offered] == ["1", "2", "3"]
    assert [each["seq"] for each in offered] == sorted(each["seq"] for each in offered)
    wire.ship(done(offered[1]))
    assert [each["ulid"][-1] for each in wire.news(after=0)["commands"]] == ["1", "3"]


def test_a_command_numbered_before_the_last_one_done_is_still_offered(cast: Cast, wire: Wire):
    release(cast, hold(cast, wire))
    (command,) = wire.news(after=0)["commands"]
    with analyst(cast):
        later = next_seqs(10)[-1]  # of commands of others
    assert wire.news(after=later, wait_s=0)["commands"] == [command]


def test_a_copy_is_released_once_however_often_it_is_asked_for(cast: Cast, wire: Wire):
    delivery = hold(cast, wire)
    first, second = release(cast, delivery), release(cast, delivery)
    assert first.id == second.id
    (command,) = wire.news(after=0)["commands"]
    wire.ship(done(command))
    third = release(cast, delivery)  # correlation has not seen the gate's new observation yet
    with analyst(cast):
        intent = Intent.objects.get(job=third)
        assert intent.state == Intent.State.FAILED
        assert "has been released" in intent.error
    assert wire.news(after=0)["commands"] == []


def test_a_release_that_failed_can_be_tried_again(cast: Cast, wire: Wire):
    delivery = hold(cast, wire)
    release(cast, delivery)
    (command,) = wire.news(after=0)["commands"]
    wire.ship(done(command, ok=False, detail="421 later"))
    release(cast, delivery)
    (again,) = wire.news(after=0)["commands"]
    assert again["id"] != command["id"]


def test_a_copy_that_no_gate_holds_fails_with_its_reason(cast: Cast, wire: Wire):
    wire.ship(gateway_saw(cast.acme, "info@acme.example"))
    serve_intake(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with analyst(cast):
        delivery = Delivery.objects.get()
        Delivery.objects.update(place=Place.HOLD)
        delivery.refresh_from_db()
    job = release(cast, delivery)
    with analyst(cast):
        assert "No gate says" in Intent.objects.get(job=job).error
        assert not GateCommand.objects.exists()


def test_where_the_gate_is_gone_another_one_gets_the_command_and_fetches_the_bytes(
    cast: Cast, wire: Wire
):
    wire.ask("PUT", f"/ship/evidence/{cast.acme.id}/{DIGEST}", RAW)
    delivery = hold(cast, wire)
    other = Wire(make_gate(cast, cast.acme, name="mx2"), wire.client)
    with maintenance_scope():
        GateClient.objects.filter(gate=wire.mx.row, tenant=cast.acme).delete()
    release(cast, delivery)
    assert wire.news(after=0)["commands"] == []
    (command,) = other.news(after=0)["commands"]
    answer = other.ask("GET", f"/ship/evidence/{cast.acme.id}/{DIGEST}")
    assert (answer.status_code, answer.content) == (200, RAW)
    with maintenance_scope():
        entry = AuditEntry.objects.get(action="seg_bridge.evidence.fetched")
        assert (entry.actor_name, entry.object_id) == ("gate mx2", DIGEST)
    other.ship(done(command))
    assert other.ask("GET", f"/ship/evidence/{cast.acme.id}/{DIGEST}").status_code == 404


def test_a_gate_cannot_acknowledge_another_gates_command(cast: Cast, wire: Wire):
    release(cast, hold(cast, wire))
    (command,) = wire.news(after=0)["commands"]
    other = Wire(make_gate(cast, cast.acme, name="mx2"), wire.client)
    taken = other.ship(done(command), done({"id": str(uuid4())})).json()
    assert taken["stored"] == 0
    assert len({each["error"] for each in taken["refused"]}) == 1
    assert len(taken["refused"]) == 2
    assert wire.news(after=0)["commands"] == [command]
    assert other.news(after=0)["commands"] == []


@pytest.mark.parametrize(
    "change",
    [{"command_id": "x"}, {"ok": "yes"}, {"at": "soon"}, {"at": "2026-11-22T12:00:00"}],
)
def test_an_acknowledgement_that_makes_no_sense_is_refused(cast: Cast, wire: Wire, change):
    release(cast, hold(cast, wire))
    (command,) = wire.news(after=0)["commands"]
    assert len(wire.ship(done(command, **change)).json()["refused"]) == 1
    assert wire.news(after=0)["commands"] == [command]


@pytest.mark.parametrize("asked", ["after=x", "after=-1", "wait_s=nan", "wait_s=x", "wait_s=-1"])
def test_a_question_that_makes_no_sense_is_a_400(cast: Cast, wire: Wire, asked: str):
    assert wire.ask("GET", f"/gate/commands?{asked}").status_code == 400


def test_news_need_a_signature(cast: Cast, wire: Wire):
    assert wire.ask("GET", "/gate/commands", headers={}).status_code == 401


def test_two_gates_of_two_providers_never_hear_of_each_others_clients(cast: Cast, wire: Wire):
    mine = str(load_signed(wire.news()["snapshot"], wire.mx.secret).as_json())
    theirs = make_other_provider(cast)
    other = Wire(theirs, wire.client)
    snapshot = load_signed(other.news()["snapshot"], theirs.secret)
    assert [tenant.slug for tenant in snapshot.tenants] == ["umbrella"]
    assert "umbrella" not in mine
    assert not set(snapshot.trace_keys.values()) & set(
        load_signed(wire.news()["snapshot"], wire.mx.secret).trace_keys.values()
    )
    umbrella = snapshot.tenants[0].tenant_id
    lines = [
        gateway_saw(cast.acme, "info@acme.example", source="gate:far"),
        gateway_saw(cast.acme, "x@umbrella.example", source="gate:far", tenant_id=umbrella),
    ]
    taken = other.ship(*lines).json()
    assert (taken["stored"], [each["line"] for each in taken["refused"]]) == (1, [0])


def make_other_provider(cast: Cast) -> Mx:
    from tenants.models import Provider, Tenant
    from tenants.secrets import new_data_key

    with maintenance_scope():
        provider = Provider.objects.create(slug="other", name="Other")
        umbrella = Tenant.objects.create(
            provider=provider, slug="umbrella", name="Umbrella", data_key=new_data_key("umbrella")
        )
    return make_gate(cast, umbrella, name="far")
