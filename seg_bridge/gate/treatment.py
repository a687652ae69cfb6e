"""What is done with a mail by what it is held to be: the effective policy of a client, or of one
of its domains or mailboxes.

``Treatment``     verdict × action, thresholds, *not scanned*, kinds of files, what is kept
``FileTrait``     the kinds of files that a policy may speak of
``traits_of(…)``  which of them a mail's attachments have
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from incidents.mail.filetypes import EXECUTABLE
from incidents.words import MatrixAction, Verdict

DEFAULT_ACT_FROM = 6.0
DEFAULT_MATRIX: Mapping[Verdict, MatrixAction] = {
    Verdict.CLEAN: MatrixAction.DELIVER,
    Verdict.GRAYMAIL: MatrixAction.DELIVER,
    Verdict.SPAM: MatrixAction.HOLD,
    Verdict.PHISH: MatrixAction.HOLD,
    Verdict.BEC: MatrixAction.HOLD,
    Verdict.MALWARE: MatrixAction.HOLD,
    Verdict.SUSPICIOUS: MatrixAction.TAG,
    Verdict.UNSCANNABLE: MatrixAction.HOLD,
}


class FileTrait(StrEnum):
    """What an attachment is, by its content; of archives also what is inside."""

    EXECUTABLE = "executable"
    MACRO = "macro"
    ENCRYPTED = "encrypted"
    UNREADABLE = "unreadable"
    DISK_IMAGE = "disk_image"
    WEB_PAGE = "web_page"


_OF_FLAGS = {
    "executable": FileTrait.EXECUTABLE,
    "executable_inside": FileTrait.EXECUTABLE,
    "macro": FileTrait.MACRO,
    "encrypted": FileTrait.ENCRYPTED,
    "opaque": FileTrait.UNREADABLE,
    "too_big": FileTrait.UNREADABLE,
    "too_deep": FileTrait.UNREADABLE,
    "bomb": FileTrait.UNREADABLE,
    "broken_archive": FileTrait.UNREADABLE,
}
_OF_KINDS = {
    **dict.fromkeys(EXECUTABLE, FileTrait.EXECUTABLE),
    "iso": FileTrait.DISK_IMAGE,
    "vhd": FileTrait.DISK_IMAGE,
    "html": FileTrait.WEB_PAGE,
    "svg": FileTrait.WEB_PAGE,
}


def traits_of(files: Iterable[tuple[str, bool, Iterable[str]]]) -> frozenset[FileTrait]:
    """``files``: kind, is it shown inline, flags; as ``incidents.mail.facts.Attachment`` has them.

    A page or picture that is part of the shown text is no attached web page.
    """
    found = set()
    for kind, is_inline, flags in files:
        trait = _OF_KINDS.get(kind)
        if trait is not None and not (is_inline and trait is FileTrait.WEB_PAGE):
            found.add(trait)
        found |= {_OF_FLAGS[flag] for flag in flags if flag in _OF_FLAGS}
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """``act_from``: the score from which a scored verdict acts; ``mark_from``: from which a weaker
    threat is delivered with a mark, None: never.  ``files`` names the traits that are not left to
    the verdict.  ``keep_original``: verdicts whose bytes are kept although the mail was not held;
    ``mark_subject`` is put before the subject of marked mail ("" for none).
    """

    matrix: Mapping[Verdict, MatrixAction] = field(default_factory=lambda: dict(DEFAULT_MATRIX))
    act_from: float = DEFAULT_ACT_FROM
    mark_from: float | None = None
    on_not_scanned: MatrixAction = MatrixAction.DEFER
    files: Mapping[FileTrait, MatrixAction] = field(default_factory=dict)
    keep_original: frozenset[Verdict] = frozenset()
    mark_subject: str = ""

    def treatment_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "matrix": {str(verdict): str(action) for verdict, action in self.matrix.items()},
            "act_from": self.act_from,
            "on_not_scanned": str(self.on_not_scanned),
            "keep_original": sorted(str(each) for each in self.keep_original),
            "mark_subject": self.mark_subject,
        }
        if self.mark_from is not None:
            data["mark_from"] = self.mark_from
        if self.files:
            data["files"] = {str(trait): str(action) for trait, action in self.files.items()}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**treatment_fields(data))


def treatment_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ``Treatment``; a verdict that is not named gets the default.

    Raises ``ValueError``, ``TypeError`` or ``AttributeError``.
    """
    given = {
        Verdict(verdict): MatrixAction(action) for verdict, action in data.get("matrix", {}).items()
    }
    mark_from = data.get("mark_from")
    return {
        "matrix": {**DEFAULT_MATRIX, **given},
        "act_from": _finite(data.get("act_from", DEFAULT_ACT_FROM)),
        "mark_from": None if mark_from is None else _finite(mark_from),
        "on_not_scanned": MatrixAction(data.get("on_not_scanned", MatrixAction.DEFER)),
        "files": {
            FileTrait(trait): MatrixAction(action)
            for trait, action in data.get("files", {}).items()
        },
        "keep_original": frozenset(Verdict(each) for each in data.get("keep_original", ())),
        "mark_subject": str(data.get("mark_subject", "")),
    }


def _finite(value: Any) -> float:
    """A NaN compares false with any score: mail would pass."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no score")
    return number
