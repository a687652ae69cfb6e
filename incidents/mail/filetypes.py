"""The real type of a file by its first bytes, and what a name or a header claims it to be."""

from __future__ import annotations

import re

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "pdf"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"MZ", "exe"),
    (0, b"\x7fELF", "elf"),
    (0, b"\xca\xfe\xba\xbe", "macho"),
    (0, b"\xcf\xfa\xed\xfe", "macho"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (0, b"{\\rt", "rtf"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"(\xb5/\xfd", "zstd"),
    (257, b"ustar", "tar"),
    (0, b"MSCF", "cab"),
    (0, b"ISc(", "cab"),
    (7, b"**ACE**", "ace"),
    (2, b"-lh", "lzh"),
    (0, b"\x60\xea", "arj"),
    (0x8001, b"CD001", "iso"),
    (0, b"conectix", "vhd"),
    (0, b"vhdxfile", "vhd"),
    (0, b"L\x00\x00\x00\x01\x14\x02\x00", "lnk"),
    (0, b"ITSF", "chm"),
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "onenote"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF8", "gif"),
    (0, b"BM", "bmp"),
    (0, b"II*\x00", "tiff"),
    (0, b"MM\x00*", "tiff"),
    (8, b"WEBP", "webp"),
    (4, b"ftypheic", "heic"),
    (4, b"ftyp", "video"),
    (8, b"AVI ", "video"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"ID3", "audio"),
    (0, b"\xff\xfb", "audio"),
    (8, b"WAVE", "audio"),
    (0, b"OggS", "audio"),
    (0, b"\x78\x9f\x3e\x22", "tnef"),
    (0, b"wOFF", "font"),
    (0, b"BEGIN:VCALENDAR", "calendar"),
    (0, b"BEGIN:VCARD", "vcard"),
    (0, b"-----BEGIN PGP", "pgp"),
    (0, b"#!", "script"),
)
_HTML_START = re.compile(
    rb"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,500}?-->\s*)*<(?:!doctype\s+html|html|head|body|script"
    rb"|meta|title|table|div|iframe|form)\b",
    re.IGNORECASE | re.DOTALL,
)
_SVG_START = re.compile(
    rb"\s*+(?:<\?xml[^>]{0,200}>)?+(?:<!--.{0,500}?-->|<!doctype[^>]{0,300}>|\s++)*+<svg\b",
    re.I | re.S,
)
_BY_EXTENSION = {
    "js": "script", "jse": "script", "vbs": "script", "vbe": "script", "wsf": "script",
    "wsh": "script", "ps1": "script", "psm1": "script", "bat": "script", "cmd": "script",
    "hta": "script", "sct": "script", "sh": "script", "py": "script", "pl": "script",
    "reg": "script", "url": "shortcut", "desktop": "shortcut", "library-ms": "shortcut",
    "search-ms": "shortcut", "settingcontent-ms": "shortcut", "website": "shortcut",
    "html": "html", "htm": "html", "shtml": "html", "xhtml": "html", "mht": "html",
    "mhtml": "html", "svg": "svg", "ics": "calendar", "vcs": "calendar", "vcf": "vcard",
    "eml": "message", "csv": "csv", "iqy": "script", "slk": "csv", "txt": "text", "log": "text",
    "xml": "xml", "rdp": "shortcut", "jnlp": "shortcut", "img": "iso", "iso": "iso",
    "asc": "pgp", "p7s": "signature", "p7m": "smime", "sig": "signature",
}  # fmt: skip
_BY_CLAIM = {
    "text/html": "html", "application/xhtml+xml": "html", "image/svg+xml": "svg",
    "text/calendar": "calendar", "text/vcard": "vcard", "text/x-vcard": "vcard",
    "text/plain": "text", "text/csv": "csv", "application/pgp-encrypted": "pgp",
    "application/pgp-signature": "signature", "application/pkcs7-signature": "signature",
    "application/x-pkcs7-signature": "signature", "application/pkcs7-mime": "smime",
    "application/x-pkcs7-mime": "smime", "message/rfc822": "message", "text/xml": "xml",
    "application/xml": "xml", "message/delivery-status": "report", "text/rfc822-headers": "report",
    "message/disposition-notification": "report", "message/feedback-report": "report",
}  # fmt: skip
_OFFICE = {"word/": "docx", "xl/": "xlsx", "ppt/": "pptx", "visio/": "vsdx"}
# What a name's extension must turn out to be; other extensions are not checked.
_EXPECTED: dict[str, frozenset[str]] = {
    extension: frozenset(kinds.split())
    for extensions, kinds in (
        ("pdf", "pdf"), ("zip", "zip"), ("doc dot", "ole rtf docx html xml"),
        ("xls xlt", "ole xlsx html xml csv"), ("ppt pps", "ole pptx"),
        ("docx docm dotx dotm", "docx ole"), ("xlsx xlsm xlsb", "xlsx ole"),
        ("pptx pptm ppsx", "pptx ole"), ("rtf", "rtf"), ("png", "png"), ("gif", "gif"),
        ("jpg jpeg jpe jfif", "jpeg"), ("bmp", "bmp"), ("tif tiff", "tiff"), ("webp", "webp"),
        ("mp3 wav ogg m4a", "audio video"), ("mp4 mov avi mkv", "video"), ("rar", "rar"),
        ("7z", "7z"), ("gz tgz", "gzip"), ("txt log csv", "text csv unknown html xml report"),
        ("html htm", "html text xml"), ("svg", "svg"), ("ics", "calendar text"), ("one", "onenote"),
    )
    for extension in extensions.split()
}  # fmt: skip
EXECUTABLE = frozenset({"exe", "elf", "macho", "script", "lnk", "shortcut", "chm", "jar", "apk"})
CONTAINERS = frozenset(
    str.split(
        "zip rar 7z gzip bzip2 xz zstd tar cab ace lzh arj iso vhd docx xlsx pptx vsdx odf jar apk"
        " msg ole"
    )
)
_FOUND_INSIDE = frozenset(
    {"profile", "docx", "xlsx", "pptx", "vsdx", "odf", "jar", "apk", "msg", "message", "unknown"}
)
KINDS = frozenset(
    {kind for _, _, kind in _MAGIC} | set(_BY_EXTENSION.values()) | set(_BY_CLAIM.values())
) | _FOUND_INSIDE  # fmt: skip
_TEXTUAL = frozenset(
    str.split(
        "script shortcut html svg calendar vcard message csv text xml pgp signature smime report"
    )
)


