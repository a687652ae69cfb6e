"""Attachments by what they are: real type, hashes, what is inside, and what is odd about them."""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass

from incidents.mail.archives import Budget, look_inside
from incidents.mail.facts import Attachment
from incidents.mail.filetypes import CONTAINERS, EXECUTABLE, extension_of, is_mismatch, kind_of
from incidents.mail.limits import LIMITS, Limits
from incidents.mail.mime import Part

FLAGS = frozenset(
    {
        "encrypted",  # cannot be looked into without a password
        "macro",
        "nested",  # an archive in an archive
        "opaque",  # an archive of a kind that is not looked into
        "empty",  # a name and not one byte
        "too_big",  # not looked at to its end
        "too_deep",
        "bomb",  # unpacks to far more than a file should
        "bidi_name",  # characters in the name that turn its direction
        "double_extension",
        "type_mismatch",  # the name says something else than the content
        "executable",
        "executable_inside",
        "broken_archive",
        "symlink",
        "path_escape",
        "embedded_object",
        "external_content",  # fetches something when it is opened
        "script",  # HTML, SVG or PDF with code of its own
        "password_form",
        "launch",  # a PDF that starts a program or sends a form
        "in_message",  # part of an attached mail
    }
)
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_DOCUMENTS = frozenset(
    str.split("pdf doc docx xls xlsx ppt pptx txt rtf jpg jpeg png gif mp3 mp4 csv html htm zip")
)
_RUN_EXTENSIONS = frozenset(
    str.split("exe scr com pif bat cmd js jse vbs vbe wsf hta ps1 lnk msi jar cpl dll html htm svg")
)
_PDF_URI = re.compile(rb"/URI\s*\(((?:[^()\\]|\\.){1,2000})\)")
_PDF_HEX_URI = re.compile(rb"/URI\s*<([0-9A-Fa-f\s]{2,4000})>")
_PDF_STREAM = re.compile(rb"/FlateDecode[^<>]{0,200}>>\s*stream\r?\n")
_PDF_STREAMS = 200
_SCRIPT = re.compile(
    rb"<script\b|\bon(?:load|error|click)\s*=|javascript:|\batob\s*\(", re.IGNORECASE
)
_PASSWORD = re.compile(rb"type\s*=\s*[\"']?password", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Described:
    """``urls`` are the links of a PDF or an office file, as they are written there."""

    attachment: Attachment
    urls: tuple[str, ...] = ()


def describe(part: Part, content: bytes, budget: Budget, *, limits: Limits = LIMITS) -> Described:
    """``content`` is the decoded body of ``part``.  Never raises."""
    name = part.name.replace("\x00", "\ufffd").replace("\r", " ").replace("\n", " ")
    kind = kind_of(content, name=name, claimed_type=part.content_type)
    flags: set[str] = set()
    members: list[str] = []
    urls: list[str] = []
    if kind in CONTAINERS:
        inside = look_inside(content, kind, budget, limits=limits)
        kind, members, flags, urls = inside.kind, inside.members, inside.flags, inside.urls
    if kind == "ole":
        kind = _judge_ole(content, flags)
    elif kind == "pdf":
        _judge_pdf(content, flags)
        urls = _pdf_urls(content, budget, limits)
    elif kind in ("html", "svg"):
        flags |= {"script"} if _SCRIPT.search(content) else set()
        flags |= {"password_form"} if _PASSWORD.search(content) else set()
    elif kind == "rtf" and b"\\objdata" in content:
        flags.add("embedded_object")
    _judge_name(name, kind, flags)
    flags |= {"empty"} if name and not content else set()
    flags |= {"in_message"} if part.message_depth else set()
    attachment = Attachment(
        name=name[: limits.name_characters],
        claimed_type=part.content_type,
        kind=kind,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        is_inline=part.disposition == "inline" or (bool(part.content_id) and not part.disposition),
        members=tuple(member.replace("\x00", "\ufffd") for member in members),
        flags=tuple(sorted(flags)),
    )
    return Described(attachment, tuple(urls[: limits.links + 1]))


def _judge_name(name: str, kind: str, flags: set[str]) -> None:
    extension = extension_of(name)
    before = extension_of(name.strip().rstrip(". ")[: -len(extension) - 1]) if extension else ""
    if extension in _RUN_EXTENSIONS and before in _DOCUMENTS:
        flags.add("double_extension")
    if _BIDI.search(name):
        flags.add("bidi_name")
    if kind in EXECUTABLE or extension in _RUN_EXTENSIONS - {"html", "htm", "svg"}:
        flags.add("executable")
    if is_mismatch(kind, name):
        flags.add("type_mismatch")


def _judge_ole(content: bytes, flags: set[str]) -> str:
    """Stream names stand in the file as UTF-16, so they can be found without its directory."""
    if _utf16("EncryptedPackage") in content:
        flags.add("encrypted")
    if _utf16("_VBA_PROJECT") in content or _utf16("Macros") in content:
        flags.add("macro")
    if _utf16("ObjectPool") in content or _utf16("\x01Ole10Native") in content:
        flags.add("embedded_object")
    return "msg" if _utf16("__substg1.0_") in content else "ole"


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


def _judge_pdf(content: bytes, flags: set[str]) -> None:
    if b"/Encrypt" in content:
        flags.add("encrypted")
    if b"/JavaScript" in content or b"/JS " in content or b"/JS(" in content:
        flags.add("script")
    if b"/Launch" in content or b"/SubmitForm" in content:
        flags.add("launch")
    if b"/EmbeddedFile" in content:
        flags.add("embedded_object")


def _pdf_urls(content: bytes, budget: Budget, limits: Limits) -> list[str]:
    """The targets of a PDF's link annotations, also those in compressed object streams."""
    if len(content) > limits.inspect_bytes:  # links stand in objects at either end
        half = limits.inspect_bytes // 2
        content = content[:half] + content[-half:]
    found = [_pdf_string(match[1]) for match in _PDF_URI.finditer(content)]
    found += _pdf_hex(content)
    for count, match in enumerate(_PDF_STREAM.finditer(content)):
        if count >= _PDF_STREAMS or budget.bytes_left <= 0 or len(found) > limits.links:
            break
        most = min(budget.bytes_left, 1024 * 1024)
        try:
            unpacked = zlib.decompressobj().decompress(
                content[match.end() : match.end() + most], most
            )
        except zlib.error:
            continue
        budget.bytes_left -= len(unpacked)
        if b"/URI" in unpacked:
            found += [_pdf_string(each[1]) for each in _PDF_URI.finditer(unpacked)]
            found += _pdf_hex(unpacked)
    return list(dict.fromkeys(found))[: limits.links + 1]


def _pdf_string(value: bytes) -> str:
    return re.sub(rb"\\(.)", rb"\1", value).decode("utf-8", "replace")


def _pdf_hex(content: bytes) -> list[str]:
    texts = []
    for match in _PDF_HEX_URI.finditer(content):
        digits = re.sub(rb"\s", b"", match[1])
        texts.append(
            bytes.fromhex(digits[: len(digits) // 2 * 2].decode()).decode("utf-8", "replace")
        )
    return texts
