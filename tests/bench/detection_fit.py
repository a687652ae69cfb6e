"""Fits a scale's weights to labelled mail: a small logistic regression that stays readable.

Each weight is pulled to its prior (our guess before any labelled mail), may not change its sign, and
fixed ones stay.  Sources are weighted so that a large one does not decide alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from incidents.mail.signals.scale import Scale, Weight
from tests.bench.detection_corpus import Row

PULL: Final = 0.6
"""How strongly a weight is held to its prior, in mails that say otherwise."""
STEPS: Final = 400
MOST: Final = 1.8
"""How many times its prior a weight may reach: no labelled mail makes a hint a proof."""
HAM_ALLOWED: Final = 0.005
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
    slopes, start = _descend(table, prior)
    points = table.marks @ slopes + table.fixed
    stretch, limit = _stretch(points, table.is_bad, scale.limit)
    weights = {
        code: replace(scale.weights[code], points=round(float(slope * stretch), 2))
        for code, slope in zip(codes, slopes, strict=True)
    }
    weights |= {code: weight for code, weight in scale.weights.items() if weight.fixed}
    del limit
    return Scale(
        limit=scale.limit,
        middle=round(float(-start * stretch), 2),
        width=round(float(stretch), 2),
        weights={code: weights[code] for code in scale.weights},
    )


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


def _descend(table: _Table, prior: np.ndarray) -> tuple[np.ndarray, float]:
    """(weights, start value): proximal gradient steps with momentum, signs kept."""
    sign = np.sign(prior)
    weights, start = prior.copy(), -4.0
    speed, start_speed = np.zeros_like(weights), 0.0
    counts = table.importance @ table.marks + 1.0
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(table.marks @ weights + table.fixed + start, -30, 30)))
        error = table.importance * (chance - table.is_bad)
        slope = (table.marks.T @ error + PULL * 10 * (weights - prior)) / (counts + PULL * 10) * 0.5
        speed = 0.85 * speed - slope
        start_speed = 0.85 * start_speed - 0.5 * error.sum() / len(error)
        weights = weights + speed
        start += start_speed
        weights = sign * np.clip(weights * sign, 0.0, MOST * np.abs(prior))
    return weights, start


def _stretch(points: np.ndarray, is_bad: np.ndarray, limit: float) -> tuple[float, float]:
    """The factor that puts ``HAM_ALLOWED`` of the harmless mail at the limit or above."""
    ham = np.sort(points[is_bad == 0])
    at = ham[min(len(ham) - 1, int(len(ham) * (1 - HAM_ALLOWED)))] + 1e-6
    return limit / max(float(at), 0.5), float(at)


def points_of(row: Row, layer: str, scale: Scale) -> float:
    weights: dict[str, Weight] = scale.weights
    return sum(weights[code].points for code in row.codes(layer) if code in weights)
