"""clamd's answers, and the ways in which it gives none."""

from __future__ import annotations

from typing import Any

import pytest

from incidents.mail import read_mail
from incidents.words import Verdict
from seg_bridge.engines import EngineDidNotAnswer, Scan
from seg_bridge.engines.clamav import ClamavEngine
from tests.seg_bridge.engines.servers import FakeClamd, dead_place
from tests.seg_bridge.engines.test_embedded import envelope, letter, with_attachment, zipped

RAW = letter().as_bytes()


async def ask(place: Any, raw: bytes = RAW, *, timeout_s: float = 5.0) -> Scan:
    return await ClamavEngine(place, timeout_s=timeout_s).scan(raw, read_mail(raw), envelope())


async def scan(says: str = "stream: OK", raw: bytes = RAW) -> Scan:
    async with FakeClamd(says).place() as place:
        return await ask(place, raw)


async def test_the_whole_mail_goes_to_clamd_as_it_is():
    clamd = FakeClamd()
    raw = with_attachment(bytes(range(256)) * 4000)
    async with clamd.place() as place:
        found = await ask(place, raw)
    assert clamd.streams == [raw]
    assert (found.verdict, found.version) == (Verdict.CLEAN, "1.4.6/27500")


@pytest.mark.parametrize(
    ("signature", "verdict"),
    [
        ("Win.Test.EICAR_HDB-1", Verdict.MALWARE),
        ("Local.Eicar.Body.UNOFFICIAL", Verdict.MALWARE),
        ("Heuristics.Phishing.Email.SpoofedDomain", Verdict.PHISH),
        ("Sanesecurity.Spam.12.UNOFFICIAL", Verdict.SPAM),
        ("PUA.Win.Packer.Upx-1", Verdict.SUSPICIOUS),
        ("Heuristics.Limits.Exceeded.MaxFileSize", Verdict.UNSCANNABLE),
        ("Heuristics.Encrypted.Zip", Verdict.UNSCANNABLE),
    ],
)
async def test_what_was_found_is_named_and_judged_by_its_name(signature, verdict):
    found = await scan(f"stream: {signature} FOUND")
    assert found.verdict is verdict
    assert found.reasons[0].value == signature
    assert found.score >= 6.0


@pytest.mark.parametrize(
    "says",
    ["stream: Can't allocate memory ERROR", "", "stream: ", "UNKNOWN COMMAND", "stream: okay"],
)
async def test_only_ok_and_found_are_answers(says):
    with pytest.raises(EngineDidNotAnswer):
        await scan(says)


async def test_a_dead_clamd_gives_no_answer():
    with pytest.raises(EngineDidNotAnswer, match="the connection failed"):
        await ask(await dead_place())


async def test_a_socket_that_is_not_there_gives_no_answer(tmp_path):
    with pytest.raises(EngineDidNotAnswer, match="the connection failed"):
        await ask(tmp_path / "clamd.ctl")


@pytest.mark.parametrize(
    ("fault", "why"),
    [("hanging", "within"), ("half_open", "within"), ("hangs_up", "hung up")],
)
async def test_a_clamd_that_hangs_gives_no_answer(fault, why):
    async with FakeClamd(fault=fault).place() as place:
        with pytest.raises(EngineDidNotAnswer, match=why):
            await ask(place, timeout_s=1.0 if fault == "hangs_up" else 0.2)


async def test_a_mail_that_is_too_long_for_clamd_was_not_scanned():
    async with FakeClamd(fault="cuts").place() as place:
        with pytest.raises(EngineDidNotAnswer, match="size limit exceeded"):
            await ask(place, letter("word " * 2_000_000).as_bytes())


async def test_an_ok_is_not_believed_where_an_archive_is_a_bomb():
    found = await scan(raw=with_attachment(zipped("x", bytes(50_000_000)), "b.zip"))
    assert found.verdict is Verdict.UNSCANNABLE
    assert "b.zip" in found.reasons[0].text
