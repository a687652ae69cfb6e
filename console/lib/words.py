"""Words and tones for what pages show of verdicts, places, severities and states.

A tone is a name from ``tokens.css`` (``crit high warn calm good plum info``).  A clean verdict is
calm, never good: a layer that let a threat pass must not look right.  What the portal shows of them
is marked for translation here and translated where it is drawn (templatetags/bailey.py).
"""

from typing import NamedTuple

from django.utils.translation import gettext_noop as _


class Word(NamedTuple):
    text: str
    tone: str


VERDICTS = {
    "clean": Word(_("Clean"), "calm"),
    "graymail": Word(_("Graymail"), "calm"),
    "spam": Word(_("Spam"), "warn"),
    "phish": Word(_("Phish"), "crit"),
    "bec": Word(_("Fraud"), "crit"),
    "malware": Word(_("Malware"), "crit"),
    "suspicious": Word(_("Suspicious"), "high"),
    "unscannable": Word(_("Unscannable"), "high"),
}
BLIND = Word(_("Blind"), "high")
NOT_SEEN = Word(_("Not seen"), "calm")
NOT_SCANNED = Word(_("Not scanned"), "high")

SEVERITIES = {
    "critical": Word("Critical", "crit"),
    "high": Word("High", "high"),
    "medium": Word("Medium", "warn"),
    "low": Word("Low", "calm"),
}

STATES = {
    "new": Word(_("New"), "info"),
    "triaged": Word(_("Triaged"), "plum"),
    "contained": Word(_("Contained"), "good"),
    "resolved": Word(_("Resolved"), "calm"),
}

KINDS = {
    "spam": "Spam",
    "phish": "Phish",
    "bec": "Fraud",
    "malware": "Malware",
    "suspicious": "Suspicious mail",
    "unscannable": "Unscannable mail",
    "account": "Account",
    "health": "Health",
}

PLACES = {
    "hold": Word(_("Held at the gateway"), "plum"),
    "inbox": Word(_("Inbox"), "crit"),
    "junk": Word(_("Junk"), "warn"),
    "deleted": Word(_("Deleted items"), "warn"),
    "sent": Word(_("Sent items"), "warn"),
    "archive": Word(_("Archive"), "high"),
    "other": Word(_("Another folder"), "high"),
    "quarantine": Word(_("Quarantine"), "good"),
    "gone": Word(_("Gone"), "good"),
    "nowhere": Word(_("Never arrived"), "calm"),
    "unknown": Word(_("Not known"), "high"),
}

OUTCOMES = {
    "delivered": Word("Delivered", "calm"),
    "passed": Word("Passed on", "calm"),
    "held": Word("Held", "plum"),
    "rejected": Word("Rejected", "calm"),
    "deferred": Word("Deferred", "warn"),
    "unknown": Word("Not known", "high"),
}

JOBS = {
    "queued": Word("Queued", "calm"),
    "running": Word("Running", "info"),
    "done": Word("Done", "good"),
    "partly": Word("Partly done", "high"),
    "failed": Word("Failed", "crit"),
}


def verdict_word(value: str | None) -> Word:
    """``None`` or "": the layer saw the mail and gave no verdict; ``blind`` and ``not_seen`` too
    have words.
    """
    if value == "blind":
        return BLIND
    if value == "not_seen":
        return NOT_SEEN
    return VERDICTS[value] if value else NOT_SCANNED


def place_word(value: str | None, *, is_threat: bool = True) -> Word:
    """Where a copy is.  Of harmless mail no place is alarming."""
    word = PLACES[value or "unknown"]
    return word if is_threat else Word(word.text, "calm")
