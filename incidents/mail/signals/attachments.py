"""What hangs on a mail, by real type."""

from __future__ import annotations

import re
from collections.abc import Iterator

from incidents.mail.facts import Attachment
from incidents.mail.signals.reading import Reading, Signal
from incidents.observations import Reason

_PROGRAM_NAME = re.compile(
    r"\.(?:exe|scr|pif|com|bat|cmd|cpl|msi|msix|jar|js|jse|vbs|vbe|wsf|wsh|hta|ps1|lnk|reg|dll|"
    r"chm|iqy|settingcontent-ms|apk|appx)$",
    re.I,
)
_IMAGE_NAME = re.compile(r"\.(?:iso|img|vhd|vhdx|udf)$", re.I)
_PAGE_NAME = re.compile(r"\.(?:html?|shtml|xhtml|mht|svg)$", re.I)
_MACRO_NAME = re.compile(r"\.(?:docm|xlsm|pptm|dotm|xltm|xlam|xll)$", re.I)
_ARCHIVE_KINDS = frozenset({"zip", "rar", "7z", "gzip", "tar", "ace", "cab", "arj", "lzh", "gz"})
_PASSWORD_WORDS = frozenset(
    {"password", "passcode", "pin", "senha", "passwort", "kennwort", "clave", "contrasena"}
    | {"passe", "wachtwoord", "haslo"}
)
_DOUBLE = re.compile(r"\.(?:pdf|docx?|xlsx?|jpe?g|png|txt|zip|gif)\s*\.[a-z0-9]{2,4}\s*$", re.I)


def _is_program(attachment: Attachment) -> bool:
    if attachment.kind == "script":  # text that a Unix shell starts; its name tells more
        return bool(_PROGRAM_NAME.search(attachment.name.strip()))
    return "executable" in attachment.flags or bool(_PROGRAM_NAME.search(attachment.name.strip()))


def programs(reading: Reading) -> Iterator[Reason]:
    for attachment in reading.facts.attachments:
        if _is_program(attachment):
            yield Reason(
                "attached_program", f"A program is attached: {attachment.name}.", attachment.name
            )
        for member in attachment.members:
            if _PROGRAM_NAME.search(member.strip()):
                yield Reason(
                    "program_in_archive",
                    f"The attached archive {attachment.name} holds a program: {member}.",
                    member,
                )
                break


def disk_images(reading: Reading) -> Iterator[Reason]:
    for attachment in reading.facts.attachments:
        names = (attachment.name, *attachment.members)
        if attachment.kind == "iso" or any(_IMAGE_NAME.search(name) for name in names):
            yield Reason(
                "attached_disk_image",
                f"A disk image is attached, which hides programs from a first look: "
                f"{attachment.name}.",
                attachment.name,
            )


def macros(reading: Reading) -> Iterator[Reason]:
    for attachment in reading.facts.attachments:
        if "macro" in attachment.flags or _MACRO_NAME.search(attachment.name):
            yield Reason(
                "attached_macro",
                f"An Office file with macros is attached: {attachment.name}.",
                attachment.name,
            )


def pages(reading: Reading) -> Iterator[Reason]:
    for attachment in reading.facts.attachments:
        if attachment.is_inline and not attachment.name:
            continue
        is_page = attachment.kind in ("html", "svg") or _PAGE_NAME.search(attachment.name)
        if is_page and attachment.name:
            yield Reason(
                "attached_page",
                f"A web page is attached, which opens in the reader's browser: {attachment.name}.",
                attachment.name,
            )


def locked_archives(reading: Reading) -> Iterator[Reason]:
    for attachment in reading.facts.attachments:
        if "encrypted" in attachment.flags and attachment.kind in _ARCHIVE_KINDS:
            yield Reason(
                "locked_archive",
                f"The attached archive {attachment.name} is locked with a password, so no "
                "scanner can look inside.",
                attachment.name,
            )
        elif "encrypted" in attachment.flags:
            yield Reason(
                "locked_document",
                f"The attached {attachment.name} is locked with a password.",
                attachment.name,
            )


def password_told(reading: Reading) -> Iterator[Reason]:
    """A locked attachment whose password stands in the text: locked against scanners only."""
    locked = [one for one in reading.facts.attachments if "encrypted" in one.flags]
    if locked and _PASSWORD_WORDS & set(reading.words):
        yield Reason(
            "password_told",
            f"The text tells the password of the attached {locked[0].name}: it is locked against "
            "scanners alone.",
            locked[0].name,
        )


def disguised_names(reading: Reading) -> Iterator[Reason]:
    for attachment in reading.facts.attachments:
        if "bidi_name" in attachment.flags:
            what = "is written backwards in part"
        elif "double_extension" in attachment.flags or (
            _DOUBLE.search(attachment.name) and _is_program(attachment)
        ):
            what = "has two endings"
        else:
            continue
        yield Reason(
            "disguised_name",
            f"The name of the attachment {attachment.name!r} {what}.",
            attachment.name,
        )


def bombs(reading: Reading) -> Iterator[Reason]:
    for attachment in reading.facts.attachments:
        if "bomb" in attachment.flags:
            yield Reason(
                "archive_bomb",
                f"The attached archive {attachment.name} unpacks to far more than its size.",
                attachment.name,
            )


def false_types(reading: Reading) -> Iterator[Reason]:
    for attachment in reading.facts.attachments:
        if "type_mismatch" in attachment.flags:
            yield Reason(
                "type_mismatch",
                f"The attachment {attachment.name} is of another type ({attachment.kind}) than it "
                "says.",
                attachment.name,
            )
            return


def plain_kinds(reading: Reading) -> Iterator[Reason]:
    """Ordinary kinds that fraud likes: archives, PDF, a mail within the mail."""
    kinds = {attachment.kind: attachment.name for attachment in reading.facts.attachments}
    for kind in _ARCHIVE_KINDS & kinds.keys():
        yield Reason("attached_archive", f"An archive is attached: {kinds[kind]}.", kinds[kind])
        break
    if "pdf" in kinds:
        yield Reason("attached_pdf", f"A PDF is attached: {kinds['pdf']}.", kinds["pdf"])
        if len(reading.words) < 40:
            yield Reason(
                "pdf_and_few_words",
                "The mail says next to nothing and leaves the matter to an attached PDF.",
                kinds["pdf"],
            )
    if reading.facts.has_calendar:
        yield Reason("calendar_invite", "The mail puts an appointment into the reader's calendar.")


SIGNALS: tuple[Signal, ...] = (
    programs,
    disk_images,
    macros,
    pages,
    locked_archives,
    password_told,
    disguised_names,
    bombs,
    false_types,
    plain_kinds,
)
