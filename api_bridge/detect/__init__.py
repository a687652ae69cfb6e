"""The mailbox layer's judge: what a gateway cannot know, told in reasons, weighed in one place.

``judge(facts, context)`` is pure: no database, no network, no clock.  Detectors of this layer look
at the mail *and* at what the client is like (its people, domains, vendors, history); the shared
signals of ``incidents.mail.signals`` look at the mail alone.  Weights: ``weights.toml``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from api_bridge.detect import arrival, history, inside, lookalikes, money_trail, people, together
from api_bridge.detect.context import (
    Case,
    Detector,
    Habits,
    History,
    KnownPerson,
    MailboxContext,
)
from incidents.mail.facts import MailFacts
from incidents.mail.signals import read, shared_reasons
from incidents.mail.signals.scale import load_scale, weigh
from incidents.observations import Reason
from incidents.words import Verdict

WEIGHTS: Final = Path(__file__).parent / "weights.toml"
VERSION: Final = "1"

DETECTORS: Final[tuple[Detector, ...]] = (
    *people.DETECTORS,
    *lookalikes.DETECTORS,
    *history.DETECTORS,
    *money_trail.DETECTORS,
    *inside.DETECTORS,
    *arrival.DETECTORS,
)

__all__ = [
    "Habits",
    "History",
    "Judgement",
    "KnownPerson",
    "MailboxContext",
    "judge",
    "mailbox_reasons",
    "weighed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """``score`` in points of this layer's scale; ``confidence`` that of the verdict; reasons
    heaviest first.
    """

    verdict: Verdict
    score: float
    confidence: float
    reasons: tuple[Reason, ...]
    version: str = VERSION


def mailbox_reasons(facts: MailFacts, context: MailboxContext) -> Iterator[Reason]:
    """Every reason, unweighted: of this layer first, then what the mail alone shows."""
    case = Case(read(facts), context)
    found: list[Reason] = []
    for detector in DETECTORS:
        found.extend(detector(case))
    found.extend(shared_reasons(case.reading))
    codes = frozenset(reason.code for reason in found)
    yield from (reason for reason in found if not together.is_void(reason.code, codes))
    yield from together.combined(case, codes)


def judge(facts: MailFacts, context: MailboxContext) -> Judgement:
    """Never raises on any mail.  An unreadable one is ``unscannable`` with that reason."""
    if not facts.is_readable:
        reason = Reason("unreadable", "The mail could not be read.", ", ".join(facts.problems))
        return Judgement(verdict=Verdict.UNSCANNABLE, score=0.0, confidence=1.0, reasons=(reason,))
    return weighed(mailbox_reasons(facts, context), has_links=bool(facts.links))


def weighed(reasons: Iterable[Reason], *, has_links: bool) -> Judgement:
    """What these reasons come to together."""
    score = weigh(reasons, load_scale(WEIGHTS))
    verdict = score.verdict
    codes = frozenset(reason.code for reason in score.reasons if reason.weight > 0)
    if verdict in (Verdict.PHISH, Verdict.SPAM, Verdict.SUSPICIOUS) and together.is_fraud(codes):
        verdict = Verdict.BEC
    elif verdict is Verdict.BEC and has_links and together.is_lure(codes):
        verdict = Verdict.PHISH
    return Judgement(
        verdict=verdict,
        score=score.points,
        confidence=score.confidence,
        reasons=tuple(replace(reason, weight=round(reason.weight, 2)) for reason in score.reasons),
    )
