import asyncio
import hashlib
import json
import time

import pytest
from typing_extensions import override

from incidents.observations import Observation
from seg_bridge import sign_of_life
from seg_bridge.gate import ship
from seg_bridge.gate.ingest import IngestError
from seg_bridge.gate.journal import encode_record, segments
from seg_bridge.gate.ship import Shipper
from tests.seg_bridge.gate.parts import Ingest, block, mail_bytes, until
from tests.seg_bridge.gate.test_commands import command, done_records

PHISH = mail_bytes("phish 9")


async def ship_all(gate, ingest):
    async with ingest.client() as client:
        shipper = Shipper(gate.settings, client)
        while await shipper.step():
            pass
        return shipper


def shipped(ingest):
    return {seen["source_key"] for seen in ingest.observations.values()}


async def test_every_observation_arrives_as_the_wire_form_says(gate_for, sink):
    ingest = Ingest()
    async with gate_for() as gate:
        for subject in ("one", "phish 9", "silent"):
            await gate.send(mail_bytes(subject), "info@acme.example", "ceo@acme.example")
        await ship_all(gate, ingest)
        assert len(ingest.observations) == 6
        assert shipped(ingest) == {each["source_key"] for each in gate.observations()}
    for seen in ingest.observations.values():
        assert Observation.from_json(seen).as_json() == {**Observation.from_json(seen).as_json()}


async def test_original_bytes_are_stored_before_the_lines_that_name_them(gate_for, sink):
    class Ordered(Ingest):
        @override
        def _take_lines(self, content):
            for line in content.splitlines():
                evidence = json.loads(line)["observation"]["evidence"]
                assert not evidence or ("1", evidence) in self.evidence
            return super()._take_lines(content)

    ingest = Ordered()
    async with gate_for() as gate:
        await gate.send(PHISH)
        await ship_all(gate, ingest)
    assert ingest.evidence == {("1", hashlib.sha256(PHISH).hexdigest()): PHISH}
    assert len(ingest.observations) == 1


async def test_held_bytes_stay_at_the_gate_and_others_go_once_they_are_stored(gate_for, sink):
    from incidents.words import Verdict

    changes = {"keep_original": frozenset({Verdict.CLEAN})}
    async with gate_for(**changes) as gate:
        await gate.send(mail_bytes())
        await gate.send(PHISH)
        assert len(gate.originals()) == 2
        await ship_all(gate, Ingest())
        folder = gate.settings.originals_folder
        assert [path.suffix for path in sorted(folder.rglob("*.*"))] == [".held", ".stored"]


async def test_a_release_after_shipping_needs_no_console_and_lets_the_bytes_go(gate_for, sink):
    async with gate_for() as gate:
        await gate.send(PHISH)
        await ship_all(gate, Ingest())
        gate.ingest.commands = [command(gate)]
        await until(lambda: done_records(gate))
        assert done_records(gate)[0]["ok"]
        await until(lambda: not list(gate.settings.originals_folder.rglob("*.*")))


async def test_bytes_held_for_two_stay_until_both_are_settled(gate_for, sink):
    names = ("info@acme.example", "ceo@acme.example")
    async with gate_for() as gate:
        await gate.send(PHISH, *names)
        await ship_all(gate, Ingest())
        gate.ingest.commands = [command(gate)]
        await until(lambda: done_records(gate))
        assert len(list(gate.settings.originals_folder.rglob("*.stored"))) == 1
        second = command(gate, seq=2, recipients=["ceo@acme.example"], kind="drop")
        gate.ingest.commands.append(second)
        await until(lambda: not list(gate.settings.originals_folder.rglob("*.*")))


@pytest.mark.parametrize("status", [400, 401, 500, 503])
async def test_a_batch_that_was_not_taken_is_sent_again_whole(gate_for, sink, status):
    ingest = Ingest()
    async with gate_for() as gate:
        await gate.send(PHISH)
        async with ingest.client() as client:
            shipper = Shipper(gate.settings, client)
            for fails in ([status], [200, status]):
                ingest.fail_with = list(fails)
                with pytest.raises(IngestError):
                    await shipper.step()
            assert gate.originals() != []
            assert await shipper.step()
            assert not await shipper.step()
    assert len(ingest.observations) == 1


async def test_a_shipper_gives_a_sign_of_life_only_while_all_is_carried_on(
    gate_for, sink, tmp_path, monkeypatch
):
    path = tmp_path / "alive"
    monkeypatch.setenv(sign_of_life.VARIABLE, str(path))
    monkeypatch.setattr(sign_of_life, "NOT_OFTENER_THAN_S", 0.0)
    monkeypatch.setattr(ship, "NEW_JOURNALS_EVERY_S", 0.01)
    monkeypatch.setattr(ship, "FIRST_RETRY_S", 0.01)
    ingest = Ingest(fail_with=[503] * 4)
    async with gate_for() as gate:
        await gate.send(PHISH)
        async with ingest.client() as client:
            work = asyncio.create_task(ship.ship_all(gate.settings, client))
            try:
                await until(lambda: len(ingest.fail_with) < 3)
                assert not path.exists()
                await until(path.exists)
                assert ingest.observations != {}
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)


