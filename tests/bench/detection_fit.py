"""Fits a scale's weights to labelled mail: a small logistic regression that stays readable.

Each weight is pulled to its prior (our guess before any labelled mail), keeps its sign, and stays
where it is fixed.  Sources are weighted so that a large one does not decide alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from incidents.mail.signals.scale import Scale
from tests.bench.detection_corpus import Row

PULL: Final = 0.6
"""How strongly a weight is held to its prior, in mails that say otherwise."""
BAD_SHARE: Final = 0.1
"""Share of mail that is bad where confidence is read: about one in ten at a mailbox."""
STEPS: Final = 400
MOST: Final = 1.8
"""How many times its prior a weight may reach: no labelled mail makes a hint a proof."""
MOST_OF_LIMIT: Final = 0.9
"""No fitted reason condemns a mail alone."""
HAM_ALLOWED: Final = 0.0024
"""Share of harmless training mail that may lie above the limit."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Mails as rows, fitted codes as columns; ``fixed`` holds what fixed weights bring to each."""

    marks: np.ndarray
    fixed: np.ndarray
    is_bad: np.ndarray
    importance: np.ndarray


def fit(rows: Sequence[Row], layer: str, scale: Scale) -> Scale:
    """A scale with the same codes, fitted on ``rows`` as ``layer`` saw them.

    The limit stays where it is: weights are stretched so that ``HAM_ALLOWED`` of the harmless mail
    reaches it.
    """
    codes = [code for code, weight in scale.weights.items() if not weight.fixed]
    table = _table(rows, layer, codes, scale)
    prior = np.array([scale.weights[code].prior for code in codes])
    slopes = _descend(table, prior)
    stretch = _stretch(table.marks @ slopes + table.fixed, table.is_bad, scale.limit)
    fitted = {
        code: replace(
            scale.weights[code],
            points=round(min(float(slope * stretch), MOST_OF_LIMIT * scale.limit), 2),
        )
        for code, slope in zip(codes, slopes, strict=True)
    }
    weights = {code: fitted.get(code, weight) for code, weight in scale.weights.items()}
    found = replace(scale, weights=weights)
    return calibrated(found, [(points_of(row, layer, found), row.is_bad) for row in rows])


def calibrated(scale: Scale, seen: Sequence[tuple[float, bool]]) -> Scale:
    """The scale with ``middle`` and ``width`` that fit these (points, is bad) pairs best.

    The pairs are weighted to ``BAD_SHARE``: a corpus holds more bad mail than a mailbox.
    """
    points = np.array([pair[0] for pair in seen])
    is_bad = np.array([pair[1] for pair in seen], dtype=float)
    count = real_weights(is_bad)
    start, slope = -3.0, 1.0
    for _ in range(200):  # Newton's method on two numbers, in short steps so that it stays near
        chance = 1 / (1 + np.exp(-np.clip(start + slope * points, -30, 30)))
        spread = count * chance * (1 - chance) + 1e-9
        error = count * (is_bad - chance)
        matrix = np.array(
            [[spread.sum(), spread @ points], [spread @ points, spread @ points**2]]
        ) + 1e-3 * np.eye(2)
        step = np.linalg.solve(matrix, np.array([error.sum(), error @ points])).clip(-0.5, 0.5)
        start, slope = start + float(step[0]), max(0.05, slope + float(step[1]))
    return replace(scale, middle=round(-start / slope, 2), width=round(1 / slope, 2))


def real_weights(is_bad: np.ndarray) -> np.ndarray:
    """What each mail counts for, so that ``BAD_SHARE`` of all is bad; they sum to their number."""
    share = is_bad.mean()
    counts: np.ndarray = np.where(is_bad > 0, BAD_SHARE / share, (1 - BAD_SHARE) / (1 - share))
    return counts


def _table(rows: Sequence[Row], layer: str, codes: list[str], scale: Scale) -> _Table:
    column = {code: at for at, code in enumerate(codes)}
    marks = np.zeros((len(rows), len(codes)))
    fixed = np.zeros(len(rows))
    groups = Counter((row.source, row.is_bad) for row in rows)
    importance = np.array([groups[(row.source, row.is_bad)] ** -0.5 for row in rows])
    for at, row in enumerate(rows):
        for code in row.codes(layer):
            if code in column:
                marks[at, column[code]] = 1.0
            elif code in scale.weights:
                fixed[at] += scale.weights[code].points
    is_bad = np.array([row.is_bad for row in rows], dtype=float)
    for side in (0.0, 1.0):  # both sides weigh the same in sum
        here = is_bad == side
        if here.any():
            importance[here] *= len(rows) / 2 / importance[here].sum()
    return _Table(marks, fixed, is_bad, importance)


def _descend(table: _Table, prior: np.ndarray) -> np.ndarray:
    """Gradient steps with momentum, each scaled by how often its code occurs."""
    sign = np.sign(prior)
    weights, start = prior.copy(), -4.0
    speed, start_speed = np.zeros_like(weights), 0.0
    pull = PULL * 10
    counts = table.importance @ table.marks + 1.0 + pull
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(table.marks @ weights + table.fixed + start, -30, 30)))
        error = table.importance * (chance - table.is_bad)
        slope = (error @ table.marks + pull * (weights - prior)) / counts * 0.5
        speed = 0.85 * speed - slope
        start_speed = 0.85 * start_speed - 0.5 * error.sum() / len(error)
        start += start_speed
        weights = sign * np.clip((weights + speed) * sign, 0.0, MOST * np.abs(prior))
    return weights


def _stretch(points: np.ndarray, is_bad: np.ndarray, limit: float) -> float:
    """The factor that puts ``HAM_ALLOWED`` of the harmless mail at the limit or above."""
    ham = np.sort(points[is_bad == 0])
    highest = ham[min(len(ham) - 1, int(len(ham) * (1 - HAM_ALLOWED)))]
    return limit / max(float(highest) + 1e-6, 0.5)


def points_of(row: Row, layer: str, scale: Scale) -> float:
    weights = scale.weights
    return sum(weights[code].points for code in row.codes(layer) if code in weights)
