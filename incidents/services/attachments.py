"""Files that people add to comments: kept as the client's evidence, given out as downloads only.

All files of a comment are checked before the first byte is kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from incidents.evidence import store_evidence
from incidents.mail.archives import Budget, look_inside
from incidents.mail.filetypes import kind_of
from incidents.models import Attachment, Comment
from tenants.errors import TooLarge, WrongInput

MOST_FILES = 5
MOST_BYTES = 10 * 1024 * 1024
MOST_BYTES_TOGETHER = 20 * 1024 * 1024
LONGEST_NAME = 150
_MEMBERS_READ = 1_000
# What a file system reads as something else than a letter of a name.
_SPECIAL = re.compile(r'[<>:"|?*]')
_RESERVED = re.compile(r"(?:CON|PRN|AUX|NUL|COM\d|LPT\d)(?:\.|\Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NewFile:
    """``name`` as the sender gave it; ``check_files`` makes it safe."""

    name: str
    content: bytes


def check_files(files: Sequence[NewFile]) -> list[NewFile]:
    """The files under clean names, each name once; the same file sent twice is kept once.

    Raises ``WrongInput`` for an empty file or too many, ``TooLarge`` for too much.
    """
    if len(files) > MOST_FILES:
        raise WrongInput(f"At most {MOST_FILES} files go with one comment.")
    kept: dict[str, NewFile] = {}
    for file in files:
        name = clean_name(file.name)
        if not file.content:
            raise WrongInput(f"{name} is empty: there is nothing to keep.")
        if len(file.content) > MOST_BYTES:
            raise TooLarge(f"{name} is larger than {_megabytes(MOST_BYTES)}. Nothing was kept.")
        name = _free_name(name, file.content, kept)
        kept[name] = replace(file, name=name)
    if sum(len(file.content) for file in kept.values()) > MOST_BYTES_TOGETHER:
        most = _megabytes(MOST_BYTES_TOGETHER)
        raise TooLarge(f"The files of one comment have at most {most} together. Nothing was kept.")
    return list(kept.values())


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes // (1024 * 1024)} MB"


def _free_name(name: str, content: bytes, taken: dict[str, NewFile]) -> str:
    """``report.pdf``, ``report (2).pdf``: its own name, unless another file has it."""
    stem, dot, extension = name.rpartition(".")
    free, number = name, 1
    while free in taken and taken[free].content != content:
        number += 1
        free = f"{stem} ({number}){dot}{extension}" if stem else f"{name} ({number})"
    return free


def clean_name(name: str) -> str:
    """A name that is only a name: no path, no character that is not seen or turns the others.

    At most ``LONGEST_NAME`` characters, its extension kept; ``file`` where nothing is left.
    """
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    seen = (one if one.isprintable() else " " if one.isspace() else "" for one in name)
    name = " ".join(_SPECIAL.sub("_", "".join(seen)).split()).strip(". ")
    if _RESERVED.match(name):
        name = f"_{name}"
    stem, dot, extension = name.rpartition(".")
    if stem and len(extension) <= 20:
        name = stem[: LONGEST_NAME - len(extension) - 1].rstrip(". ") + dot + extension
    return name[:LONGEST_NAME] or "file"


def attach(comment: Comment, files: Sequence[NewFile]) -> list[Attachment]:
    """Keep checked files with a comment.  Needs a transaction: its rows or none."""
    return Attachment.objects.bulk_create(
        Attachment(
            tenant_id=comment.tenant_id,
            comment=comment,
            name=file.name,
            kind=_kind(file),
            size_bytes=len(file.content),
            sha256=store_evidence(
                tenant_id=comment.tenant_id, raw=file.content, source="comment", method="upload"
            ),
        )
        for file in files
    )


def _kind(file: NewFile) -> str:
    kind = kind_of(file.content, name=file.name)
    if kind != "zip":
        return kind
    # The directory alone tells an office file from an archive: nothing is unpacked here.
    return look_inside(file.content, kind, Budget(_MEMBERS_READ, bytes_left=0)).kind
