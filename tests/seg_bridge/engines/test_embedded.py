"""The embedded engine: verdicts, reasons, content and what it does when it cannot look."""

from __future__ import annotations

import base64
import gzip
import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest

from incidents.mail import read_mail
from incidents.mail.facts import MailFacts
from incidents.words import Verdict
from seg_bridge.engines import EngineDidNotAnswer, Envelope, embedded
from seg_bridge.engines.embedded import EmbeddedEngine, child
from seg_bridge.engines.embedded.content import content_reasons
from seg_bridge.engines.embedded.payloads import Budget, payloads
from tests.seg_bridge.engines.dns import TableLookup

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
PROGRAM = b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(64)


def envelope(**changes: Any) -> Envelope:
    fields: dict[str, Any] = {
        "client_ip": "192.0.2.10",
        "helo": "mail.nordvent.example",
        "mail_from": "tove@nordvent.example",
        "recipients": ("info@acme.example",),
        "received_at": datetime(2026, 11, 16, 9, 0, tzinfo=UTC),
    }
    return Envelope(**(fields | changes))


def letter(text: str = "The drawings for Thursday are done.", **headers: str) -> EmailMessage:
    mail = EmailMessage()
    defaults = {
        "From": "Tove Holm <tove@nordvent.example>",
        "To": "info@acme.example",
        "Subject": "Drawings",
        "Date": "Mon, 16 Nov 2026 09:00:00 +0000",
        "Message-ID": "<1@nordvent.example>",
    }
    for name, value in (
        defaults | {key.replace("_", "-"): v for key, v in headers.items()}
    ).items():
        mail[name] = value
    mail.set_content(text)
    return mail


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def with_attachment(content: bytes, name: str = "file.bin") -> bytes:
    mail = letter()
    mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return mail.as_bytes()


def judged(raw: bytes, facts: MailFacts | None = None) -> MailFacts:
    """What the gate's reader gives, without its process."""
    facts = facts or read_mail(raw)
    return replace(facts, judged=child.judge(raw, facts, None))


def scan(raw: bytes, lookup=None, **changes: Any):
    engine = EmbeddedEngine(lookup=lookup or TableLookup({}))
    try:
        return engine.scan_now(raw, judged(raw), envelope(**changes))
    finally:
        engine.close()


def codes(scan_) -> set[str]:
    return {reason.code for reason in scan_.reasons}


def test_harmless_mail_is_clean_with_high_confidence():
    found = scan(letter().as_bytes())
    assert (found.engine, found.verdict) == ("embedded", Verdict.CLEAN)
    assert found.score < 1
    assert found.confidence > 0.9


@pytest.mark.parametrize(
    "raw",
    [
        letter(EICAR.decode()).as_bytes(),
        with_attachment(EICAR, "eicar.com"),
        with_attachment(zipped("eicar.com", EICAR), "a.zip"),
        with_attachment(zipped("inner.zip", zipped("eicar.com", EICAR)), "a.zip"),
        with_attachment(gzip.compress(EICAR), "a.gz"),
        with_attachment(zipped("invoice.exe", PROGRAM), "invoice.zip"),
        with_attachment(PROGRAM, "photo.jpg"),
    ],
    ids=["text", "attached", "zip", "zip in zip", "gzip", "program in zip", "program as picture"],
)
def test_malware_is_malware_wherever_it_hides(raw):
    found = scan(raw)
    assert found.verdict is Verdict.MALWARE
    assert found.confidence > 0.6


