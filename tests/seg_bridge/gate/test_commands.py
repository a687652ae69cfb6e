import asyncio
import hashlib
import socket
import uuid
from datetime import UTC, datetime

import pytest

from incidents.mail.headers import header_values
from incidents.mail.trace import TRACE_HEADER, check_trace
from seg_bridge.gate.policy import sign_snapshot
from tests.seg_bridge.gate.parts import (
    SECRET,
    TRACE_KEY,
    Ingest,
    block,
    mail_bytes,
    snapshot_of,
    tenant,
    until,
)

INFO, CEO = "info@acme.example", "ceo@acme.example"
RAW = mail_bytes("phish 9")


def command(gate, **changes):
    seen = gate.observations()[0]
    values = {
        "seq": 1,
        "id": str(uuid.uuid4()),
        "kind": "release",
        "tenant_id": 1,
        "ulid": seen["trace_ulid"],
        "recipients": [INFO],
        "evidence": seen["evidence"],
        "released_by": "Ana",
    }
    return {**values, **changes}


def done_records(gate):
    return [record["command"] for record in gate.records() if record["kind"] == "command"]


async def held(gate, *recipients):
    assert (await gate.send(RAW, *recipients)).startswith("250")


async def test_released_mail_reaches_its_recipient_with_the_trace_it_came_with(gate_for, sink):
    async with gate_for() as gate:
        await held(gate)
        gate.ingest.commands = [command(gate)]
        await until(lambda: done_records(gate))
        (done,) = {each["command_id"]: each for each in done_records(gate)}.values()
        assert (done["ok"], done["detail"]) == (True, "released")
        last = gate.observations()[-1]
        assert (last["action"], last["rule"]) == ("delivered", "released by Ana")
        assert last["source_key"] == gate.observations()[0]["source_key"]
    (mail,) = sink.mails
    assert mail.recipients == [INFO]
    assert mail.data.endswith(RAW)
    trace = check_trace(header_values(mail.data, TRACE_HEADER)[0], {"k1": TRACE_KEY})
    assert trace is not None
    assert trace.ulid == last["trace_ulid"]


async def test_a_repeated_command_does_nothing_twice_and_is_acknowledged_again(gate_for, sink):
    async with gate_for() as gate:
        await held(gate)
        again = command(gate)
        gate.ingest.commands = [again]
        await until(lambda: done_records(gate))
        await asyncio.sleep(0.7)
        assert len(done_records(gate)) == 1, "the first acknowledgement may only be on its way"
    async with gate_for() as gate:
        gate.ingest.commands = [again]
        count = len(done_records(gate))
        await until(lambda: len(done_records(gate)) > count)
    assert len(sink.mails) == 1


async def test_a_release_fetches_the_bytes_that_the_gate_no_longer_has(gate_for, sink):
    async with gate_for() as gate:
        await held(gate)
        for path in gate.originals():
            path.unlink()
        gate.ingest.evidence["1", hashlib.sha256(RAW).hexdigest()] = RAW
        gate.ingest.commands = [command(gate)]
        await until(lambda: done_records(gate))
        assert done_records(gate)[0]["ok"]
    assert len(sink.mails) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipients": ["nobody@acme.example"]}, "not, or no longer, a mailbox"),
        ({"recipients": ["info@globex.example"]}, "not, or no longer, a mailbox"),
        ({"recipients": []}, "no recipients"),
        ({"tenant_id": 2}, "not, or no longer, a mailbox"),
        ({"evidence": "0" * 64}, "not to be had"),
        ({"kind": "explode"}, "knows no command"),
    ],
)
async def test_a_release_that_cannot_be_is_answered_with_words(gate_for, sink, changes, words):
    async with gate_for(tenant("globex", 2, sink.hop)) as gate:
        await held(gate)
        gate.ingest.commands = [command(gate, **changes)]
        await until(lambda: done_records(gate))
        done = done_records(gate)[0]
        assert done["ok"] is False
        assert words in done["detail"]
        assert gate.originals() != []
    assert sink.mails == []


async def test_a_hop_that_refuses_a_release_leaves_the_mail_held(gate_for, sink):
    async with gate_for() as gate:
        await held(gate)
        sink.replies["RCPT"] = "550 no"
        gate.ingest.commands = [command(gate)]
        await until(lambda: done_records(gate))
        done = done_records(gate)[0]
        assert done["ok"] is False
        assert "still held, 550 no" in done["detail"]
        assert gate.outcomes() == {INFO: "held"}


async def test_a_release_without_answer_is_unknown(gate_for, sink):
    async with gate_for() as gate:
        await held(gate)
        sink.replies["."] = ""
        gate.ingest.commands = [command(gate)]
        await until(lambda: done_records(gate))
        assert "unknown" in done_records(gate)[0]["detail"]
        assert gate.outcomes() == {INFO: "unknown"}


