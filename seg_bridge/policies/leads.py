"""What a lead alone may change in a policy: whoever is kept from doing something to a mail must not
give herself the right, nor have the like of it happen by itself.  Pure functions, no Django.

``what_is_a_leads(key, …)``  of one value, in words
``loosened(…)``              of a whole change, for everybody whom it holds for
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from incidents.words import GRAVE, PASSING
from seg_bridge.policies.effective import Layer, Level, differences
from seg_bridge.policies.keys import KEYS, NOT_SCANNED, RELEASERS, ROW_WORDS, Value

# What lies beyond these is deleted; 0 is no limit.
_TERMS = frozenset(
    key for key in KEYS if key in ("held.keep_days", "held.most_mb") or key.startswith("records.")
)


def what_is_a_leads(key: str, before: Value, after: Value) -> str:
    """That more people may release it ``after``; that mail is delivered that was kept back
    ``before`` (malware, phishing, fraud, what an engine has not looked at); that something is
    deleted earlier, which no later word brings back.  "" for none of these.
    """
    section, _, row = key.partition(".")
    if section == "release" and {before, after} <= set(RELEASERS):
        is_looser = RELEASERS.index(str(after)) < RELEASERS.index(str(before))
        return f"lets more people release held mail ({KEYS[key].label})" if is_looser else ""
    if section == "action" and after in PASSING and before not in PASSING:
        words = f"has mail delivered that was kept back ({ROW_WORDS[row]})"
        return words if row in (*GRAVE, NOT_SCANNED) else ""
    if key == "act_from" and float(after) > float(before):
        return f"has phishing and fraud of up to {float(after):g} points delivered"
    if key in _TERMS and _term(after) < _term(before):
        return f"has something deleted earlier ({KEYS[key].label})"
    return ""


def loosened(
    before: Sequence[Layer], after: Sequence[Layer], *, passed_over: Sequence[Layer] = ()
) -> list[str]:
    """What is a lead's in the change from one chain to the other, in words.

    ``passed_over``: as ``Layers.passed_over`` gives them, of a group of the directory: what one of
    them keeps back for some of its mailboxes, the group must not give.
    """
    chains = [(before, after)]
    chains += [(_with(before, layer), _with(after, layer)) for layer in passed_over]
    found = {
        what_is_a_leads(one.key, one.before.value, one.after.value): None
        for old, new in chains
        for one in differences(old, new)
    }
    return [words for words in found if words]


def _with(chain: Sequence[Layer], layer: Layer) -> list[Layer]:
    """The layer in its place: before the group's own, which is narrower."""
    own = [each for each in chain if each.level is Level.DIRECTORY]
    return [*(each for each in chain if each.level is not Level.DIRECTORY), layer, *own]


def _term(value: Value) -> float:
    return float(value) or math.inf
