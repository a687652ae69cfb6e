"""The ledger's figures: what each counts, in words, and how they add up.  No Django.

Every mail of the ledger is counted under exactly one name (``LedgerEntry.counted_as``): one of
``ATOMS``, with ``false_`` before it where the mail was no threat after all, or ``BENIGN``.  A
figure is a sum of such names, so that a figure and its list are the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FALSE = "false_"
BENIGN = "benign"

GATEWAY_ONLY = {
    "gateway_only_unseen": "The mailbox layer had no chance: no copy reached a mailbox it reads.",
    "gateway_only_passed": "The mailbox layer saw a copy and let it pass.",
}
MAILBOX_ONLY = {
    "mailbox_only_passed": "The gateway saw it and let it pass.",
    "mailbox_only_around": "The gateway had no chance: internal mail, or mail around it.",
}
BOTH = {
    "both_gateway_first": "Both layers condemned it, the gateway first.",
    "both_mailbox_first": "Both layers condemned it, the mailbox layer first.",
    "both_at_once": "Both layers condemned it at the same moment.",
}
MISSED = {
    "person_only": "Neither layer condemned it; a person reported it.",
    "person_first": "A person reported it before a layer condemned it.",
    "vendor_only": "Neither layer nor a person condemned it; the mail host did.",
}
ATOMS = {**GATEWAY_ONLY, **MAILBOX_ONLY, **BOTH, **MISSED}

_GROUPS = {
    "gateway_only": ("Caught only by the gateway", tuple(GATEWAY_ONLY)),
    "mailbox_only": ("Caught only by the mailbox layer", tuple(MAILBOX_ONLY)),
    "both": ("Caught by both layers", tuple(BOTH)),
    "missed_by_both": ("Missed by both, found by others", tuple(MISSED)),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """``counts`` are the names of ``counted_as`` that it sums; ``parts`` the figures below it."""

    name: str
    title: str
    words: str
    counts: tuple[str, ...]
    parts: tuple[str, ...] = ()


_TITLES = {
    "gateway_only_unseen": "held or refused before anybody else could look",
    "gateway_only_passed": "the mailbox layer let it pass",
    "mailbox_only_passed": "the gateway let it pass",
    "mailbox_only_around": "the gateway never saw it",
    "both_gateway_first": "the gateway first",
    "both_mailbox_first": "the mailbox layer first",
    "both_at_once": "at the same moment",
    "person_only": "found by a person",
    "person_first": "a person before the layers",
    "vendor_only": "found by the mail host only",
}


def _family(prefix: str, total: str, title: str, words: str) -> list[Figure]:
    """One total, its four groups and their parts: threats, and the same for false alarms."""
    found = [
        Figure(total, title, words, _with(prefix, ATOMS), tuple(prefix + name for name in _GROUPS))
    ]
    for name, (text, atoms) in _GROUPS.items():
        parts = _with(prefix, atoms)
        found.append(Figure(prefix + name, text, "", parts, parts))
        found += [
            Figure(prefix + atom, _TITLES[atom], ATOMS[atom], (prefix + atom,)) for atom in atoms
        ]
    return found


def _with(prefix: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)


_THREATS = _family(
    "",
    "threats",
    "Threats",
    "Distinct mails that a layer, a person or the mail host condemned and that nobody cleared.",
)
_FALSE = _family(
    FALSE,
    "false_positives",
    "False alarms",
    "Distinct mails that were condemned and were harmless: a person said so, or everybody who"
    " condemned them took it back.",
)
_BENIGN = Figure(
    BENIGN,
    "Benign",
    "Condemned rightly, and harmless: a phishing test, a newsletter that somebody wanted.",
    (BENIGN,),
)
_ALL = Figure(
    "condemned",
    "Condemned or reported",
    "Distinct mails that anybody condemned: threats, false alarms and benign ones together.",
    (*_THREATS[0].counts, *_FALSE[0].counts, BENIGN),
    ("threats", "false_positives", BENIGN),
)
FIGURES: dict[str, Figure] = {figure.name: figure for figure in (_ALL, *_THREATS, *_FALSE, _BENIGN)}


def sums(counted: dict[str, int]) -> dict[str, int]:
    """Every figure from the number of mails under each name; a name that is not there counts 0."""
    return {
        name: sum(counted.get(each, 0) for each in figure.counts)
        for name, figure in FIGURES.items()
    }