async def test_shipping_again_from_the_start_changes_nothing(gate_for, sink):
    ingest = Ingest()
    async with gate_for() as gate:
        for subject in ("one", "phish 9"):
            await gate.send(mail_bytes(subject))
        await ship_all(gate, ingest)
        before = dict(ingest.observations)
        (gate.folder / "ship.json").write_text("{broken")
        await ship_all(gate, ingest)
    assert ingest.observations == before


async def test_a_refused_line_is_parked_and_the_rest_goes_on(gate_for, sink):
    ingest = Ingest(refuse=lambda line: line["observation"]["mail"]["subject"] == "bad")
    async with gate_for() as gate:
        for subject in ("one", "bad", "two"):
            await gate.send(mail_bytes(subject))
        await ship_all(gate, ingest)
        await ship_all(gate, ingest)
        (parked,) = (gate.folder / "refused").iterdir()
        entry = json.loads(parked.read_text())
        assert entry["error"] == "told to"
        assert entry["line"]["observation"]["mail"]["subject"] == "bad"
    assert len(ingest.observations) == 2


async def test_a_mail_with_more_lines_than_a_request_takes_goes_in_several(
    gate_for, sink, monkeypatch
):
    requests = []

    class Counting(Ingest):
        @override
        def _take_lines(self, content):
            requests.append(len(content.splitlines()))
            return super()._take_lines(content)

    ingest = Counting(refuse=lambda line: line["observation"]["recipient"].startswith("cfo"))
    async with gate_for() as gate:
        await gate.send(
            mail_bytes("one"), "info@acme.example", "ceo@acme.example", "cfo@acme.example"
        )
        monkeypatch.setattr(ship, "REQUEST_BYTES", 1)
        await ship_all(gate, ingest)
    assert requests == [1, 1, 1]
    assert len(ingest.observations) == 2
    (parked,) = (gate.settings.folder / "refused").iterdir()
    assert json.loads(parked.read_text())["line"]["observation"]["recipient"] == "cfo@acme.example"


async def test_shipped_segments_are_removed_and_the_newest_stays(gate_for, sink):
    ingest = Ingest()
    for number in range(3):
        async with gate_for() as gate:
            await gate.send(mail_bytes(f"mail {number}"))
    assert len(segments(gate.settings.journal_folder)) == 3
    await ship_all(gate, ingest)
    assert len(segments(gate.settings.journal_folder)) == 1
    assert len(ingest.observations) == 3


async def test_a_segment_with_an_unfinished_mail_is_not_removed(gate_for, sink):
    ingest = Ingest()
    async with gate_for() as gate:
        await gate.send(mail_bytes("unfinished"))
    (first,) = segments(gate.settings.journal_folder)
    first.write_bytes(first.read_bytes().splitlines(keepends=True)[0])
    second = first.with_name("0000000002.log")
    done = {"command_id": "c1", "seq": 1, "ok": True, "detail": "", "at": "2026-11-22T12:00:00Z"}
    second.write_bytes(encode_record({"kind": "command", "command": done}))
    await ship_all(gate, ingest)
    assert "c1" in ingest.commands_done
    assert first.exists()
    assert ingest.observations == {}
    async with gate_for() as gate:
        await ship_all(gate, ingest)
        assert [seen["action"] for seen in ingest.observations.values()] == ["unknown"]
        assert not first.exists()


async def test_commands_are_acknowledged_through_the_journal(gate_for, sink):
    async with gate_for() as gate:
        await gate.send(PHISH)
        wanted = command(gate)
        gate.ingest.commands = [wanted]
        await until(lambda: done_records(gate))
        await ship_all(gate, gate.ingest)
        done = gate.ingest.commands_done[wanted["id"]]
        assert done["ok"] is True
        assert set(done) == {"kind", "command_id", "ok", "detail", "at"}
        assert [seen["action"] for seen in gate.ingest.observations.values()] == [
            "held",
            "delivered",
        ]


@pytest.mark.parametrize("status", [404, 413])
async def test_bytes_that_ingest_will_never_take_stop_nothing(gate_for, sink, status):
    ingest = Ingest(fail_with=[status])
    async with gate_for() as gate:
        await gate.send(PHISH)
        await ship_all(gate, ingest)
        (parked,) = (gate.folder / "refused").iterdir()
        assert parked.read_bytes() == PHISH
    assert len(ingest.observations) == 1


async def test_bytes_that_changed_on_disk_are_set_aside_and_not_deleted(gate_for, sink):
    ingest = Ingest()
    async with gate_for(rules=(block("ann@sender.example"),)) as gate:
        await gate.send(mail_bytes())
        (path,) = gate.originals()
        path.write_bytes(b"rotten")
        await ship_all(gate, ingest)
        (parked,) = (gate.folder / "refused").iterdir()
        assert parked.read_bytes() == b"rotten"
    assert len(ingest.observations) == 1


async def test_held_bytes_go_after_the_retention_time(gate_for, sink):
    async with gate_for() as gate:
        await gate.send(PHISH)
        shipper = await ship_all(gate, Ingest())
        assert shipper._originals.drop_older(time.time() - 60) == 0
        assert shipper._originals.drop_older(time.time() + 60) == 1
        assert list(gate.settings.originals_folder.rglob("*.*")) == []
