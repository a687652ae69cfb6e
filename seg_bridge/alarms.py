"""Gates that do not follow the policy that they were given: noticed, kept, told.

A gate keeps its last good policy whatever comes.  That must not stay silent: a block that was made
is not in force there.  It is noticed by what the gate says of itself, and, for gates that say
nothing, by a policy that was offered and is not followed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet

from seg_bridge.gate.policy import TROUBLES
from seg_bridge.models import Gate
from tenants.audit import Actor, write_audit

REFUSED = "seg_bridge.gate.policy_refused"
FOLLOWED = "seg_bridge.gate.policy_followed"
# A gate follows within a second or two; one that was offered the policy and asks again with another
# after so long has refused it.
FOLLOWS_WITHIN = timedelta(seconds=20)

WORDS = {
    "missing": "It has no policy on disk and no mail can be judged until it gets one.",
    "signature": "The signature of its policy is wrong: its secret differs, or a file was changed.",
    "unreadable": "It cannot read the policy: the gate is older than the console, or a file is"
    " damaged.",
    "newer_format": "The gate is older than the console and does not know all of the policy."
    " Upgrade it.",
    "other_gate": "It was given another gate's policy: two gates may have one name.",
    "older": "It was given an older policy than it has: the clock of the database may have gone"
    " back.",
    "disk": "It cannot write its policy: its disk is full or failing.",
    "not_followed": "It was given a newer policy and does not follow it. Look at its log.",
}


def trouble_of(gate: Gate, *, said: str, follows: str, now: datetime) -> str:
    """One of ``TROUBLES``, "" for none.  ``said``: what the gate itself tells."""
    if said == "missing" and not gate.offered_version:
        return ""  # a new gate that asks for its first policy
    if said:
        return said if said in TROUBLES else "unreadable"
    is_late = gate.offered_at is not None and gate.offered_at < now - FOLLOWS_WITHIN
    return "not_followed" if is_late and gate.offered_version != follows else ""


def note_trouble(gate: Gate, trouble: str, *, now: datetime) -> None:
    """Keeps and audits a change; must run in the gate's worker scope."""
    if trouble == gate.policy_trouble:
        return
    since = gate.policy_trouble_since if gate.policy_trouble and trouble else now
    Gate.objects.filter(id=gate.id).update(
        policy_trouble=trouble, policy_trouble_since=since if trouble else None
    )
    write_audit(
        REFUSED if trouble else FOLLOWED,
        actor=Actor(f"gate {gate.name}"),
        provider_id=gate.provider_id,
        object_kind="gate",
        object_id=gate.id,
        reason=WORDS.get(trouble, ""),
        trouble=trouble,
        before=gate.policy_trouble,
    )


def gates_in_trouble() -> QuerySet[Gate]:
    """The provider's, the longest first."""
    return Gate.objects.exclude(policy_trouble="").order_by("policy_trouble_since", "name")