def test_talk_about_the_test_file_is_no_malware():
    found = scan(letter("The EICAR test file begins with X5O!P%@AP and ends in H+H*.").as_bytes())
    assert found.verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    ("rule", "content"),
    [
        ("eicar", EICAR),
        ("windows_program", PROGRAM),
        ("linux_or_mac_program", b"\x7fELF" + bytes(60)),
        ("shortcut_file", bytes.fromhex("4c0000000114020000000000c000000000000046")),
        ("disk_image", bytes(32769) + b"CD001" + bytes(100)),
        ("office_macro_that_starts_itself", b"PK\x03\x04 AutoOpen CreateObject(x)"),
        (
            "office_link_template",
            b'<R Type="x/attachedTemplate" Target="http://b.example/t" TargetMode="External"/>',
        ),
        ("rtf_object_trick", b"{\\rtf1{\\object\\objupdate{\\*\\objdata 01}}}"),
        ("script_that_loads", b'x = new ActiveXObject("MSXML2.XMLHTTP")'),
        (
            "page_that_builds_a_file",
            b"<script>b=new Blob([x]);a.href=URL.createObjectURL(b);a.download='i'</script>",
        ),
        (
            "page_that_asks_a_password",
            b'<html><form method="post"><input type="password" name=p></form></html>',
        ),
        ("page_that_is_scrambled", b"<script>document.write(unescape('%3c%68'))</script>"),
        ("pdf_that_acts", b"%PDF-1.7 /OpenAction << /S /JavaScript /JS (x) >>"),
        ("vector_image_with_script", b"<svg xmlns='x'><script>go()</script></svg>"),
    ],
)
def test_every_rule_finds_what_it_is_for(rule, content):
    found = {reason.code: reason for reason in content_reasons(content)}
    assert found[f"yara_{rule}"].text.endswith(".")


def test_every_rule_is_tried_by_the_test_above():
    text = (embedded.WEIGHTS.parent / "rules.yar").read_text(encoding="utf-8")
    mark = test_every_rule_finds_what_it_is_for.pytestmark[0]
    assert {rule for rule, _ in mark.args[1]} == {
        line.split()[1] for line in text.splitlines() if line.startswith("rule ")
    }


