"""The report's section on an account: what speaks for other hands, and what was done about it.

Every row names its record and its mark; hashes are those of the record as it came from the mail
host, of all settings as they were read, and of what was kept before a call, so that each can be
held against what the console shows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from incidents.account_told import SettingsTold, StepTold, not_looked_at
from incidents.models import AccountSign, Incident
from incidents.reports.times import iso
from incidents.signs import SIGNS, points_of
from incidents.story.account import RESULT_WORDS, STEPS, Told, told_of_accounts
from incidents.words import Mark


def account_part(incident: Incident) -> dict[str, Any] | None:
    """None where it is about no account.  Needs the client's scope."""
    told = told_of_accounts(incident)
    if incident.kind != Incident.Kind.ACCOUNT and not (told.signs or told.steps):
        return None
    return {
        "account": incident.sender,
        "points": points_of(told.signs),
        "sentence": _sentence(told),
        "signs": [_sign(sign) for sign in told.signs],
        "changes": [_change(change) for change in told.changes],
        "steps": _steps(told.steps),
        "not_looked_at": not_looked_at(incident.tenant_id),
    }


def account_times(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Rows of the report's key times."""
    if part is None:
        return []
    done = [step["finished_at"] for step in part["steps"] if step["is_done"]]
    return [
        {"name": "First sign of other hands", "at": _first([s["at"] for s in part["signs"]])},
        {"name": "First step on the account read back", "at": _first(done)},
    ]


def account_summary(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Sentences of the report's summary, with what they rest on."""
    if part is None:
        return []
    evidence = [row["evidence"] for name in ("signs", "steps") for row in part[name]]
    return [{"text": part["sentence"], "kind": Mark.DERIVED.value, "evidence": evidence}]


def account_for_client(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """Without what weighs how much and why a step was ordered: that is the provider's own."""
    if part is None:
        return None
    signs = [
        {name: value for name, value in row.items() if name != "weight"} for row in part["signs"]
    ]
    steps = [
        {name: value for name, value in row.items() if name != "reason"} for row in part["steps"]
    ]
    kept = {name: value for name, value in part.items() if name != "points"}
    return kept | {"signs": signs, "steps": steps}


def _first(times: Sequence[str | None]) -> str | None:
    return min((at for at in times if at), default=None)


def _sentence(told: Told) -> str:
    n, steps = len(told.signs), len(told.steps)
    said = f"{n} sign{'' if n == 1 else 's'} of other hands"
    if not steps:
        return f"{said} on record; no step was taken on the account."
    back = _taken_back(told.steps)
    done = sum(step.is_done for step in told.steps)
    undone = f"; {len(back)} of them taken back" if back else ""
    return (
        f"{said} on record; {steps} step{'' if steps == 1 else 's'} ordered on the account,"
        f" {done} of them done and read back{undone}."
    )


def _sign(sign: AccountSign) -> dict[str, Any]:
    kind = SIGNS.get(sign.code)
    record = json.dumps(sign.raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {
        "at": iso(sign.at),
        "noted_at": iso(sign.noted_at),
        "account": sign.mailbox,
        "code": sign.code,
        "sign": kind.words if kind else sign.code,
        "words": sign.words,
        "read_from": sign.source,
        "kind": (kind.mark if kind else Mark.OBSERVED).value,
        "weight": sign.weight,
        "evidence": f"sign:{sign.id}",
        "record_sha256": sha256(record.encode("utf-8", "surrogatepass")).hexdigest(),
    }


def _change(change: SettingsTold) -> dict[str, Any]:
    return {
        "at": iso(change.at),
        "account": change.mailbox,
        "changes": list(change.changes),
        "kind": Mark.DERIVED.value,
        "evidence": f"snapshot:{change.id}",
        "settings_sha256": change.sha256,
    }


def _taken_back(steps: Sequence[StepTold]) -> dict[UUID, StepTold]:
    """Step → the one by which it was taken back, where that was done."""
    return {step.undoes: step for step in steps if step.undoes is not None and step.is_done}


def _steps(steps: Sequence[StepTold]) -> list[dict[str, Any]]:
    back = _taken_back(steps)
    return [_step(step, back.get(step.id)) for step in steps]


def _step(step: StepTold, back: StepTold | None) -> dict[str, Any]:
    return {
        "account": step.mailbox,
        "step": STEPS.get(step.kind, step.kind),
        "about": step.label,
        "asked_at": iso(step.asked_at),
        "asked_by": step.by,
        "reason": step.reason,
        "called_at": iso(step.called_at),
        "result": RESULT_WORDS.get(step.state, "Not finished"),
        "is_done": step.is_done,
        "read_back": step.words,
        "finished_at": iso(step.finished_at),
        "taken_back_at": iso(back.finished_at) if back else None,
        "taken_back_by": back.by if back else "",
        "takes_back": f"step:{step.undoes}" if step.undoes else "",
        "kind": Mark.OBSERVED.value,
        "evidence": f"step:{step.id}",
        "kept_sha256": step.kept_sha256,
    }
