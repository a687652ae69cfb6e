"""Broken and hostile mail that others have collected, and what generators can think of."""

from __future__ import annotations

import csv
import email
import random
import re
from collections.abc import Callable
from email.encoders import encode_base64
from functools import cache
from pathlib import Path
from typing import cast
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.mail import MailFacts, read_mail
from incidents.mail.fingerprint import content_fingerprint, minhash
from incidents.mail.headers import drop_headers, header_values, prepend_headers, scan_block
from incidents.mail.limits import CROSSED, DEFECTS, LIMITS
from incidents.mail.mime import parse_mime
from incidents.mail.render import safe_html, visible_text
from incidents.mail.wire import pack_facts, unpack_facts
from tests.hostile.generate import TRAITS, hostile_mail, hostile_mails

PIECES = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"--b", b"--b--", b"--", b": ", b";", b"=?",
    b"?=", b"From: ", b"To: ", b"Subject: ", b"Received: ", b"Date: ", b"Content-Type: ",
    b"MIME-Version: 1.0", b"multipart/mixed; boundary=b", b"message/rfc822", b"text/html",
    b"text/plain; charset=utf-7", b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable",
    b"uuencode", b"=?utf-8?b?YQ==?=", b"<a href='", b"https://a.example/", b"<p>", b"</p>", b"'>",
    b"a@b.example", b"<", b">", b'"', b"(", b")", b"\\", b"\x00", b"\xff",
    "é\u202e\u200b".encode(), b"Authentication-Results: mx; spf=pass", b"PK\x03\x04", b"PK\x05\x06",
    b"Content-Disposition: attachment; filename*0*=utf-8''a%00", b"%PDF-",
]  # fmt: skip


def check_reading(raw: bytes) -> MailFacts:
    """What must hold for the facts of any bytes; these facts."""
    facts = read_mail(raw, own_authserv_ids=("mx",))
    assert "parser_failed" not in facts.problems
    assert set(facts.problems) <= CROSSED | DEFECTS
    assert unpack_facts(pack_facts(facts)) == facts
    assert facts == read_mail(raw, own_authserv_ids=("mx",))
    as_text = str(facts.as_json())
    assert "\\x00" not in as_text
    as_text.encode()  # no lone surrogates
    assert (facts.sender is None) == (
        len(facts.from_all) != 1 or "ambiguous_sender" in facts.problems
    )
    assert len(facts.links) <= LIMITS.links
    assert len(facts.attachments) <= LIMITS.attachments
    if facts.fingerprint:
        assert int(facts.fingerprint, 16) >= 0
    safe_html(facts.html)
    visible_text(facts.subject)
    return facts


def check_edits(raw: bytes) -> None:
    """Adding a header and dropping it again gives the same bytes."""
    clean = drop_headers(raw, ["X-Bailey-Trace", "X-Bailey-Stray"])
    marked = prepend_headers(clean, [("X-Bailey-Trace", "v1")])
    assert header_values(marked, "X-Bailey-Trace") == ["v1"]
    assert drop_headers(marked, ["X-Bailey-Trace"]).replace(b"X-Bailey-Stray: -\n", b"", 1).replace(
        b"X-Bailey-Stray: -\r\n", b"", 1
    ) == (clean)


def torture_mails(corpus_dir: Path) -> list[Path]:
    folder = corpus_dir.parent / "torture" / "dev"
    with (folder / "manifest.csv").open(newline="") as manifest:
        paths = [folder / row["path"] for row in csv.DictReader(manifest)]
    assert len(paths) > 800
    return paths


@pytest.mark.shared
def test_the_whole_torture_set_is_read_and_gives_facts(corpus_dir):
    """Reading must not be safe by reading nothing."""
    facts = []
    for path in torture_mails(corpus_dir):
        raw = path.read_bytes()
        facts.append(check_reading(raw))
        check_edits(raw)
    assert sum(each.is_readable for each in facts) > 0.98 * len(facts)
    assert sum(bool(each.text or each.attachments) for each in facts) > 0.9 * len(facts)
    assert sum(each.sender is not None for each in facts) > 0.75 * len(facts)


@pytest.mark.shared
def test_real_mail_reads_as_the_standard_library_reads_it(corpus_dir):
    paths = sorted((corpus_dir / "mail").iterdir())
    chosen = random.Random(8).sample(paths, 250)
    different = [path.name for path in chosen if not reads_alike(path.read_bytes())]
    assert len(different) <= 5, different


def reads_alike(raw: bytes) -> bool:
    """Same leaves with the same decoded bytes; True for mails with defects of structure."""
    mime = parse_mime(raw)
    if mime.problems:
        return True
    theirs = [part for part in email.message_from_bytes(raw).walk() if not part.is_multipart()]
    if len(theirs) != len(mime.leaves):
        return any(leaf.content_type.startswith("message/") for leaf in mime.leaves)
    return all(
        lines(cast(bytes, part.get_payload(decode=True))) == lines(leaf.decoded(raw)[0])
        for part, leaf in zip(theirs, mime.leaves, strict=True)
    )


