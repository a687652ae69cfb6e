"""Every value that a policy has.  No Django here.

A key is ``section.name`` (``action.spam``) or a single word (``act_from``); a value is text or a
number.  ``KEYS[key].check(value)`` answers the value as it is stored, or raises ``WrongValue`` with
a sentence for the person.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import available_timezones

from incidents.words import NOT_SCANNED_WORD, VERDICT_WORDS, MatrixAction, Verdict
from seg_bridge.gate.treatment import DEFAULT_ACT_FROM, DEFAULT_MATRIX, FileTrait

Value = str | float
NOT_SCANNED = "not_scanned"
# What can be said of a mail: a verdict, or that no engine said any.
ROWS = (*map(str, Verdict), NOT_SCANNED)

ROW_WORDS: dict[str, str] = {**VERDICT_WORDS, NOT_SCANNED: NOT_SCANNED_WORD}
ACTION_WORDS = {
    MatrixAction.DELIVER: "Deliver",
    MatrixAction.TAG: "Deliver with a mark",
    MatrixAction.HOLD: "Hold",
    MatrixAction.REJECT: "Reject",
    MatrixAction.DEFER: "Put off",
}
# Everybody from this one on may release; later ones may more.
RELEASERS = ("client", "help_desk", "analyst", "lead", "nobody")
RELEASER_WORDS = {
    "client": "The client",
    "help_desk": "Help desk",
    "analyst": "Analyst",
    "lead": "Lead",
    "nobody": "Nobody",
}
FILE_WORDS = {
    FileTrait.EXECUTABLE: "Programs and scripts, also inside archives",
    FileTrait.MACRO: "Office files with macros",
    FileTrait.ENCRYPTED: "Locked with a password",
    FileTrait.UNREADABLE: "Archives that cannot be looked into",
    FileTrait.DISK_IMAGE: "Disk images",
    FileTrait.WEB_PAGE: "Web pages",
}
# What becomes of a client's wish for held mail that she may not release herself.
REQUEST_WORDS = {
    "manual": "A person decides each",
    "semi": "Released if the new scan finds it harmless, else a person decides",
    "auto": "Released if harmless, refused if still a threat, else a person decides",
}
DIGEST_WORDS = {
    "never": "No digest",
    "daily": "Every day",
    "weekdays": "Monday to Friday",
    "weekly": "On Mondays",
}
# In which language a client's people are written to; one catalogue each (console/locale).
LANGUAGE_WORDS = {"en": "English", "de": "German", "fr": "French"}
CLIENTS_ZONE = "client"
ZONE_WORDS = {CLIENTS_ZONE: "The client's own"} | {
    name: name.replace("_", " ") for name in sorted(available_timezones()) if "/" in name
}
# Whether what people decide about a client's mail teaches the gateway's filter: docs/learning.md.
LEARN_WORDS = {
    "no": "Nothing is learned",
    "own": "For this client only",
    "shared": "Hashes for all clients too",
}
AS_VERDICT = "verdict"
MAX_MARK_CHARS = 50


class WrongValue(ValueError):
    """A value that no policy can have, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """``choices``: value → words; empty for a number (``low`` … ``high``) or, where ``high`` is
    None, a text.  ``zero`` says in words what 0 or the empty text means, "" where it is not taken.
    """

    name: str
    label: str
    default: Value
    choices: Mapping[str, str] | None = None
    low: float = 0
    high: float | None = None
    is_whole: bool = False
    zero: str = ""
    unit: str = ""

    @property
    def kind(self) -> str:
        if self.choices is not None:
            return "choice"
        return "text" if self.high is None else "number"

    @property
    def section(self) -> str:
        return self.name.partition(".")[0]

    def check(self, value: Any) -> Value:
        if self.choices is not None:
            if not isinstance(value, str) or value not in self.choices:
                raise WrongValue(f"{self.label}: choose one of {', '.join(self.choices)}.")
            return value
        return self._check_text(value) if self.high is None else self._check_number(value)

    def _check_text(self, value: Any) -> str:
        # The mark is written into a header of mail of any charset.
        if not isinstance(value, str) or not value.isascii() or not (value + "x").isprintable():
            raise WrongValue(f"{self.label}: plain letters, digits and signs only.")
        if len(value) > MAX_MARK_CHARS:
            raise WrongValue(f"{self.label}: at most {MAX_MARK_CHARS} characters.")
        return value.strip()

    def _check_number(self, value: Any) -> float:
        try:
            number = float(value) if not isinstance(value, bool) else math.nan
        except (TypeError, ValueError):
            number = math.nan
        is_off = bool(self.zero) and number == 0
        if not is_off and not self.low <= number <= (self.high or 0):
            off = f", or 0: {self.zero}" if self.zero else ""
            raise WrongValue(
                f"{self.label}: a number from {self.low:g} to {self.high or 0:g}{off}."
            )
        if self.is_whole and number != int(number):
            raise WrongValue(f"{self.label}: a whole number.")
        return int(number) if self.is_whole else number

    def words(self, value: Value) -> str:
        """As a page says it."""
        if self.choices is not None:
            return self.choices.get(str(value), str(value))
        if not value and self.zero:
            return self.zero
        return f"{value:g} {self.unit}".strip() if isinstance(value, int | float) else value


def _actions(*actions: MatrixAction) -> dict[str, str]:
    return {str(action): ACTION_WORDS[action] for action in actions}


