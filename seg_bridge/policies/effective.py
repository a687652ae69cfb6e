"""Inheritance: what holds for a client, a domain or a mailbox, and which level says so.

Pure functions, no Django.  A *chain* is the layers from the widest to the narrowest; the narrowest
that states a value gives it.  Bailey's own defaults stand before every chain and state everything.

``effective(chain)``       key → ``Effective``: the value, and where it comes from
``stated(layer, …)``       the layer with values stated or given back to inheritance
``differences(a, b)``      what changes from one chain to the other
``treatment_of(values)``   what a gate is told
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.treatment import FileTrait, Treatment
from seg_bridge.policies.keys import AS_VERDICT, DEFAULTS, NOT_SCANNED, Value, check_values


class Level(StrEnum):
    """From the widest to the narrowest; ``group`` is one of clients, ``directory`` one of mailboxes
    in a client's directory.
    """

    DEFAULT = "default"
    PROVIDER = "provider"
    GROUP = "group"
    CLIENT = "client"
    DOMAIN = "domain"
    DIRECTORY = "directory"
    MAILBOX = "mailbox"


_ORDER = list(Level)


@dataclass(frozen=True, slots=True)
class Stated:
    """One value that a level states; ``at`` is ISO text.  Who, when and why are for people."""

    value: Value
    by: str = ""
    at: str = ""
    reason: str = ""

    def as_json(self) -> dict[str, Value]:
        return {"value": self.value, "by": self.by, "at": self.at, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Layer:
    """What one level states.  ``name`` is whose it is: "Keep", "Acme", "acme.example"."""

    level: Level
    name: str
    values: Mapping[str, Stated] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effective:
    """A value and its origin.  ``wider``: what would hold if this level did not state it; None for
    Bailey's default.
    """

    key: str
    value: Value
    level: Level
    name: str
    by: str = ""
    at: str = ""
    reason: str = ""
    wider: Effective | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    key: str
    before: Effective
    after: Effective

    @property
    def is_of_value(self) -> bool:
        """False: the value stays, only its origin changes."""
        return self.before.value != self.after.value

    def as_json(self) -> dict[str, object]:
        return {
            "key": self.key,
            "before": self.before.value,
            "before_level": str(self.before.level),
            "before_name": self.before.name,
            "after": self.after.value,
            "after_level": str(self.after.level),
            "after_name": self.after.name,
        }


_DEFAULT = Layer(Level.DEFAULT, "Bailey", {key: Stated(value) for key, value in DEFAULTS.items()})


def effective(chain: Iterable[Layer]) -> dict[str, Effective]:
    """Raises ``ValueError`` for layers out of order, or a value that no policy can have."""
    found: dict[str, Effective] = {}
    last = Level.DEFAULT
    for layer in (_DEFAULT, *chain):
        if _ORDER.index(layer.level) < _ORDER.index(last):
            raise ValueError(f"{layer.level} comes before {last}")
        last = layer.level
        check_values({key: stated.value for key, stated in layer.values.items()})
        for key, one in layer.values.items():
            found[key] = Effective(
                key,
                one.value,
                layer.level,
                layer.name,
                one.by,
                one.at,
                one.reason,
                found.get(key),
            )
    return found


def values_of(chain: Iterable[Layer]) -> dict[str, Value]:
    return {key: one.value for key, one in effective(chain).items()}


def stated(
    layer: Layer,
    *,
    states: Mapping[str, Value],
    inherits: Iterable[str] = (),
    by: str = "",
    at: str = "",
    reason: str = "",
) -> Layer:
    """What is stated as it was keeps its author.  Raises ``ValueError`` as ``effective`` does."""
    values = dict(layer.values)
    for key in inherits:
        values.pop(key, None)
    for key, value in check_values(states).items():
        if key not in values or values[key].value != value:
            values[key] = Stated(value, by, at, reason)
    return replace(layer, values=values)


def differences(before: Sequence[Layer], after: Sequence[Layer]) -> list[Difference]:
    """In the order of the keys: other values, and values that come from another level now."""
    old, new = effective(before), effective(after)
    return [
        Difference(key, old[key], new[key])
        for key in DEFAULTS
        if (old[key].value, old[key].level, old[key].name)
        != (new[key].value, new[key].level, new[key].name)
    ]


def treatment_of(values: Mapping[str, Value]) -> Treatment:
    """``values`` of every key, as ``values_of`` gives them."""
    return Treatment(
        matrix={verdict: MatrixAction(str(values[f"action.{verdict}"])) for verdict in Verdict},
        act_from=float(values["act_from"]),
        mark_from=float(values["mark_from"]) or None,
        on_not_scanned=MatrixAction(str(values[f"action.{NOT_SCANNED}"])),
        files={
            trait: MatrixAction(str(values[f"file.{trait}"]))
            for trait in FileTrait
            if values[f"file.{trait}"] != AS_VERDICT
        },
        keep_original=frozenset(each for each in Verdict if values[f"keep.{each}"] == "yes"),
        mark_subject=str(values["mark_subject"]),
    )
