"""Whole policies to begin with.  Bailey's own; a provider adds hers (``PolicyTemplate``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.treatment import FileTrait
from seg_bridge.policies.keys import DEFAULTS, NOT_SCANNED, ROWS, Value


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    words: str
    values: Mapping[str, Value]


def _actions(**actions: MatrixAction) -> dict[str, Value]:
    return {f"action.{row}": str(action) for row, action in actions.items()}


_STANDARD: dict[str, Value] = {
    key: value
    for key, value in DEFAULTS.items()
    if not key.startswith(("keep.", "held.", "digest.", "learn", "records."))
}
_HOLD, _TAG = MatrixAction.HOLD, MatrixAction.TAG
_STRICT: dict[str, Value] = {
    **_STANDARD,
    **_actions(suspicious=_HOLD, graymail=_TAG, not_scanned=_HOLD),
    "act_from": 5.0,
    "mark_from": 3.0,
    f"file.{FileTrait.EXECUTABLE}": str(_HOLD),
    f"file.{FileTrait.MACRO}": str(_HOLD),
    f"file.{FileTrait.ENCRYPTED}": str(_HOLD),
    f"file.{FileTrait.UNREADABLE}": str(_HOLD),
    f"file.{FileTrait.DISK_IMAGE}": str(_HOLD),
    f"file.{FileTrait.WEB_PAGE}": str(_HOLD),
    f"release.{Verdict.SPAM}": "help_desk",
    f"release.{Verdict.SUSPICIOUS}": "analyst",
    f"release.{Verdict.PHISH}": "lead",
    f"release.{Verdict.BEC}": "lead",
    f"release.{NOT_SCANNED}": "analyst",
}
_MONITOR: dict[str, Value] = {
    **_STANDARD,
    **{f"action.{row}": str(MatrixAction.DELIVER) for row in ROWS},
    **{f"keep.{verdict}": "yes" for verdict in Verdict if verdict.is_threat},
    "mark_from": 0.0,
}

BAILEYS = (
    Template(
        "Standard",
        "Threats are held, what is only suspicious is marked and delivered.",
        _STANDARD,
    ),
    Template(
        "Strict",
        "Acts earlier, holds what is suspicious, locked or able to run, and lets fewer release.",
        _STRICT,
    ),
    Template(
        "Monitor only",
        "Delivers everything as it came and keeps the originals of threats: for the first days.",
        _MONITOR,
    ),
)
