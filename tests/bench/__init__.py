"""Measurements, each against a named baseline of the same run: `make bench [ONLY=name]`.

A module beside this one offers `MEASURES`: name -> function without arguments that returns its
`Measurement`s, or raises `NotMeasured` with the reason. PostgreSQL and Valkey are running, their
addresses in DATABASE_URL… and REDIS_URL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """`value` in `unit`, compared `against` a baseline in words.

    `goal` in words (`≥ 0.8`, `≤ 2 s`), empty where there is none yet; `met` None without a goal.
    """

    name: str
    value: float
    unit: str
    against: str
    goal: str = ""
    met: bool | None = None


class NotMeasured(Exception):
    """Something that the measurement needs is not here; the words say what."""


Measure = Callable[[], Iterable[Measurement]]
