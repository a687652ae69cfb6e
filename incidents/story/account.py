"""What was seen of an account, what changed in its settings, and what was done about it.

Of each line the client reads the lead: which sign, which step, who, when, how it ended.  What the
mail host has on record (addresses, places, names of rules) stands in the text, which only the
provider and the report show; the portal is not told of it (incidents/account_told.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import OuterRef, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from incidents.account_told import (
    SendingTold,
    SettingsTold,
    StepTold,
    changes_told,
    sending_told,
    steps_told,
)
from incidents.campaigns.moving import lineage
from incidents.models import AccountSign, Incident, Message
from incidents.signs import SIGNS, WINDOW
from incidents.story.lines import Line, Tone, join, number
from incidents.words import Mark
from tenants.scope import Role, current_scope

_MOST_MAILS = 20
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
# What is so since a step was done, for the headline.
_SO = {
    "revoke_sessions": "its sessions were ended",
    "disable": "signing in is off",
    "new_password": "the next sign-in asks for a new password",
    "disable_rule": "the rule is off",
    "revoke_grant": "the application's access is withdrawn",
    "forwarding_off": "forwarding is off",
    "remove_delegate": "the delegate is removed",
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
    sending: list[SendingTold]


def told_of_accounts(incident: Incident) -> Told:
    """Needs the client's scope.  In the portal signs are without their words."""
    whole = lineage(incident)
    rows = AccountSign.objects.filter(tenant=incident.tenant_id, incident__in=whole)
    rows = rows.order_by("at", "id")
    return Told(
        signs=list(rows.only(*_FOR_CLIENT) if _in_portal() else rows),
        changes=_changes(incident),
        steps=steps_told(incident.tenant_id, whole),
        sending=sending_told(incident.tenant_id, whole),
    )


def _changes(incident: Incident) -> list[SettingsTold]:
    """Of the account's mailbox, from ``WINDOW`` before the first sign until it was resolved.  None
    in the portal.
    """
    if incident.kind != Incident.Kind.ACCOUNT or not incident.sender or _in_portal():
        return []
    return changes_told(
        incident.tenant_id, incident.sender, begins_at(incident), incident.resolved_at
    )


def begins_at(incident: Incident) -> datetime:
    """What happened to the account before that is another story."""
    return min(incident.first_seen_at, incident.opened_at) - WINDOW


def _in_portal() -> bool:
    return current_scope().role is Role.PORTAL


def account_lines(incident: Incident, told: Told) -> Iterator[Line]:
    in_portal = _in_portal()
    lines = [
        *(_sign_line(sign, in_portal=in_portal) for sign in told.signs),
        *filter(None, (_change_line(each, told.signs) for each in told.changes)),
        *(line for step in told.steps for line in _step_lines(step)),
        *map(_sending_line, told.sending),
        *([] if in_portal else _mails_in_its_name(incident)),
    ]
    for line in lines:
        # The console's page is about this very account; a client is told whose it is.
        is_said = not in_portal and line.recipients == (incident.sender,)
        yield replace(line, names_them=is_said)


def _mails_in_its_name(incident: Incident) -> Iterator[Line]:
    """Other incidents of what the account itself sent inside the client."""
    if incident.kind != Incident.Kind.ACCOUNT or not incident.sender:
        return
    until = incident.resolved_at or timezone.now()
    first = Message.objects.filter(memberships__incident=OuterRef("pk")).order_by("first_seen_at")
    others = Incident.objects.filter(
        tenant=incident.tenant_id,
        sender=incident.sender,
        merged_into=None,
        cross_layer__contains=["internal_only"],
        first_seen_at__range=(begins_at(incident), until),
    ).exclude(kind=Incident.Kind.ACCOUNT)
    others = others.annotate(first_subject=Subquery(first.values("subject")[:1]))
    for other in others.order_by("first_seen_at", "number")[:_MOST_MAILS]:
        yield Line(
            at=other.first_seen_at,
            lane="sender",
            lead=f"Its mail became incident #{other.number}.",
            text=f"{other.title}. Subject: {other.first_subject or '(none)'}.",
            source=f"incident:{other.id}",
            recipients=(incident.sender,),
            tone=Tone.ALARM,
        )


