"""Judging in the reading process: what a judge does to itself is the end of that mail alone."""

from __future__ import annotations

import threading
import time

import pytest

from incidents.mail import read_mail
from incidents.mail.facts import MailFacts
from incidents.mail.loop_reader import LoopReader
from incidents.mail.reader import MailReader
from tests.incidents.mail.judges import STRANGE

BOMBS = ("loop", "regex", "sleep", "hog", "die")


def mail(subject: str) -> bytes:
    return f"From: a@b.example\r\nSubject: {subject}\r\n\r\nhello".encode()


@pytest.fixture(scope="module")
def reader():
    with MailReader(judge=STRANGE, cpu_s=2, wall_s=4.0, memory_bytes=200_000_000) as reader:
        reader.read(mail("warm"))
        yield reader


def test_the_judge_sees_bytes_facts_and_what_it_is_told(reader):
    raw = mail("fine")
    facts = reader.read(raw, tell_judge=lambda facts: [facts.subject, 5])
    assert facts.judged == {"raw": len(raw), "subject": "fine", "told": ["fine", 5]}
    assert reader.read(raw).judged["told"] is None


async def test_the_judge_is_asked_from_an_event_loop_too():
    async with LoopReader(judge=STRANGE) as reader:
        assert (await reader.read_async(mail("fine"))).judged["subject"] == "fine"
        assert (await reader.read_async(mail("die"))).judged is None
        assert (await reader.read_async(mail("fail"))).judged is None
        assert (await reader.read_async(mail("fine"))).judged["subject"] == "fine"


def test_facts_are_those_of_reading_and_what_was_judged_is_not_stored(reader):
    raw = mail("fine")
    facts = reader.read(raw)
    assert facts.as_json() == read_mail(raw).as_json()
    assert "judged" not in facts.as_json()


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_mail_that_is_too_much_for_the_judge_is_read_and_not_judged(reader, bomb):
    started = time.monotonic()
    facts = reader.read(mail(bomb))
    assert time.monotonic() - started < 8
    assert facts.is_readable
    assert facts.subject == bomb
    assert facts.judged is None
    assert reader.read(mail("next")).judged["subject"] == "next"


def test_a_bomb_holds_up_no_other_mail(reader):
    bombed: list[MailFacts] = []
    bomber = threading.Thread(target=lambda: bombed.append(reader.read(mail("regex"))))
    reader.read(mail("warm"))
    bomber.start()
    judged = [reader.read(mail(f"number {number}")).judged for number in range(20)]
    assert bomber.is_alive(), "all were answered while the bomb still ran"
    bomber.join()
    assert [each["subject"] for each in judged] == [f"number {number}" for number in range(20)]
    assert [each.judged for each in bombed] == [None]


@pytest.mark.parametrize("defect", ["fail", "unsendable"])
def test_a_defect_of_ours_is_in_the_log_on_one_line_and_costs_no_process(reader, caplog, defect):
    reader.read(mail("warm"))
    before = {child.process.pid for child in reader._free.queue if child}
    assert reader.read(mail(defect)).judged is None
    assert {child.process.pid for child in reader._free.queue if child} == before
    assert ("a bug of ours" if defect == "fail" else "not JSON serializable") in caplog.text
    assert "\n" not in caplog.messages[-1]


def test_a_caller_that_fails_while_it_tells_the_judge_harms_nobody(reader):
    with pytest.raises(ValueError, match="fine"):
        reader.read(mail("fine"), tell_judge=lambda facts: int(facts.subject))
    assert reader.read(mail("next")).judged["subject"] == "next"


def test_mail_that_reading_alone_refuses_is_not_judged(reader):
    assert reader.read(b"").judged is None
    assert reader.read(b"") == read_mail(b"")
