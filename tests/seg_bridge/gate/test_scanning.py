import asyncio

import pytest

from incidents.mail import read_mail
from incidents.words import Verdict
from seg_bridge.engines import EngineDidNotAnswer, Scan
from seg_bridge.gate.scanning import combine, scan_with_all
from tests.seg_bridge.gate.parts import envelope, mail_bytes

RAW = mail_bytes()


class Saying:
    def __init__(self, verdict, score=0.0, name="one"):
        self.name, self.verdict, self.score = name, verdict, score

    async def scan(self, raw, facts, envelope):
        return Scan(
            engine=self.name,
            version="1",
            verdict=self.verdict,
            score=self.score,
            confidence=0.5,
            reasons=(),
        )


class Failing:
    name = "two"

    def __init__(self, error):
        self.error = error

    async def scan(self, raw, facts, envelope):
        if self.error is None:
            await asyncio.sleep(60)
        raise self.error


async def result_of(*engines):
    return await scan_with_all(engines, RAW, read_mail(RAW), envelope(), timeout_s=0.05)


@pytest.mark.parametrize("error", [EngineDidNotAnswer("x"), ValueError("bug"), None])
async def test_an_engine_that_fails_or_hangs_means_not_scanned(error):
    result = await result_of(Saying(Verdict.CLEAN), Failing(error))
    assert result.verdict is None
    assert result.missing == ("two",)


async def test_a_threat_counts_although_another_engine_did_not_answer():
    result = await result_of(Saying(Verdict.MALWARE, 15.0), Failing(ValueError()))
    assert result.verdict is Verdict.MALWARE
    assert result.missing == ("two",)


async def test_no_engine_at_all_means_not_scanned():
    assert (await result_of()).verdict is None


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
async def test_a_score_that_is_no_number_is_no_answer(score):
    assert (await result_of(Saying(Verdict.SPAM, score))).verdict is None


async def test_the_worst_verdict_and_the_highest_score_win():
    result = await result_of(Saying(Verdict.SPAM, 20.0), Saying(Verdict.PHISH, 8.0, "three"))
    assert (result.verdict, result.score) == (Verdict.PHISH, 20.0)
    assert result.engine == "one+three"


def test_an_unreadable_mail_is_unscannable_whatever_an_engine_says():
    assert combine([], {"one": "dead"}, is_readable=False).verdict is Verdict.UNSCANNABLE