def lines(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n").strip()


BANNER = (
    "CAUTION: This email originated from outside of the organization. Do not click links or open"
    " attachments unless you recognize the sender and know the content is safe."
)


def as_it_is(text: str, content_type: str) -> str:
    return text


def with_banner(text: str, content_type: str) -> str:
    if content_type == "text/plain":
        return f"{BANNER}\r\n\r\n{text}"
    body = re.search(r"<body[^>]*>", text, re.IGNORECASE)
    at = body.end() if body else 0
    return f"{text[:at]}<div><p><b>{BANNER}</b></p></div>{text[at:]}"


def with_wrapped_links(text: str, content_type: str) -> str:
    def wrapped(match: re.Match[str]) -> str:
        target = quote(match[2].replace("&amp;", "&"), safe="")
        link = f"https://nam02.safelinks.protection.outlook.com/?url={target}&data=05%7C01&sdata=x"
        return match[1] + link

    is_html = content_type == "text/html"
    where = r'(href\s*=\s*")(https?://[^"]+)' if is_html else r"()(https?://[^\s<>\"')\]]+)"
    return re.sub(where, wrapped, text, flags=re.IGNORECASE)


def changed_on_the_way(raw: bytes, change: Callable[[str, str], str]) -> bytes | None:
    """The mail with its texts changed and encoded anew; None where its labels are wrong."""
    mail = email.message_from_bytes(raw)
    for part in mail.walk():
        if part.get_content_type() not in ("text/plain", "text/html") or part.get_filename():
            continue
        charset = part.get_content_charset() or "utf-8"
        try:
            text = cast(bytes, part.get_payload(decode=True)).decode(charset)
            content = change(text, part.get_content_type()).encode(charset)
        except (LookupError, UnicodeError):
            return None
        del part["Content-Transfer-Encoding"]
        part.set_payload(content)
        encode_base64(part)
    return mail.as_bytes()


@cache
def fingerprint_of(path: Path) -> str:
    """Of the mail as it came: the same for every change."""
    return read_mail(path.read_bytes()).fingerprint


@pytest.mark.shared
@pytest.mark.parametrize("change", [as_it_is, with_banner, with_wrapped_links])
def test_real_mail_keeps_its_fingerprint_on_its_way(corpus_dir, change):
    chosen = random.Random(6).sample(sorted((corpus_dir / "mail").iterdir()), 200)
    same = total = 0
    for path in chosen:
        changed = changed_on_the_way(path.read_bytes(), change)
        if changed is not None:
            total += 1
            same += fingerprint_of(path) == read_mail(changed).fingerprint
    assert total > 180
    assert same >= 0.98 * total


@pytest.mark.shared
def test_harmless_senders_are_not_ambiguous(corpus_dir):
    with (corpus_dir / "manifest.csv").open(newline="") as manifest:
        ham = [row["path"] for row in csv.DictReader(manifest) if row["label"] == "ham"]
    chosen = random.Random(20).sample(ham, 300)
    facts = [read_mail((corpus_dir / path).read_bytes()) for path in chosen]
    assert sum(each.sender is None for each in facts) <= 3


@pytest.mark.parametrize("trait", sorted(TRAITS))
@pytest.mark.parametrize("scale", [20, 1_000])
def test_every_trait_of_the_generator_is_read(trait, scale):
    for seed in range(3):
        raw = hostile_mail(trait, seed, scale=scale)
        check_reading(raw)
        check_edits(raw)


def test_generated_mail_is_read():
    for mail in hostile_mails(8, 250, scale=50):
        check_reading(mail.raw)
        check_edits(mail.raw)


def test_the_generator_gives_the_same_for_the_same_seed():
    assert list(hostile_mails(3, 20)) == list(hostile_mails(3, 20))
    assert list(hostile_mails(3, 20)) != list(hostile_mails(4, 20))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join))
def test_any_mixture_of_the_pieces_of_a_mail_is_read(raw):
    check_reading(raw)
    check_edits(raw)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=2_000))
def test_any_bytes_are_read(raw):
    check_reading(raw)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=1_000))
def test_any_text_has_a_fingerprint_that_does_not_depend_on_blanks(text):
    first = content_fingerprint(text)
    assert first == content_fingerprint(text.replace(" ", "  "))
    assert minhash(text) == minhash(text + " ")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))
def test_fields_of_a_block_do_not_overlap(raw):
    block = scan_block(raw)
    ends = [0, *(each.end for each in block.fields)]
    starts = [*(each.start for each in block.fields), len(raw)]
    assert all(end <= start for end, start in zip(ends, starts, strict=True))
    assert block.body_start <= len(raw)