@pytest.mark.parametrize(
    "content",
    [
        b"%PDF-1.7 a plain page",
        b"<svg xmlns='x'><path d='M0 0'/></svg>",
        b"<html><form method='post'><input type='text'></form></html>",
        zipped("word/document.xml", b"<w:document/>"),
        b"MZ is how such files begin",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
)
def test_ordinary_content_matches_no_rule(content):
    assert list(content_reasons(content)) == []


def test_base64_is_found_without_its_headers():
    block = base64.encodebytes(zipped("eicar.com", EICAR) + bytes(100))
    assert EICAR in list(payloads(b"no MIME at all\n\n" + block, Budget()))


def test_locked_and_broken_archives_are_no_exception():
    locked = bytearray(zipped("a.txt", b"hello" * 20))
    locked[6] |= 1
    for packed in (bytes(locked), zipped("a", b"x" * 99)[:-12], b"PK\x03\x04" + bytes(60)):
        assert packed in list(payloads(base64.encodebytes(packed), Budget())) or len(packed) < 45


def test_bomb_is_not_unpacked_to_its_end():
    bomb = zipped("big", bytes(40_000_000))
    sizes = [len(data) for data in payloads(with_attachment(bomb), Budget())]
    assert max(sizes) <= max(2_000_000, sizes[0])


def test_limit_on_packed_content_is_told():
    packed = zipped("a", b"1")
    for _ in range(5):
        packed = zipped("inner.zip", packed)
    assert "content_not_all_scanned" in {r.code for r in content_reasons(with_attachment(packed))}


def test_forged_sender_with_a_strict_policy_is_condemned_by_a_second_reason():
    table = {("_dmarc.nordvent.example", "TXT"): ("v=DMARC1; p=reject",)}
    raw = letter(
        "Your parcel could not be delivered: pay the shipping fee for redelivery."
    ).as_bytes()
    found = scan(raw, TableLookup(table))
    assert "dmarc_fail_reject" in codes(found)
    assert [one.result for one in found.auth if one.method == "dmarc"] == ["fail"]
    assert found.score > scan(raw).score + 3


def test_proven_sender_is_told():
    table = {
        ("_dmarc.nordvent.example", "TXT"): ("v=DMARC1; p=reject",),
        ("nordvent.example", "TXT"): ("v=spf1 ip4:192.0.2.10 -all",),
    }
    assert "dmarc_pass" in codes(scan(letter().as_bytes(), TableLookup(table)))


def test_dead_resolver_is_a_reason_and_no_verdict():
    found = scan(letter().as_bytes(), TableLookup({}, frozenset({"*"})))
    assert "auth_unavailable" in codes(found)
    assert found.verdict is Verdict.CLEAN


def test_login_stands_in_for_the_host():
    found = scan(letter().as_bytes(), authenticated_as="tove", helo="192.0.2.77")
    assert found.auth == ()
    assert "helo_ip" not in codes(found)


@pytest.mark.parametrize(
    ("helo", "code"),
    [
        ("[192.0.2.77]", "helo_ip"),
        ("laptop", "helo_bare"),
        ("dsl-192-0-2-77.pool.isp.example", "helo_numbered"),
        ("mail.nordvent.example", "helo_of_sender"),
        ("xkqzrtvbw.example", "helo_random"),
        ("mail.offers.click", "helo_suspicious_tld"),
    ],
)
def test_host_is_told_by_how_it_names_itself(helo, code):
    others = {"helo_ip", "helo_bare", "helo_numbered", "helo_of_sender", "helo_random"} - {code}
    found = codes(scan(letter().as_bytes(), helo=helo))
    assert code in found
    assert not found & (others | {"helo_suspicious_tld"} - {code})


def test_free_mailer_s_name_from_another_host_is_told():
    raw = letter(From="Tove <tove@gmail.com>").as_bytes()
    assert "free_mailer_from_elsewhere" in codes(scan(raw, helo="host.isp.example"))
    assert "free_mailer_from_elsewhere" not in codes(scan(raw, helo="mail-x.google.com"))


def test_null_sender_is_odd_but_for_reports():
    assert "empty_envelope" in codes(scan(letter().as_bytes(), mail_from=""))
    report = letter(Auto_Submitted="auto-replied").as_bytes()
    assert "empty_envelope" not in codes(scan(report, mail_from=""))


def test_unreadable_mail_is_unscannable_and_its_bytes_are_still_looked_at():
    assert scan(b"").verdict is Verdict.UNSCANNABLE
    unreadable = judged(EICAR, read_mail(b""))
    engine = EmbeddedEngine(lookup=TableLookup({}))
    found = engine.scan_now(EICAR, unreadable, envelope())
    engine.close()
    assert (found.verdict, found.reasons[0].code) == (Verdict.MALWARE, "unreadable")


@pytest.mark.parametrize("said", [None, 5, "clean", [["code"]], {"a": 1}, [["c", "t", "v", "x"]]])
def test_without_a_sound_word_of_the_reading_process_there_is_no_answer(said):
    raw = letter().as_bytes()
    engine = EmbeddedEngine(lookup=TableLookup({}))
    with pytest.raises(EngineDidNotAnswer, match="it was ended"):
        engine.scan_now(raw, replace(read_mail(raw), judged=said), envelope())
    engine.close()


def test_a_mail_that_killed_its_reader_is_unscannable():
    killed = MailFacts(size_bytes=1, raw_sha256="", is_readable=False, problems=("parser_killed",))
    engine = EmbeddedEngine(lookup=TableLookup({}))
    assert engine.scan_now(b"x", killed, envelope()).verdict is Verdict.UNSCANNABLE
    engine.close()


async def test_scan_that_takes_too_long_is_no_answer(monkeypatch):
    monkeypatch.setattr(embedded, "SCAN_TIMEOUT_S", 0.05)
    engine = EmbeddedEngine(lookup=TableLookup({}))
    monkeypatch.setattr(engine, "scan_now", lambda *_: __import__("time").sleep(0.3))
    with pytest.raises(EngineDidNotAnswer):
        await engine.scan(b"", read_mail(b""), envelope())
    engine.close()


async def test_many_mails_at_once_are_answered_each_by_its_own():
    import asyncio

    engine = EmbeddedEngine(lookup=TableLookup({}))
    good, bad = letter().as_bytes(), with_attachment(EICAR)
    jobs = [engine.scan(raw, judged(raw), envelope()) for raw in (good, bad) * 12]
    verdicts = [found.verdict for found in await asyncio.gather(*jobs)]
    engine.close()
    assert verdicts == [Verdict.CLEAN, Verdict.MALWARE] * 12
