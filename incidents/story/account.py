"""What was seen of an account, what changed in its settings, and what was done about it.

Of each line the client reads the lead: which sign, which step, who, when, how it ended.  What the
mail host has on record (addresses, places, names of rules) stands in the text, which only the
provider and the report show; the portal is not told of it (incidents/account_told.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from incidents.account_told import SettingsTold, StepTold, changes_told, steps_told
from incidents.campaigns.moving import lineage
from incidents.models import AccountSign, Incident
from incidents.signs import SIGNS, WINDOW
from incidents.story.lines import Line, Tone
from incidents.words import Mark
from tenants.scope import Role, current_scope

# Signs below these points alone are no alarm.
_ALARMING = 30
STEPS = {
    "revoke_sessions": _n("End its sessions"),
    "disable": _n("Switch off signing in"),
    "enable": _n("Switch signing in on again"),
    "new_password": _n("Ask for a new password"),
    "disable_rule": _n("Switch the rule off"),
    "enable_rule": _n("Put the rule back"),
    "revoke_grant": _n("Withdraw the application's access"),
    "forwarding_off": _n("Switch forwarding off"),
    "forwarding_on": _n("Switch forwarding on again"),
    "remove_delegate": _n("Remove the delegate"),
    "add_delegate": _n("Add the delegate back"),
}
# How a step ended; while it is open nothing is said.
RESULTS = {
    "verified": _n("%(step)s: done and read back."),
    "already": _n("%(step)s: it was so already."),
    "unproven": _n("%(step)s: ordered, not proven."),
    "failed": _n("%(step)s: failed."),
    "withdrawn": _n("%(step)s: withdrawn before it began."),
}
# The same in a report, which is English.
RESULT_WORDS = {
    "pending": "Waiting",
    "calling": "Being done",
    "unknown": "Not clear yet",
    "verified": "Done and read back",
    "already": "Was so already",
    "unproven": "Ordered, not proven",
    "failed": "Failed",
    "withdrawn": "Withdrawn before it began",
}
# What the portal reads of a sign: the database grants it no more.
_FOR_CLIENT = ("id", "mailbox", "code", "at")


@dataclass(frozen=True, slots=True)
class Told:
    """Of an incident and of what was merged into it, each oldest first."""

    signs: list[AccountSign]
    changes: list[SettingsTold]
    steps: list[StepTold]


def told_of_accounts(incident: Incident) -> Told:
    """Needs the client's scope.  In the portal signs are without their words."""
    whole = lineage(incident)
    rows = AccountSign.objects.filter(tenant=incident.tenant_id, incident__in=whole)
    rows = rows.order_by("at", "id")
    return Told(
        signs=list(rows.only(*_FOR_CLIENT) if _in_portal() else rows),
        changes=_changes(incident),
        steps=steps_told(incident.tenant_id, whole),
    )


def _changes(incident: Incident) -> list[SettingsTold]:
    """Of the account's mailbox, from ``WINDOW`` before the first sign until it was resolved.  None
    in the portal.
    """
    if incident.kind != Incident.Kind.ACCOUNT or not incident.sender or _in_portal():
        return []
    since = min(incident.first_seen_at, incident.opened_at) - WINDOW
    return changes_told(incident.tenant_id, incident.sender, since, incident.resolved_at)


def _in_portal() -> bool:
    return current_scope().role is Role.PORTAL


def account_lines(incident: Incident) -> Iterator[Line]:
    told, in_portal = told_of_accounts(incident), _in_portal()
    lines = [
        *(_sign_line(sign, in_portal=in_portal) for sign in told.signs),
        *map(_change_line, told.changes),
        *(line for step in told.steps for line in _step_lines(step)),
    ]
    for line in lines:
        # The console's page is about this very account; a client is told whose it is.
        is_said = not in_portal and line.recipients == (incident.sender,)
        yield replace(line, names_them=is_said)


def _sign_line(sign: AccountSign, *, in_portal: bool) -> Line:
    kind = SIGNS.get(sign.code)
    name = _(kind.words) if kind else sign.code
    is_grave = kind is not None and kind.weight >= _ALARMING
    return Line(
        at=sign.at,
        lane="gateway" if sign.code == "stopped" else "mailbox",
        lead=f"{name}.",
        text="" if in_portal else f"{sign.words} Read from: {sign.source}.",
        source=f"sign:{sign.id}",
        recipients=(sign.mailbox,),
        tone=Tone.ALARM if is_grave else Tone.NONE,
        mark=kind.mark if kind else Mark.OBSERVED,
    )


def _change_line(change: SettingsTold) -> Line:
    return Line(
        at=change.at,
        lane="mailbox",
        lead="Its settings were read, and differ from before:",
        text=" ".join(change.changes),
        source=f"snapshot:{change.id}",
        recipients=(change.mailbox,),
        mark=Mark.DERIVED,
    )


def _step_lines(step: StepTold) -> Iterator[Line]:
    """Ordered, and over."""
    said = {"by": step.by, "step": step_words(step.kind)}
    label, why = step.label.rstrip("."), step.reason.rstrip(".")
    told = " ".join(filter(None, (label and f"{label}.", why and f"Reason: {why}.")))
    if step.undoes is not None:
        lead = _("%(by)s ordered, to take a step back: %(step)s.") % said
    else:
        lead = _("%(by)s ordered: %(step)s.") % said
    whose = (step.mailbox,)
    yield Line(step.asked_at, "action", lead, told, f"step-order:{step.id}", whose)
    result = RESULTS.get(step.state)
    if result is not None and step.finished_at is not None:
        tone = Tone.GOOD if step.is_done else Tone.ALARM if step.state == "failed" else Tone.NONE
        source, lead = f"step:{step.id}", _(result) % said
        yield Line(step.finished_at, "action", lead, step.words, source, whose, tone=tone)


def step_words(kind: str) -> str:
    return _(STEPS[kind]) if kind in STEPS else kind