def kind_of(data: bytes, *, name: str = "", claimed_type: str = "") -> str:
    """One of ``KINDS``.  Content decides; name and claim only where it is mere text or unknown.

    An archive that is an office file is told apart by ``kind_of_zip``.
    """
    for offset, magic, kind in _MAGIC:
        if data.startswith(magic, offset):
            if kind == "exe" and not _is_exe(data):
                continue
            return kind
    head = data[:2_048]
    if b"%PDF-" in head[:1_024]:  # readers accept a PDF that begins somewhere here
        return "pdf"
    if extension_of(name) == "mobileconfig":
        return "profile"
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        head = head[2:].replace(b"\x00", b"").lstrip(b"\xbf")
    if b"\x00" in head[:512]:
        return "unknown"
    if _SVG_START.match(head):
        return "svg"
    by_name = _BY_EXTENSION.get(extension_of(name), "")
    if by_name in ("script", "shortcut", "svg"):
        return by_name
    if _HTML_START.match(head):
        return "html"
    return by_name or _BY_CLAIM.get(claimed_type, "") or ("text" if _is_text(head) else "unknown")


def _is_exe(data: bytes) -> bool:
    """Texts begin with MZ too; the header of an executable is longer and has zero bytes."""
    return len(data) >= 64 and (b"\x00" in data[:64])


def _is_text(head: bytes) -> bool:
    if not head:
        return False
    odd = sum(byte < 9 or 13 < byte < 32 for byte in head)
    return odd * 50 < len(head)


def kind_of_zip(members: list[str]) -> str:
    """What a zip with these names really is: an office file, a program, or just a zip."""
    for prefix, kind in _OFFICE.items():
        if any(each.startswith(prefix) for each in members):
            return kind
    if "AndroidManifest.xml" in members:
        return "apk"
    if "META-INF/MANIFEST.MF" in members:
        return "jar"
    return "odf" if "mimetype" in members and "content.xml" in members else "zip"


def extension_of(name: str) -> str:
    """``invoice.pdf.exe `` → ``exe``: blanks and dots at the end do not hide it."""
    stem, dot, extension = name.strip().rstrip(". ").rpartition(".")
    return extension.strip().lower() if dot and stem and len(extension) <= 20 else ""


def is_mismatch(kind: str, name: str) -> bool:
    """Whether the content is something else than the name's extension says."""
    expected = _EXPECTED.get(extension_of(name))
    if expected is None or kind == "unknown":
        return False
    return kind not in expected


def is_textual(kind: str) -> bool:
    return kind in _TEXTUAL
