"""Attachments are what their bytes say, not what their names say."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import lzma
import struct
import tarfile
import zipfile
import zlib

import pytest

from incidents.mail import read_mail
from incidents.mail.archives import Budget, look_inside
from incidents.mail.attachments import FLAGS
from incidents.mail.facts import Attachment
from incidents.mail.filetypes import KINDS, extension_of, kind_of
from incidents.mail.limits import LIMITS
from tests.hostile.generate import hostile_mail
from tests.incidents.mail.mails import mail_with

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500


def attachment(content: bytes, name: str = "file_bin") -> Attachment:
    (found,) = read_mail(mail_with(text="See the file.", files={name: content})).attachments
    assert set(found.flags) <= FLAGS
    assert found.kind in KINDS
    return found


def zipped(*names: str, content: bytes = b"x", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return data.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"%PDF-1.7 x", "a_bin", "pdf"),
        (b"MZ\x90\x00" + b"\0" * 100, "a_pdf", "exe"),
        (
            b"MZ is how this text begins, and it goes on for more than sixty-four letters",
            "a_txt",
            "text",
        ),
        (b"\x7fELF" + b"\0" * 60, "a_bin", "elf"),
        (OLE, "a_doc", "ole"),
        (OLE + "__substg1.0_".encode("utf-16-le"), "a_msg", "msg"),
        (b"{\\rtf1 x}", "a_doc", "rtf"),
        (b"Rar!\x1a\x07\x01\x00" + b"\0" * 20, "a_rar", "rar"),
        (b"7z\xbc\xaf\x27\x1c" + b"\0" * 20, "a_7z", "7z"),
        (b"\x89PNG\r\n\x1a\n", "a_png", "png"),
        (b"<!DOCTYPE html><html>", "a_bin", "html"),
        (b"\xef\xbb\xbf  <html>", "a_pdf", "html"),
        (b"<?xml version='1.0'?><svg xmlns='x'>", "a_bin", "svg"),
        (b"var x = 1;", "a_js", "script"),
        (b"<job><script>", "a_wsf", "script"),
        (b"[InternetShortcut]\r\nURL=https://a.example", "a_url", "shortcut"),
        (b"L\x00\x00\x00\x01\x14\x02\x00" + b"\0" * 60, "a_lnk", "lnk"),
        (b"BEGIN:VCALENDAR\r\n", "a_ics", "calendar"),
        (b"\0" * 0x8001 + b"CD001" + b"\0" * 100, "a_iso", "iso"),
        (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d" + b"\0" * 60, "a_one", "onenote"),
        (b"\x00\x01\x02", "a_bin", "unknown"),
        (b"some bytes first \n%PDF-1.4", "a_pdf", "pdf"),
        (b"0\x82\x15z\x06\x00<?xml version='1.0'?>", "a_mobileconfig", "profile"),
        (b"", "a_bin", "unknown"),
        (zipped("word/document.xml", "[Content_Types].xml"), "a_docx", "docx"),
        (zipped("xl/workbook.xml"), "a_xlsx", "xlsx"),
        (zipped("META-INF/MANIFEST.MF", "A.class"), "a_jar", "jar"),
        (zipped("readme.txt"), "a_zip", "zip"),
    ],
)
def test_the_kind_comes_from_the_content(content, name, kind):
    found = attachment(content, name)
    assert found.kind == kind
    assert found.size_bytes == len(content)
    assert found.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("content", "name", "flag"),
    [
        (b"MZ\x90\x00" + b"\0" * 100, "invoice_pdf", "type_mismatch"),
        (b"MZ\x90\x00" + b"\0" * 100, "invoice_exe", "executable"),
        (b"x", "invoice.pdf_js", "double_extension"),
        (b"x", "invoice_\u202efdp_exe", "bidi_name"),
        (zipped("xl/vbaProject.bin"), "a_xlsm", "macro"),
        (OLE + "_VBA_PROJECT".encode("utf-16-le"), "a_xls", "macro"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "a_xlsx", "encrypted"),
        (b"%PDF-1.7 /Encrypt 1 0 R", "a_pdf", "encrypted"),
        (b"%PDF-1.7 /OpenAction << /JavaScript >>", "a_pdf", "script"),
        (b"%PDF-1.7 /Launch", "a_pdf", "launch"),
        (b"<html><script>x</script>", "a_html", "script"),
        (b"<html><input TYPE = 'password'>", "a_html", "password_form"),
        (b"7z\xbc\xaf\x27\x1c" + b"\0" * 20, "a_7z", "opaque"),
        (b"", "invoice_pdf", "empty"),
        (bz2.compress(b"\0" * 3_000_000), "a_bz2", "bomb"),
        (lzma.compress(b"MZ\x90\x00" + b"\0" * 100), "a_xz", "executable_inside"),
        (gzip.compress(b"x" * 100)[:-20], "a_gz", "broken_archive"),
        (b"{\\rtf1 \\objdata 00}", "a_rtf", "embedded_object"),
        (zipped("invoice.exe"), "a_zip", "executable_inside"),
        (zipped("invoice.txt", content=b"MZ\x90\x00" + b"\0" * 100), "a_zip", "executable_inside"),
        (zipped("../../etc/passwd"), "a_zip", "path_escape"),
        (zipped("zero.txt", content=b"\0" * 3_000_000), "a_zip", "bomb"),
        (zipped("inner.zip", content=zipped("a.txt")), "a_zip", "nested"),
        (zipped("a.txt")[:-30], "a_zip", "broken_archive"),
        (gzip.compress(b"\0" * 3_000_000), "a_gz", "bomb"),
        (gzip.compress(b"MZ\x90\x00" + b"\0" * 100), "a_gz", "executable_inside"),
        (b"Rar!\x1a\x07\x01\x00\0\0\0\0\0\x04\0\0\0\0", "a_rar", "encrypted"),
    ],
)  # fmt: skip
def test_what_is_odd_is_flagged(content, name, flag):
    assert flag in attachment(content, name).flags


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.7 x", "invoice_pdf"),
        (zipped("word/document.xml", "word/styles.xml"), "letter_docx"),
        (zipped("one.txt", "two.txt"), "papers_zip"),
        (b"\x89PNG\r\n\x1a\n", "logo.v2_png"),
        (gzip.compress(b"some log lines\n" * 1_000), "log_gz"),
        (b"just text", "notes.2026_txt"),
    ],
)
def test_ordinary_files_have_no_flag(content, name):
    assert attachment(content, name).flags == ()


def test_an_encrypted_zip_is_flagged_and_its_names_are_read():
    data = bytearray(zipped("secret.docx"))
    directory = data.find(b"PK\x01\x02")
    data[6] |= 1
    data[directory + 8] |= 1
    found = attachment(bytes(data), "a_zip")
    assert "encrypted" in found.flags
    assert found.members == ("secret.docx",)


def test_a_zip_in_a_zip_in_a_zip_is_followed_to_the_limit():
    (found,) = read_mail(hostile_mail("zip_in_zip")).attachments
    assert {"nested", "too_deep"} <= set(found.flags)


def test_members_of_a_tar_in_a_gzip_are_read():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name in ("a.txt", "run.exe"):
            entry = tarfile.TarInfo(name)
            entry.size = 3
            archive.addfile(entry, io.BytesIO(b"abc"))
        archive.addfile(link_entry())
    found = attachment(data.getvalue(), "a_tgz")
    assert found.members == ("a.txt", "run.exe", "link")
    assert {"executable_inside", "symlink"} <= set(found.flags)


def link_entry() -> tarfile.TarInfo:
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return entry


def test_an_office_file_that_fetches_its_template_is_flagged():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("word/document.xml", "x")
        archive.writestr(
            "word/_rels/settings.xml.rels",
            '<Relationship Type="http://x/attachedTemplate" Target="https://evil.example/t.dotm"'
            ' TargetMode="External"/>',
        )
    assert "external_content" in attachment(data.getvalue(), "a_docx").flags


def rar5(*names: bytes, is_encrypted: bool = False) -> bytes:
    """Headers as RAR 5 writes them, without checksums that hold."""
    data = b"Rar!\x1a\x07\x01\x00" + b"\0\0\0\0\x03\x01\x00\x00"
    if is_encrypted:
        data += b"\0\0\0\0\x03\x04\x00\x00"
    for name in names:
        fields = b"\x02\x02\x05\x00\x0a\x00\x00\x00" + bytes([len(name)]) + name
        data += b"\0\0\0\0" + bytes([len(fields)]) + fields + b"12345"
    return data + b"\0\0\0\0\x03\x05\x00\x00"


def rar4(*names: bytes) -> bytes:
    data = b"Rar!\x1a\x07\x00" + struct.pack("<HBHH", 0, 0x73, 0, 13) + b"\0" * 6
    for name in names:
        values = (0, 0x74, 0x8000, 32 + len(name), 5, 9, 0, 0, 0, 29, 0x33, len(name), 0)
        head = struct.pack("<HBHHLLBLLBBHL", *values)
        data += head + name + b"12345"
    return data + struct.pack("<HBHH", 0, 0x7B, 0, 7)


def iso(*names: bytes) -> bytes:
    """An image with one folder."""
    sectors = [bytearray(2048) for _ in range(20)]
    sectors[16][:6], sectors[17][:6] = b"\x01CD001", b"\xffCD001"
    sectors[16][156:190] = iso_entry(b"\0", 2, start=18, length=2048)
    folder = iso_entry(b"\0", 2, 18, 2048) + iso_entry(b"\1", 2, 18, 2048)
    folder += b"".join(iso_entry(name, 0, 19, 10) for name in names)
    sectors[18][: len(folder)] = folder
    return b"".join(sectors)


def iso_entry(name: bytes, flags: int, start: int, length: int) -> bytes:
    size = 33 + len(name) + (len(name) + 1) % 2
    head = struct.pack("<BBLLLL", size, 0, start, 0, length, 0) + b"\0" * 7 + bytes([flags])
    return (head + b"\0" * 6 + bytes([len(name)]) + name).ljust(size, b"\0")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (rar5(b"invoice.txt", b"run.exe"), "a_rar"),
        (rar4(b"invoice.txt", b"run.exe"), "a_rar"),
        (iso(b"invoice.txt;1", b"run.exe;1"), "a_iso"),
    ],
)
def test_names_in_archives_that_are_not_unpacked_are_read(content, name):
    found = attachment(content, name)
    assert found.members == ("invoice.txt", "run.exe")
    assert found.flags == ("executable_inside",)


def test_an_encrypted_directory_of_a_rar_is_flagged():
    assert attachment(rar5(b"run.exe", is_encrypted=True), "a_rar").flags == ("encrypted",)


@pytest.mark.parametrize("content", [rar5(b"a.txt"), rar4(b"a.txt"), iso(b"a.txt;1")])
def test_a_damaged_archive_is_read_without_an_error(content):
    for at in range(len(content) - 60 if len(content) < 200 else 32_768, len(content), 7):
        for byte in (0, 0x7F, 0xFF):
            damaged = content[:at] + bytes([byte]) + content[at + 1 :]
            look_inside(damaged, kind_of(damaged), Budget.of(LIMITS))
            look_inside(damaged[:at], kind_of(damaged), Budget.of(LIMITS))


def test_links_of_an_office_file_are_found():
    relations = (
        '<Relationship Id="r1" Target="https://evil.example/a?x=1&amp;y=2" TargetMode="External"/>'
        '<Relationship Id="r2" Target="styles.xml"/>'
    )
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("word/_rels/document.xml.rels", relations)
        archive.writestr("word/document.xml", "x")
    facts = read_mail(mail_with(text="See the file.", letter_docx=data.getvalue()))
    assert [(link.url, link.where) for link in facts.links] == [
        ("https://evil.example/a?x=1&y=2", "attachment")
    ]
    assert facts.attachments[0].flags == ()


@pytest.mark.parametrize("claim", ["message/rfc822", "application/octet-stream"])
def test_a_mail_that_is_attached_in_an_encoding_is_read(claim):
    inner = mail_with(text="See https://inner.example/x", report_pdf=b"%PDF-1.4 x")
    raw = (
        b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\n\r\n"
        b"Outer\r\n--out\r\nContent-Type: " + claim.encode() + b"; name=mail.eml\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(inner) + b"--out--\r\n"
    )
    facts = read_mail(raw)
    assert facts.text == "Outer"
    assert [link.host for link in facts.links] == ["inner.example"]
    assert {each.kind for each in facts.attachments} == {"message", "text", "pdf"}


def test_links_of_a_pdf_are_found_in_the_open_and_in_streams():
    packed = zlib.compress(b"<< /S /URI /URI (https://packed.example/a\\)b) >>")
    content = (
        b"%PDF-1.7 << /S /URI /URI (https://open.example/) >>"
        b" /URI <68747470733a2f2f6865782e6578616d706c652f>"
        b" << /Filter /FlateDecode /Length 9 >>\nstream\r\n" + packed + b"\nendstream"
    )
    facts = read_mail(mail_with(text="See the file.", a_pdf=content))
    assert [(link.url, link.where) for link in facts.links] == [
        ("https://open.example/", "attachment"),
        ("https://hex.example/", "attachment"),
        ("https://packed.example/a)b", "attachment"),
    ]


def test_an_invitation_is_seen_and_its_folded_link_is_whole():
    facts = read_mail(hostile_mail("calendar"))
    assert facts.has_calendar
    assert "https://evil.example/meeting" in [link.url for link in facts.links]


def test_an_attached_mail_is_one_attachment_and_its_parts_are_marked():
    inner = mail_with(text="Inner text", report_pdf=b"%PDF-1.4 x").replace(b"\n", b"\r\n")
    raw = (
        b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n"
        b"--out\r\n\r\nOuter\r\n--out\r\nContent-Type: message/rfc822\r\n\r\n"
        + inner
        + b"\r\n--out--\r\n"
    )
    facts = read_mail(raw)
    assert facts.text == "Outer"
    by_kind = {each.kind: each for each in facts.attachments}
    assert by_kind["pdf"].name == "report.pdf"
    assert "in_message" in by_kind["pdf"].flags
    assert by_kind["message"].sha256 == hashlib.sha256(inner).hexdigest()
    assert "in_message" not in by_kind["message"].flags


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.pdf", "pdf"),
        ("a.pdf.exe . ", "exe"),
        ("A.PDF", "pdf"),
        (".bashrc", ""),
        ("a", ""),
        ("", ""),
    ],
)
def test_extensions_cannot_hide_behind_blanks_and_dots(name, extension):
    assert extension_of(name) == extension
