import asyncio
import math
import os
import time

import pytest

from incidents.mail import read_mail
from seg_bridge.engines import EngineDidNotAnswer
from seg_bridge.engines.isolated import IsolatedEngine, read_answer
from tests.seg_bridge.gate.parts import envelope

STRANGE = "tests.seg_bridge.engines.strange:Strange"


@pytest.fixture
async def engine():
    running = IsolatedEngine("strange", STRANGE, {"greeting": "good day"}, timeout_s=3.0)
    yield running
    await running.close()


def ask(engine, raw=b"ok"):
    return engine.scan(raw, read_mail(b"Subject: x\r\n\r\n"), envelope())


async def test_the_answer_is_what_the_engine_said(engine):
    scan = await ask(engine)
    assert scan.reasons[0].text == "good day ann@sender.example"
    assert (scan.verdict, scan.score, scan.auth[0].result) == ("spam", 7.5, "pass")
    assert int(scan.version) != os.getpid()


async def test_many_mails_are_in_one_process_at_once(engine):
    scans = await asyncio.gather(*(ask(engine) for _ in range(50)))
    assert len({scan.version for scan in scans}) == 1


async def test_a_mail_that_makes_the_engine_hang_is_not_scanned_and_the_others_are(engine):
    first = await ask(engine)
    started = time.monotonic()
    bad = asyncio.create_task(ask(engine, b"hang"))
    await asyncio.sleep(0.1)
    others = [asyncio.create_task(ask(engine)) for _ in range(5)]
    with pytest.raises(EngineDidNotAnswer, match="no result within 3 s"):
        await bad
    scans = await asyncio.gather(*others)
    assert {scan.version for scan in scans} != {first.version}, "a fresh process"
    assert time.monotonic() - started < 20


async def test_a_mail_that_kills_the_engine_is_not_scanned_and_the_next_is(engine):
    with pytest.raises(EngineDidNotAnswer, match="died over it twice"):
        await ask(engine, b"die")
    assert (await ask(engine)).score == 7.5


@pytest.mark.parametrize(("raw", "words"), [(b"raise", "a bug"), (b"silent", "told not to")])
async def test_an_engine_that_fails_says_so(engine, raw, words):
    with pytest.raises(EngineDidNotAnswer, match=words):
        await ask(engine, raw)


async def test_what_the_engine_prints_does_not_reach_the_gate(engine):
    assert (await ask(engine, b"print")).score == 7.5


async def test_a_score_that_is_no_number_comes_through_for_the_gate_to_refuse(engine):
    assert math.isnan((await ask(engine, b"nan")).score)


async def test_an_engine_that_cannot_be_made_does_not_answer():
    broken = IsolatedEngine("broken", STRANGE.replace("Strange", "not_an_engine"), {})
    with pytest.raises(EngineDidNotAnswer):
        await ask(broken)
    await broken.close()


async def test_closing_leaves_no_process(engine):
    pid = int((await ask(engine)).version)
    await engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"verdict": "odd"}', b"\xff"])
def test_an_answer_that_is_no_scan_is_none(body):
    with pytest.raises(EngineDidNotAnswer):
        read_answer(body)
