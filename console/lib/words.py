"""Words and tones for what pages show of verdicts, places, severities and states.

A tone is a name from ``tokens.css`` (``crit high warn calm good plum info``).  A clean verdict is
calm, never good: a layer that let a threat pass must not look right.
"""

from typing import NamedTuple


class Word(NamedTuple):
    text: str
    tone: str


VERDICTS = {
    "clean": Word("Clean", "calm"),
    "graymail": Word("Graymail", "calm"),
    "spam": Word("Spam", "warn"),
    "phish": Word("Phish", "crit"),
    "bec": Word("Fraud", "crit"),
    "malware": Word("Malware", "crit"),
    "suspicious": Word("Suspicious", "high"),
    "unscannable": Word("Unscannable", "high"),
}
BLIND = Word("Blind", "high")
NOT_SEEN = Word("Not seen", "calm")
NOT_SCANNED = Word("Not scanned", "high")

SEVERITIES = {
    "critical": Word("Critical", "crit"),
    "high": Word("High", "high"),
    "medium": Word("Medium", "warn"),
    "low": Word("Low", "calm"),
}

STATES = {
    "new": Word("New", "info"),
    "triaged": Word("Triaged", "plum"),
    "contained": Word("Contained", "good"),
    "resolved": Word("Resolved", "calm"),
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
    "hold": Word("Held at the gateway", "plum"),
    "inbox": Word("Inbox", "crit"),
    "junk": Word("Junk", "warn"),
    "deleted": Word("Deleted items", "warn"),
    "sent": Word("Sent items", "warn"),
    "archive": Word("Archive", "high"),
    "other": Word("Another folder", "high"),
    "quarantine": Word("Quarantine", "good"),
    "gone": Word("Gone", "good"),
    "nowhere": Word("Never arrived", "calm"),
    "unknown": Word("Not known", "high"),
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