_ON_VERDICT = _actions(
    MatrixAction.DELIVER, MatrixAction.TAG, MatrixAction.HOLD, MatrixAction.REJECT
)
# Refusing for good what nobody has looked at would lose mail; putting off keeps it at its sender.
_ON_NOT_SCANNED = _actions(
    MatrixAction.DEFER, MatrixAction.HOLD, MatrixAction.TAG, MatrixAction.DELIVER
)
_ON_FILE = {
    AS_VERDICT: "As its verdict",
    **_actions(MatrixAction.TAG, MatrixAction.HOLD, MatrixAction.REJECT),
}
_YES_NO = {"yes": "Kept", "no": "Not kept"}
_RELEASE = {
    Verdict.CLEAN: "client",
    Verdict.GRAYMAIL: "client",
    Verdict.SPAM: "client",
    Verdict.PHISH: "analyst",
    Verdict.BEC: "analyst",
    Verdict.MALWARE: "lead",
    Verdict.SUSPICIOUS: "help_desk",
    Verdict.UNSCANNABLE: "analyst",
    NOT_SCANNED: "help_desk",
}
# Somebody will ask for the bytes of these although the policy may let the mail pass.
_KEEP = (Verdict.PHISH, Verdict.BEC, Verdict.MALWARE, Verdict.SUSPICIOUS, Verdict.UNSCANNABLE)


def _matrix_keys() -> list[Key]:
    found = []
    for row in ROWS:
        is_scanned = row != NOT_SCANNED
        words = ROW_WORDS[row]
        found += [
            Key(
                name=f"action.{row}",
                label=f"{words}: what happens",
                default=str(DEFAULT_MATRIX[Verdict(row)] if is_scanned else MatrixAction.DEFER),
                choices=_ON_VERDICT if is_scanned else _ON_NOT_SCANNED,
            ),
            Key(
                name=f"release.{row}",
                label=f"{words}: who may release it",
                default=_RELEASE[row],
                choices=RELEASER_WORDS,
            ),
        ]
        if is_scanned:
            found.append(
                Key(
                    name=f"keep.{row}",
                    label=f"{words}: the original of delivered mail",
                    default="yes" if row in _KEEP else "no",
                    choices=_YES_NO,
                )
            )
    return found


def _threshold_and_file_keys() -> list[Key]:
    return [
        Key(
            name="act_from",
            label="A verdict acts from",
            default=DEFAULT_ACT_FROM,
            low=0.5,
            high=100,
            unit="points",
        ),
        Key(
            name="mark_from",
            label="A weaker threat is marked from",
            default=0.0,
            low=0.5,
            high=100,
            zero="never",
            unit="points",
        ),
        Key(
            name="mark_subject",
            label="Mark before the subject",
            default="[Suspicious]",
            zero="no mark",
        ),
        *(
            Key(
                name=f"file.{trait}",
                label=FILE_WORDS[trait],
                default=AS_VERDICT,
                choices=_ON_FILE,
            )
            for trait in FileTrait
        ),
    ]


def _held_keys() -> list[Key]:
    """Held mail, and what the filter learns from what people decide about it."""
    return [
        Key(
            name="held.requests",
            label="When a client asks for held mail",
            default="manual",
            choices=REQUEST_WORDS,
        ),
        *_digest_keys(),
        Key(
            name="held.keep_days",
            label="Held mail is kept for",
            default=30,
            low=1,
            high=365,
            is_whole=True,
            unit="days",
        ),
        Key(
            name="held.most_mb",
            label="Held mail takes at most",
            default=0,
            low=10,
            high=1_000_000,
            is_whole=True,
            zero="no limit",
            unit="MB",
        ),
        Key(
            name="learn",
            label="The filter learns from what people decide",
            default="no",
            choices=LEARN_WORDS,
        ),
    ]


def _digest_keys() -> list[Key]:
    return [
        Key(
            name="digest.when",
            label="The digest of held mail goes out",
            default="never",
            choices=DIGEST_WORDS,
        ),
        Key(
            name="digest.hour",
            label="At this hour",
            default=8,
            low=1,
            high=23,
            is_whole=True,
            zero="midnight",
            unit="o'clock",
        ),
        Key(
            name="digest.zone",
            label="In this time zone",
            default=CLIENTS_ZONE,
            choices=ZONE_WORDS,
        ),
        Key(
            name="digest.language",
            label="Digests and notices are written in",
            default="en",
            choices=LANGUAGE_WORDS,
        ),
    ]


def _record_keys() -> list[Key]:
    """How long what is known of accounts and reports is kept; ``records.<kind>`` by the kinds of
    incidents/forgetting.py.
    """
    found = (
        ("sign_ins", "Sign-ins are kept for", 90),
        ("settings", "Earlier settings of mailboxes are kept for", 365),
        ("signs", "Signs of accounts in other hands are kept for", 365),
        ("reports", "Reports of people are kept for", 365),
    )
    return [
        Key(
            name=f"records.{kind}",
            label=label,
            default=days,
            low=30,
            high=3650,
            is_whole=True,
            unit="days",
        )
        for kind, label, days in found
    ]


KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        *_matrix_keys(),
        *_threshold_and_file_keys(),
        *_held_keys(),
        *_record_keys(),
    )
}
DEFAULTS: Mapping[str, Value] = {name: key.default for name, key in KEYS.items()}


def check_keys(keys: Iterable[str]) -> None:
    """Raises ``WrongValue``."""
    unknown = sorted(str(key) for key in keys if key not in KEYS)
    if unknown:
        raise WrongValue(f"A policy has no value called {', '.join(unknown[:3])}.")


def check_values(values: Mapping[str, Any]) -> dict[str, Value]:
    """All of them as they are stored.  Raises ``WrongValue`` for a key or value that is none."""
    check_keys(values)
    return {key: KEYS[key].check(value) for key, value in values.items()}


def may_release(least: str, role: str) -> bool:
    """May this role, one of ``RELEASERS``, release what asks for at least ``least``?"""
    if "nobody" in (least, role) or role not in RELEASERS or least not in RELEASERS:
        return False
    return RELEASERS.index(role) >= RELEASERS.index(least)
