"""How much a mailbox may send, and when it is stopped."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import create_autospec

import pytest

from seg_bridge.gate.journal import Journal
from seg_bridge.gate.outbound.terms import OutboundTerms, SenderLimits
from seg_bridge.gate.outbound.usage import HOUR_S, Usage
from seg_bridge.gate.outbound.watch import SenderWatch
from tests.seg_bridge.gate.outbound.parts import CEO, HOST_IP, submitted
from tests.seg_bridge.gate.parts import Ingest, until

FEW = {"threats": 2}
INFO = "info@acme.example"


async def condemn(gate, times, sender=CEO):
    for number in range(times):
        raw = submitted(f"phish 9 {number}", sender=sender)
        assert (await gate.submit(raw, sender=sender)).startswith("250 2.0.0 Ok: held")


async def test_threats_stop_their_sender_and_nobody_else(outbound_gate, sink):
    async with outbound_gate(limits=FEW) as gate:
        await condemn(gate, 2)
        reply = await gate.submit(submitted())
        assert reply.startswith(f"550 5.7.1 Sending from {CEO} has been stopped")
        (stop,) = gate.stops()
        assert stop["ulid"] in reply
        assert (stop["tenant_id"], stop["mailbox"], stop["cause"]) == (1, CEO, "threats")
        assert stop["words"] == "2 of its mails within 10 minutes were held to be threats"
        assert stop["evidence"] == [each["trace_ulid"] for each in gate.observations()]
        assert (await gate.submit(submitted(sender=INFO), sender=INFO)).startswith("250")


async def test_five_in_ten_minutes_is_what_holds_unless_said_otherwise(outbound_gate):
    async with outbound_gate() as gate:
        await condemn(gate, 4)
        assert not gate.stops()
        await condemn(gate, 1)
        assert len(gate.stops()) == 1


async def test_a_stop_outlives_the_gate(outbound_gate):
    async with outbound_gate(limits=FEW) as gate:
        await condemn(gate, 2)
    async with outbound_gate(limits=FEW) as gate:
        assert (await gate.submit(submitted())).startswith("550 5.7.1 Sending from")
        assert len(gate.stops()) == 1, "it is told once"


async def test_condemned_mail_counts_over_a_restart(outbound_gate):
    async with outbound_gate(limits=FEW) as gate:
        await condemn(gate, 1)
    async with outbound_gate(limits=FEW) as gate:
        await condemn(gate, 1)
        assert len(gate.stops()) == 1


async def test_a_stop_that_was_not_told_is_told_after_the_restart(outbound_gate):
    """The gate died between its disk and its journal."""
    async with outbound_gate(limits=FEW) as gate:
        await condemn(gate, 2)
        path = gate.settings.folder / "outbound.json"
    data = json.loads(path.read_bytes())
    data["stops"][0]["is_told"] = False
    path.write_text(json.dumps(data))
    async with outbound_gate(limits=FEW) as gate:
        await until(lambda: len(gate.stops()) == 2)
        first, second = gate.stops()
        assert first == second


async def test_a_gate_that_cannot_read_its_stops_does_not_start(outbound_gate, tmp_path):
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "outbound.json").write_text('{"stops": 1}')
    gate = outbound_gate()
    with pytest.raises(ValueError, match="cannot be read"):
        await gate.__aenter__()
    await gate.__aexit__()


async def test_a_lift_lets_the_sender_send_and_counts_anew(outbound_gate, sink):
    ingest = Ingest()
    async with outbound_gate(limits=FEW, settings={"ingest": ingest}) as gate:
        await condemn(gate, 2)
        (stop,) = gate.stops()
        ingest.commands.append(
            {
                "seq": 1,
                "id": "0190d3a0-0000-7000-8000-000000000001",
                "kind": "lift",
                "tenant_id": 1,
                "ulid": stop["ulid"],
                "recipients": [CEO],
            }
        )
        await until(lambda: any(each["kind"] == "command" for each in gate.records()))
        done = next(each for each in gate.records() if each["kind"] == "command")
        assert done["command"]["ok"] is True
        assert (await gate.submit(submitted())).startswith("250")
        await condemn(gate, 1)
        assert len(gate.stops()) == 1, "one of the earlier ones does not count again"


async def test_what_another_gate_stopped_is_stopped_here(outbound_gate):
    stopped = {"01J00000000000000000000000": CEO}
    async with outbound_gate(stopped=stopped) as gate:
        reply = await gate.submit(submitted())
        assert reply.startswith("550 5.7.1 Sending from")
        assert "01J00000000000000000000000" in reply


async def test_an_alias_is_its_mailbox(outbound_gate):
    async with outbound_gate(limits=FEW, aliases={INFO: CEO}) as gate:
        await condemn(gate, 1)
        await condemn(gate, 1, sender=INFO)
        assert [stop["mailbox"] for stop in gate.stops()] == [CEO]
        assert (await gate.submit(submitted(sender=INFO), sender=INFO)).startswith("550 5.7.1 Send")


async def test_a_stopped_visible_sender_is_stopped_behind_another_envelope(outbound_gate):
    async with outbound_gate(limits=FEW) as gate:
        await condemn(gate, 2)
        for envelope_sender in (INFO, ""):
            reply = await gate.submit(submitted(sender=CEO), sender=envelope_sender)
            assert reply.startswith(f"550 5.7.1 Sending from {CEO}")


async def test_messages_an_hour(outbound_gate):
    async with outbound_gate(limits={"messages_per_hour": 2, "refusals": 2}) as gate:
        for number in range(2):
            assert (await gate.submit(submitted(f"clean {number}"))).startswith("250")
        assert (await gate.submit(submitted())).startswith("450 4.7.1 ceo@acme.example may send 2")
        assert (await gate.submit(submitted(sender=INFO), sender=INFO)).startswith("250")
        assert not gate.stops()
        assert (await gate.submit(submitted())).startswith("450")
        (stop,) = gate.stops()
        assert (stop["cause"], len(stop["evidence"])) == ("limits", 2)
        assert (await gate.submit(submitted())).startswith("550 5.7.1 Sending from")


async def test_recipients_an_hour(outbound_gate, sink):
    async with outbound_gate(limits={"recipients_per_hour": 3, "refusals": 2}) as gate:
        client = await gate.submission(HOST_IP)
        names = [f"bob{number}@other.example" for number in range(6)]
        replies = await client.envelope(*names, sender=CEO)
        assert [reply[:3] for reply in replies[2:]] == ["250"] * 3 + ["452"] * 3
        assert (await client.data(submitted() + b".\r\n")).startswith("250")
        assert sink.recipients() == names[:3]
        assert not gate.stops(), "many refused recipients of one mail are one refusal"
        client.close()


async def test_the_null_sender_does_not_pass_the_limits(outbound_gate):
    async with outbound_gate(limits={"messages_per_hour": 1}) as gate:
        assert (await gate.submit(submitted(), sender="")).startswith("250")
        assert (await gate.submit(submitted(), sender="")).startswith("450 4.7.1")


async def test_mail_that_was_not_taken_does_not_count(outbound_gate, sink):
    sink.replies["."] = "451 later"
    async with outbound_gate(limits={"messages_per_hour": 1}) as gate:
        assert (await gate.submit(submitted())).startswith("451")
        sink.replies.clear()
        assert (await gate.submit(submitted())).startswith("250")


def test_an_hour_passes():
    now = [0.0]
    usage, limits = Usage(lambda: now[0]), SenderLimits(messages_per_hour=1)
    box = (1, CEO)
    assert usage.take(box, 1, limits)
    assert usage.take(box, 1, limits) is None
    assert usage.refuse(box) == 1
    now[0] = HOUR_S + 1
    assert usage.take(box, 1, limits)
    assert usage.refuse(box) == 1


@pytest.mark.parametrize(("minutes", "is_stopped"), [(9, True), (11, False)])
async def test_the_window_of_threats(tmp_path, minutes, is_stopped):
    now = [datetime(2026, 11, 22, tzinfo=UTC)]
    watch = SenderWatch(
        tmp_path / "o.json",
        journal=create_autospec(Journal, instance=True),
        usage=Usage(),
        now=lambda: now[0],
    )
    terms = OutboundTerms(limits=SenderLimits(threats=2))
    await watch.note_condemned(1, CEO, "a" * 26, terms)
    now[0] += timedelta(minutes=minutes)
    await watch.note_condemned(1, CEO, "b" * 26, terms)
    assert (watch.stopped(1, CEO, terms) is not None) is is_stopped
    assert watch.stopped(2, CEO, terms) is None, "another client's mailbox of this name"
    assert replace(terms, stopped={"x": CEO}).stopped
