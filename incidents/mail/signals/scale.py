"""What reasons weigh together: points, kind and confidence, from one readable file per layer.

A mail's points are the sum of its reasons' points, each code counted once.  From ``limit`` on it is
condemned.  Its kind is the one whose reasons brought most.  Confidence comes from the points by one
logistic curve that is fitted on labelled mail, so that 0.9 means: nine of ten such mails are bad.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from incidents.observations import Reason
from incidents.words import Verdict

KINDS = (Verdict.MALWARE, Verdict.BEC, Verdict.PHISH, Verdict.SPAM)


@dataclass(frozen=True, slots=True)
class Weight:
    """``points`` is used; ``prior`` is what we held before looking at labelled mail, and what the
    fit is pulled to.  ``kind`` is the verdict that the reason speaks for ("": none).  A ``fixed``
    weight is never fitted: a proof, or a fact that the labelled mail does not contain.
    """

    points: float
    prior: float
    kind: str = ""
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """``middle`` is the score at which half of such mail is bad, ``width`` the points that make the
    odds 2.7 times as high.
    """

    limit: float
    middle: float
    width: float
    weights: dict[str, Weight]

    @classmethod
    def from_toml(cls, text: str) -> Scale:
        """Raises ``KeyError`` or ``TypeError`` where the file is not a scale."""
        data = tomllib.loads(text)
        weights = {
            code: Weight(
                points=float(entry["points"]),
                prior=float(entry.get("prior", entry["points"])),
                kind=entry.get("kind", ""),
                fixed=entry.get("fixed", False),
            )
            for code, entry in data["weight"].items()
        }
        return cls(
            limit=float(data["limit"]),
            middle=float(data["confidence"]["middle"]),
            width=float(data["confidence"]["width"]),
            weights=weights,
        )

    def probability(self, points: float) -> float:
        """How likely a mail of so many points is bad, 0..1."""
        return 1 / (1 + math.exp(-max(-40.0, min(40.0, (points - self.middle) / self.width))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """``confidence`` is that of the verdict: for ``clean`` the chance that the mail is harmless."""

    verdict: Verdict
    points: float
    confidence: float
    reasons: tuple[Reason, ...]


@cache
def load_scale(path: Path) -> Scale:
    return Scale.from_toml(path.read_text(encoding="utf-8"))


def weigh(reasons: Iterable[Reason], scale: Scale) -> Score:
    """Gives every reason its points and the mail its verdict.

    Reasons come back heaviest first; those that the scale does not know weigh nothing and stay as
    facts.  A code seen twice is told twice and counted once.
    """
    weighted: list[Reason] = []
    counted: set[str] = set()
    votes: dict[str, float] = {}
    points = 0.0
    for reason in reasons:
        weight = scale.weights.get(reason.code)
        if weight is None or reason.code in counted:
            weighted.append(replace(reason, weight=0.0))
            continue
        counted.add(reason.code)
        points += weight.points
        if weight.kind and weight.points > 0:
            votes[weight.kind] = votes.get(weight.kind, 0.0) + weight.points
        weighted.append(replace(reason, weight=weight.points))
    weighted.sort(key=lambda reason: -abs(reason.weight))
    chance = scale.probability(points)
    if points < scale.limit:
        verdict, confidence = Verdict.CLEAN, 1 - chance
    else:
        verdict, confidence = _kind_of(votes), chance
    return Score(
        verdict=verdict,
        points=round(points, 2),
        confidence=round(confidence, 3),
        reasons=tuple(weighted),
    )


def _kind_of(votes: dict[str, float]) -> Verdict:
    """The kind with most points behind it; ``suspicious`` where no reason speaks for a kind."""
    best = max(KINDS, key=lambda kind: votes.get(kind, 0.0))
    return best if votes.get(best, 0.0) >= 1.0 else Verdict.SUSPICIOUS
