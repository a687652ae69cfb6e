"""Gates that need somebody: what is wrong, since when, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from seg_bridge.alarms import WORDS, gates_in_trouble
from seg_bridge.models import Gate


@dataclass(frozen=True, slots=True)
class GateAlarm:
    gate: Gate
    why: str


def gate_alarms() -> list[GateAlarm]:
    return [GateAlarm(gate, WORDS.get(gate.policy_trouble, "")) for gate in gates_in_trouble()]
