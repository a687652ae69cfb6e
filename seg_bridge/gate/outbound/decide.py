"""What happens with one copy of a mail that a client sends.

1. A block entry for a link's host or an attachment acts.  Entries about senders and hosts speak of
   mail that comes in, and allow entries of none that goes out.
2. A threat from the score on at which the sender's policy acts is held, or refused where the policy
   refuses it: nothing is marked on the way out, and *deliver* means *hold* here.  Malware and what
   cannot be read act at any score.
3. Not scanned: the sender's policy for that; what it would mark is held.
4. Kinds of files that the sender's policy holds or refuses.
5. Everything else goes out.
"""

from __future__ import annotations

from datetime import datetime

from incidents.words import PASSING, MatrixAction, Verdict
from seg_bridge.gate.decide import Decidable, Decision, fits, is_live, say_rule
from seg_bridge.gate.policy import TenantPolicy
from seg_bridge.gate.treatment import Treatment

_ALWAYS_ACTS = (Verdict.MALWARE, Verdict.UNSCANNABLE)


def decide_outbound(
    mail: Decidable, tenant: TenantPolicy, mailbox: str, recipient: str, now: datetime
) -> Decision:
    """``mailbox`` is the sender's, whose policy counts."""
    for rule in tenant.rules:
        is_about_content = rule.kind == "block" and rule.match in ("url_host", "attachment_sha256")
        if is_about_content and is_live(rule, recipient, now) and fits(rule, mail):
            return Decision(rule.action, f"block of {tenant.name}: {say_rule(rule)}", "block", rule)
    decided = _by_verdict(tenant.treatment_for(mailbox), mail)
    words = f"outbound, policy of {tenant.whose(mailbox)}: {decided.rule}"
    return Decision(decided.action, words, decided.by)


def is_condemned(mail: Decidable, treatment: Treatment) -> bool:
    """Does this mail speak for an account in other hands?"""
    verdict = mail.verdict
    if verdict is None or not verdict.is_threat or verdict is Verdict.UNSCANNABLE:
        return False
    return verdict in _ALWAYS_ACTS or mail.score >= treatment.act_from


def _by_verdict(policy: Treatment, mail: Decidable) -> Decision:
    verdict = mail.verdict
    acts = verdict in _ALWAYS_ACTS or mail.score >= policy.act_from
    if verdict is not None and verdict.is_threat and acts:
        if policy.matrix.get(verdict) is MatrixAction.REJECT:
            return Decision(MatrixAction.REJECT, f"{verdict} is rejected", "verdict")
        return Decision(MatrixAction.HOLD, f"{verdict} is held on its way out", "verdict")
    if verdict is None or mail.missing:
        action = policy.on_not_scanned
        if action is MatrixAction.TAG:
            action = MatrixAction.HOLD
        missing = ", ".join(mail.missing)
        words = f"not scanned ({missing} did not answer): {action}"
        return Decision(action, words, "not_scanned")
    wanted = {policy.files[trait] for trait in mail.file_traits if trait in policy.files}
    harsh = wanted - set(PASSING)
    if harsh:
        action = MatrixAction.REJECT if MatrixAction.REJECT in harsh else MatrixAction.HOLD
        return Decision(action, f"a kind of file that the policy names: {action}", "file")
    if verdict.is_threat:
        words = (
            f"{verdict} with {mail.score:.1f} points goes out, it acts from {policy.act_from:.1f}"
        )
        return Decision(MatrixAction.DELIVER, words, "score")
    return Decision(MatrixAction.DELIVER, f"{verdict} goes out", "score")
