"""Bombs end within a bounded time, and harm no other mail."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import pytest

from incidents.mail import MailFacts, read_mail
from incidents.mail.headers import drop_headers, prepend_headers, tag_subject
from incidents.mail.reader import MailReader
from tests.incidents.mail.bombs import BOMBS
from tests.incidents.mail.mails import plain_mail


@pytest.fixture(scope="module")
def reader():
    with MailReader() as reader:
        yield reader


@pytest.fixture(scope="module")
def facts_of(reader) -> Callable[[str], tuple[MailFacts, int]]:
    """The facts of a bomb, and its size: read once, however many tests look at them."""

    @cache
    def read(name: str) -> tuple[MailFacts, int]:
        bomb = BOMBS[name]()
        return reader.read(bomb), len(bomb)

    return read


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_in_bounded_time_and_the_next_mail_is_read(reader, facts_of, name):
    """A quadratic parser would need minutes to hours: the reader kills it after seconds."""
    facts, size_bytes = facts_of(name)
    assert facts.size_bytes == size_bytes
    assert not {"parser_failed", "parser_killed"} & set(facts.problems)
    assert reader.read(plain_mail()) == read_mail(plain_mail())


@pytest.mark.parametrize(
    "name", ["50 MB of headers", "millions of folded lines", "carriage returns"]
)
def test_header_edits_of_a_bomb_come_to_an_end(name):
    """Some seconds, on a busy machine more; a quadratic edit would need hours."""
    bomb = BOMBS[name]()
    started = time.process_time()
    edited = prepend_headers(drop_headers(bomb, ["X-Bailey-Trace"]), [("X-Bailey-Trace", "v1")])
    tag_subject(edited, "[x]")
    assert time.process_time() - started < 60
    assert edited.endswith(bomb[-1_000:])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("50,000 empty parts", "too_many_parts"),
        ("multipart depth 400", "too_deep"),
        ("message depth 990", "too_deep"),
        ("50 MB of headers", "too_many_headers"),
        ("40 MB in one header", "header_too_long"),
        ("headers in every part", "headers_too_long"),
        ("100,000 addresses", "too_many_addresses"),
        ("deep HTML", "html_too_deep"),
        ("a tag with 200,000 attributes", "html_too_big"),
        ("50,000 links", "html_too_big"),
        ("millions of words", "text_cut"),
    ],
)
def test_a_crossed_limit_is_said(facts_of, name, problem):
    facts, _ = facts_of(name)
    assert problem in facts.problems
    assert facts.is_readable


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("a zip of 90 MB of zeros", "bomb"),
        ("a zip of 60,000 files", "too_big"),
        ("a zip of files that share their bytes", "bomb"),
        ("a gzip of 90 MB of zeros", "bomb"),
    ],
)
def test_an_archive_bomb_is_flagged(facts_of, name, flag):
    facts, _ = facts_of(name)
    (attachment,) = facts.attachments
    assert flag in attachment.flags
    assert len(attachment.members) <= 100