async def test_a_release_that_the_gate_died_over_is_unknown_and_not_repeated(gate_for, sink):
    async with gate_for() as gate:
        await held(gate)
        again = command(gate)
        gate.ingest.commands = [again]
        await until(lambda: done_records(gate))
    last = max(gate.settings.journal_folder.glob("*.log"))
    lines = last.read_bytes().splitlines(keepends=True)
    begun = next(number for number, line in enumerate(lines) if b"command_begun" in line)
    last.write_bytes(b"".join(lines[: begun + 1]))
    (gate.folder / "commands.json").unlink()
    async with gate_for() as gate:
        gate.ingest.commands = [again]
        await until(lambda: len(done_records(gate)) >= 2)
        assert {each["ok"] for each in done_records(gate)} == {False}
        assert gate.outcomes() == {INFO: "unknown"}
    assert len(sink.mails) == 1


async def test_denied_mail_is_gone(gate_for, sink):
    async with gate_for() as gate:
        await held(gate)
        gate.ingest.commands = [command(gate, kind="drop")]
        await until(lambda: done_records(gate))
        last = gate.observations()[-1]
        assert (last["place"], last["rule"]) == ("gone", "denied by Ana")
    assert sink.mails == []


async def test_a_block_is_in_force_well_within_five_seconds(gate_for, sink):
    async with gate_for() as gate:
        assert (await gate.send(mail_bytes())).startswith("250")
        blocked = tenant("acme", 1, sink.hop, rules=(block("ann@sender.example"),))
        newer = snapshot_of(blocked, version="v2", made_at=datetime.now(UTC))
        gate.ingest.snapshot = sign_snapshot(newer.as_json(), SECRET)
        await until(lambda: gate.gate.keeper.current.version == "v2", seconds=3.0)
        await gate.send(mail_bytes())
        assert gate.outcomes() == {INFO: "held"}


async def test_neither_a_policy_nor_another_client_waits_for_a_mail_host_that_hangs(gate_for, sink):
    # The kernel takes the connection, and nobody is there to speak.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        globex = tenant("globex", 2, f"127.0.0.1:{silent.getsockname()[1]}")
        async with gate_for(globex) as gate:
            await held(gate, INFO)
            await held(gate, "info@globex.example")
            seen = {each["recipient"]: each for each in gate.observations()}

            def release(seq, tenant_id, recipient):
                found = seen[recipient]
                changes = {"ulid": found["trace_ulid"], "evidence": found["evidence"]}
                changes |= {"tenant_id": tenant_id, "recipients": [recipient]}
                return command(gate, seq=seq, **changes)

            stuck = [release(seq, 2, "info@globex.example") for seq in (1, 2)]
            gate.ingest.commands = [*stuck, release(3, 1, INFO)]
            await until(lambda: done_records(gate), seconds=5.0)
            blocked = tenant("acme", 1, sink.hop, rules=(block("ann@sender.example"),))
            newer = snapshot_of(blocked, globex, version="v2", made_at=datetime.now(UTC))
            gate.ingest.snapshot = sign_snapshot(newer.as_json(), SECRET)
            await until(lambda: gate.gate.keeper.current.version == "v2", seconds=3.0)
            assert [each["seq"] for each in done_records(gate)] == [3]
            begun = [each for each in gate.records() if each["kind"] == "command_begun"]
            assert sorted(each["command"]["seq"] for each in begun) == [1, 3], "one after the other"
    assert sink.recipients() == [INFO]


@pytest.mark.parametrize("what", ["signature", "gate", "older", "nonsense"])
async def test_a_policy_that_cannot_be_trusted_changes_nothing(gate_for, sink, what):
    async with gate_for() as gate:
        changed = snapshot_of(
            tenant("acme", 1, sink.hop),
            version="v2",
            made_at=datetime(2020, 1, 1, tzinfo=UTC) if what == "older" else None,
        ).as_json()
        if what == "gate":
            changed["gate"] = "gate2"
        signed = sign_snapshot(changed, b"x" * 32 if what == "signature" else SECRET)
        if what == "nonsense":
            signed = {"snapshot": {"version": "v2"}, "signature": 7}
        gate.ingest.snapshot = signed
        await asyncio.sleep(0.5)
        assert gate.gate.keeper.current.version == "v1"
        assert (await gate.send(mail_bytes())).startswith("250")


async def test_commands_go_on_after_ingest_was_down(gate_for, sink):
    ingest = Ingest(fail_with=[503, 401, 500])
    async with gate_for(ingest=ingest) as gate:
        await held(gate)
        ingest.commands = [command(gate)]
        await until(lambda: done_records(gate), seconds=10.0)
    assert len(sink.mails) == 1
