"""What `manage.py demo setup` answered last time: to ask again would cost seconds of a start."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from console.launch.keys import write_private
from console.launch.plan import ROOT, Plan


def _stamp(plan: Plan) -> str:
    """Changes with the demo's code and with the addresses that it writes down."""
    state = hashlib.sha256(json.dumps(dict(plan.ports), sort_keys=True).encode())
    for file in sorted((ROOT / "console" / "demo").rglob("*.py")):
        state.update(file.read_bytes())
    return state.hexdigest()


def last_answer(plan: Plan) -> dict[str, Any] | None:
    """None when the demo must be set up: never was, or its code, ports or cloud have changed."""
    path = plan.var / "demo-setup.json"
    if not path.exists() or not (plan.var / "sandbox").is_dir() or not plan.has_own_database:
        return None
    known = json.loads(path.read_text())
    if known["stamp"] != _stamp(plan):
        return None
    answer: dict[str, Any] = known["answer"]
    return answer


def remember_answer(plan: Plan, answer: dict[str, Any]) -> None:
    content = {"stamp": _stamp(plan), "answer": answer}
    write_private(plan.var / "demo-setup.json", json.dumps(content, indent=1) + "\n")


def forget_answer(plan: Plan) -> None:
    """For a database that was just made: nothing of the demo is in it."""
    (plan.var / "demo-setup.json").unlink(missing_ok=True)


def last_json(output: str) -> dict[str, Any]:
    """The JSON object that a command printed after whatever else it said.

    Raises ValueError when there is none.
    """
    lines = output.splitlines()
    for place in range(len(lines) - 1, -1, -1):
        if lines[place].startswith("{"):
            found = json.loads("\n".join(lines[place:]))
            if isinstance(found, dict):
                return found
    raise ValueError("no JSON object in the output")
