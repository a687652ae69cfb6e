"""Mail that was let through unscanned is scanned when the engines answer again."""

import time

import pytest
from typing_extensions import override

from incidents.words import MatrixAction
from seg_bridge.engines import EngineDidNotAnswer
from seg_bridge.gate import rescan
from seg_bridge.gate.rescan import Unscanned
from tests.seg_bridge.gate.parts import SubjectEngine, mail_bytes, until

INFO, CEO = "info@acme.example", "ceo@acme.example"


class Away(SubjectEngine):
    """``is_away``: it does not answer; ``odd`` is a subject of which it dies whenever asked."""

    def __init__(self):
        self.is_away = True
        self.asked = []

    @override
    async def scan(self, raw, facts, envelope):
        self.asked.append((facts.subject, envelope))
        if self.is_away or facts.subject.startswith("odd"):
            raise EngineDidNotAnswer("away")
        return await super().scan(raw, facts, envelope)


@pytest.fixture
def engine():
    return Away()


@pytest.fixture
def lenient(gate_for, engine):
    """A gate whose policy delivers what was not scanned, and asks again soon."""

    def make(policy=MatrixAction.DELIVER, **changes):
        options = {"engines": [engine], "rescan_pause_s": 0.02} | changes
        return gate_for(on_not_scanned=policy, **options)

    return make


def files(gate):
    return sorted(path.suffix for path in gate.settings.unscanned_folder.iterdir())


def late(gate):
    return [each for each in gate.observations() if each["detail"].get("is_rescan")]


async def test_it_is_scanned_and_each_copy_gets_a_second_word(lenient, engine, sink):
    async with lenient() as gate:
        assert (await gate.send(mail_bytes("phish 9"), INFO, CEO)).startswith("250")
        first = gate.observations()
        assert {each["verdict"] for each in first} == {None}
        assert files(gate) == [".stored"]
        engine.is_away = False
        await until(lambda: late(gate))
        second = late(gate)
        await until(lambda: files(gate) == [])
    assert [each["recipient"] for each in second] == [INFO, CEO]
    for before, after in zip(first, second, strict=True):
        assert (after["verdict"], after["score"]) == ("phish", 9.0)
        assert (after["action"], after["place"]) == (None, None)
        for name in ("tenant_id", "source", "source_key", "trace_ulid", "score_limit"):
            assert after[name] == before[name]
        assert after["mail"]["subject"] == "phish 9"
        assert after["observed_at"] > before["observed_at"]
    assert len(sink.mails) == 1, "nothing is delivered again"
    (_, then), *_, (_, again) = engine.asked
    assert again == then, "it is judged by the way it came"


@pytest.mark.parametrize("policy", [MatrixAction.DEFER, MatrixAction.HOLD])
async def test_what_did_not_go_on_does_not_wait(lenient, policy):
    async with lenient(policy) as gate:
        await gate.send(mail_bytes("phish 9"))
        assert files(gate) == []


async def test_what_was_scanned_does_not_wait(lenient, engine):
    engine.is_away = False
    async with lenient() as gate:
        await gate.send(mail_bytes("clean"))
        assert files(gate) == []


async def test_it_waits_over_a_restart(lenient, engine):
    async with lenient() as gate:
        await gate.send(mail_bytes("phish 9"))
    engine.is_away = False
    async with lenient() as gate:
        await until(lambda: late(gate))
        assert len(late(gate)) == 1


async def test_a_crash_leaves_what_is_on_record_and_nothing_else(lenient):
    async with lenient(rescan_pause_s=60.0) as gate:
        await gate.send(mail_bytes("one"))
        folder = gate.settings.unscanned_folder
    (path,) = folder.iterdir()
    path.rename(path.with_suffix(".eml"))  # died before it was activated
    unknown = folder / "01J00000000000000000000009.eml"
    unknown.write_bytes(path.with_suffix(".eml").read_bytes())  # died before its outcome
    async with lenient(rescan_pause_s=60.0) as gate:
        assert list(folder.iterdir()) == [path]


async def test_a_mail_that_no_engine_survives_holds_up_no_other(lenient, engine, monkeypatch):
    monkeypatch.setattr(rescan, "LONGEST_PAUSE_S", 0.02)
    async with lenient() as gate:
        for subject in ("odd 1", "odd 2", "odd 3", "spam 9", "phish 9"):
            await gate.send(mail_bytes(subject))
        engine.is_away = False
        await until(lambda: len(late(gate)) == 2)
        assert {each["verdict"] for each in late(gate)} == {"spam", "phish"}
        # A mail's file goes after its word is on record.
        await until(lambda: files(gate) == [".stored"] * 3)


async def test_no_more_wait_than_there_is_room_for(lenient, monkeypatch, caplog):
    monkeypatch.setattr(
        rescan.Unscanned.__init__, "__kwdefaults__", {"most": 1, "most_bytes": 9999}
    )
    async with lenient(rescan_pause_s=60.0) as gate:
        for subject in ("one", "two"):
            assert (await gate.send(mail_bytes(subject))).startswith("250")
        assert files(gate) == [".stored"]
    assert "stays unscanned" in caplog.text


def test_none_waits_for_ever(tmp_path):
    unscanned = Unscanned(tmp_path)
    (tmp_path / "01J00000000000000000000009.stored").write_bytes(b"x")
    assert unscanned.drop_older(time.time() - 60) == 0
    assert unscanned.drop_older(time.time() + 60) == 1


def test_a_file_that_cannot_be_read_is_removed(tmp_path):
    unscanned = Unscanned(tmp_path)
    (tmp_path / "01J00000000000000000000009.stored").write_bytes(b"nonsense")
    assert unscanned.read("01J00000000000000000000009") is None
    assert list(tmp_path.iterdir()) == []