def _sign_line(sign: AccountSign, *, in_portal: bool) -> Line:
    kind = SIGNS.get(sign.code)
    name = _(kind.words) if kind else sign.code
    is_grave = kind is not None and kind.weight >= _ALARMING
    return Line(
        at=sign.at,
        lane="gateway" if sign.code == "stopped" else "mailbox",
        lead=f"{name}.",
        text="" if in_portal else _sign_text(sign),
        source=f"sign:{sign.id}",
        recipients=(sign.mailbox,),
        tone=Tone.ALARM if is_grave else Tone.NONE,
        mark=kind.mark if kind else Mark.OBSERVED,
    )


def _sign_text(sign: AccountSign) -> str:
    if sign.code != "stopped":
        return f"{sign.words} Read from: {sign.source}."
    # Its sentence says again who stopped whom: the lead does.
    why = sign.words.partition(" from sending: ")[2] or sign.words
    return f"{why} From then on its mail is refused, until somebody lifts the stop."


def _sending_line(one: SendingTold) -> Line:
    reason = f"{one.reason.rstrip('.')}." if one.reason else ""
    return Line(one.at, "action", one.words, reason, one.source)


def _change_line(change: SettingsTold, signs: Sequence[AccountSign]) -> Line | None:
    """None where signs of the same reading say all of it."""
    said = [each for each in signs if each.at == change.at]
    new = [words for words in change.changes if not any(_says(each, words) for each in said)]
    if not new:
        return None
    return Line(
        at=change.at,
        lane="mailbox",
        lead="Its settings were read, and differ from before:",
        text=" ".join(new),
        source=f"snapshot:{change.id}",
        recipients=(change.mailbox,),
        mark=Mark.DERIVED,
    )


def _says(sign: AccountSign, change: str) -> bool:
    """A sign tells of the rule or application that came with the settings' change."""
    if sign.code == "mail_grant":
        application = sign.words.partition(" was given ")[0].lower()
        return change.lower().startswith(f"new: {application} ")
    return change.replace(" is new: it ", " ") == sign.words


def account_words(incident: Incident, told: Told) -> list[str]:
    """For the headline: how many signs of other hands there are, and what was done.  None in the
    portal, whose headline has other languages.
    """
    if incident.kind != Incident.Kind.ACCOUNT or _in_portal():
        return []
    seen = [sign for sign in told.signs if sign.code != "stopped"]
    n = len(seen)
    said = _stop_words(incident, told, len(told.signs) - n)
    if n:
        said.append(f"{number(n)} sign{'' if n == 1 else 's'} of other hands: {incident.sender}.")
    undone = {step.undoes for step in told.steps if step.is_done}
    done = [
        _SO[step.kind]
        for step in told.steps
        if step.is_done and step.kind in _SO and step.id not in undone
    ]
    if done:
        words = join(list(dict.fromkeys(done)))
        said.append(f"{words[0].upper()}{words[1:]}.")
    return said


def _stop_words(incident: Incident, told: Told, n_stops: int) -> list[str]:
    if not n_stops:
        return []
    stopped = f"The gateway stopped {incident.sender} from sending."
    is_lifted = len([one for one in told.sending if one.source.startswith("stop:")]) >= n_stops
    return [stopped, "It may send again."] if is_lifted else [stopped]


def _step_lines(step: StepTold) -> Iterator[Line]:
    """Ordered, and over."""
    said = {"by": step.by, "step": step_words(step.kind)}
    label, why = step.label.rstrip("."), step.reason.rstrip(".")
    about = f"{label}." if label else ""
    told = f"{about} Reason: {why}.".lstrip() if why else about
    if step.undoes is not None:
        lead = _("%(by)s ordered, to take a step back: %(step)s.") % said
    else:
        lead = _("%(by)s ordered: %(step)s.") % said
    whose = (step.mailbox,)
    order = Line(step.asked_at, "action", lead, told, f"step-order:{step.id}", whose)
    yield replace(order, text_for_client=about)
    result = RESULTS.get(step.state)
    if result is not None and step.finished_at is not None:
        tone = Tone.GOOD if step.is_done else Tone.ALARM if step.state == "failed" else Tone.NONE
        source, lead = f"step:{step.id}", _(result) % said
        yield Line(step.finished_at, "action", lead, step.words, source, whose, tone=tone)


def step_words(kind: str) -> str:
    return _(STEPS[kind]) if kind in STEPS else kind
