"""What gates tell of their queues: by client, replaced each time, and nothing of anybody else's."""

import json
from datetime import UTC, datetime

import pytest

from seg_bridge.commands import Acknowledgement, acknowledge, unacknowledged
from seg_bridge.models import Gate, GateCommand, QueueItem
from seg_bridge.queues.orders import order
from seg_bridge.queues.reasons import KINDS, kind_of
from tenants.errors import Conflict, WrongInput
from tenants.models import AuditEntry
from tenants.scope import Role, tenant_scope
from tests.incidents.work_on import staff


def item(tenant, recipient="info@acme.example", **changes):
    values = {
        "tenant_id": tenant.id,
        "queue_id": "4F1C2",
        "where": "deferred",
        "recipient": recipient,
        "sender": "ann@sender.example",
        "next_hop": "mail.acme.example:25",
        "reason": "connect to mail.acme.example: Connection refused",
        "arrived_at": "2026-11-29T10:00:00+00:00",
        "size_bytes": 5000,
        "trace_ulid": "01J00000000000000000000001",
        "may_return": True,
    }
    return {**values, **changes}


def tell(wire, *items, **changes):
    data = {"at": datetime.now(UTC).isoformat(), "items": items, "left_out": 0, "others": 0}
    return wire.ask("POST", "/gate/queue", json.dumps({**data, **changes}).encode())


def rows(cast, tenant):
    with staff(cast, tenant):
        found = QueueItem.objects.order_by("recipient")
        return list(found.values_list("recipient", "where", "reason_kind"))


def test_each_client_sees_its_own_and_a_new_telling_replaces_the_last(cast, wire):
    theirs = item(cast.globex, "cfo@globex.example", queue_id="5A2D3", where="hold")
    assert tell(wire, item(cast.acme), theirs, others=2, left_out=1).status_code == 200
    assert rows(cast, cast.acme) == [("info@acme.example", "deferred", "refused_line")]
    assert rows(cast, cast.globex) == [("cfo@globex.example", "hold", "refused_line")]
    with staff(cast):
        before = QueueItem.objects.get(queue_id="4F1C2").id
        gate = Gate.objects.get()
        assert (gate.queue_others, gate.queue_left_out) == (2, 1)
        assert gate.queue_at is not None
    tell(wire, item(cast.acme, where="active", reason=""))
    assert rows(cast, cast.acme) == [("info@acme.example", "active", "first_try")]
    assert rows(cast, cast.globex) == []
    with staff(cast):
        assert QueueItem.objects.get().id == before, "an address of it still leads to it"


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant_id": 10**6},
        {"tenant_id": "1"},
        {"where": "elsewhere"},
        {"arrived_at": "yesterday"},
        {"arrived_at": "2026-11-29T10:00:00"},
        {"reason": None},
        {"size_bytes": "many"},
    ],
)
def test_a_telling_with_one_wrong_item_changes_nothing(cast, wire, changes):
    tell(wire, item(cast.acme))
    assert tell(wire, item(cast.acme, queue_id="5A2D3", **changes)).status_code == 400
    assert len(rows(cast, cast.acme)) == 1


def test_who_has_no_gates_secret_tells_nothing(cast, wire):
    body = json.dumps({"at": "", "items": [], "left_out": 0, "others": 0}).encode()
    assert wire.ask("POST", "/gate/queue", body, secret=b"x" * 32).status_code == 401


def test_an_order_reaches_the_gate_once_and_is_answered_once(cast, wire):
    tell(wire, item(cast.acme), item(cast.acme, "ceo@acme.example"))
    with staff(cast, cast.acme):
        one, two = QueueItem.objects.select_related("tenant", "gate").order_by("recipient")
        order(item=one, action="remove", reason="A wrong list", actor=cast.ana)
        with pytest.raises(Conflict, match="on its way already"):
            order(item=two, action="retry", reason="", actor=cast.bo)
        entry = AuditEntry.objects.get(action="seg_bridge.queue.ordered")
        assert (entry.reason, entry.detail["ordered"]) == ("A wrong list", "remove")
    gate = wire.mx.known
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        (offered,) = unacknowledged(gate, after=0)
        assert (offered["kind"], offered["queue_id"]) == ("q_remove", "4F1C2")
        command_id = GateCommand.objects.get().id
        said = Acknowledgement(command_id, True, "taken out of the queue", datetime.now(UTC))
        assert [acknowledge(gate, said), acknowledge(gate, said)] == [True, False]
        assert unacknowledged(gate, after=None) == []
    with staff(cast, cast.acme):
        order(item=two, action="retry", reason="", actor=cast.bo)


@pytest.mark.parametrize(
    ("changes", "action", "reason"),
    [
        ({}, "free", "x"),
        ({}, "burn", "x"),
        ({"where": "hold"}, "retry", "x"),
        ({"may_return": False}, "return", "x"),
        ({}, "remove", " "),
        ({}, "hold", ""),
        ({}, "return", ""),
    ],
)
def test_what_makes_no_sense_or_has_no_reason_is_not_ordered(cast, wire, changes, action, reason):
    tell(wire, item(cast.acme, **changes))
    with staff(cast, cast.acme):
        found = QueueItem.objects.select_related("tenant", "gate").get()
        with pytest.raises(WrongInput):
            order(item=found, action=action, reason=reason, actor=cast.ana)
        assert not GateCommand.objects.exists()


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("", "first_try"),
        ("connect to mail.example[192.0.2.1]:25: Connection refused", "refused_line"),
        ("mail.example:25: no connection to mail.example:25: [Errno 111] Connect", "refused_line"),
        ("connect to mail.example[192.0.2.1]:25: No route to host", "refused_line"),
        ("connect to mail.example[192.0.2.1]:25: Connection timed out", "no_answer"),
        ("lost connection with mail.example while receiving the initial greeting", "no_answer"),
        ("mail.example:25: no reply within 60 s", "no_answer"),
        ("Host or domain name not found. Name service error for name=x type=A", "no_host"),
        ("TLS is required, but was not offered by host mail.example", "tls"),
        ("Server certificate not verified", "tls"),
        ("host mail.example said: 452 4.2.2 Mailbox full (in reply to RCPT TO)", "full"),
        ("host mail.example said: 450 4.7.1 Greylisted (in reply to RCPT TO)", "later"),
        ("450 4.2.0 later", "later"),
        ("no route by policy", "no_route"),
        ("delivery temporarily suspended: unknown mail transport error", "other"),
    ],
)
def test_why_a_mail_waits_is_one_of_a_few_kinds(reason, kind):
    assert kind_of(reason) == kind
    assert kind in KINDS
