"""Words and tones for what pages show of verdicts, places, severities and states.

A tone is a name from ``tokens.css`` (``crit high warn calm good plum info``).  A clean verdict is
calm, never good: a layer that let a threat pass must not look right.  What the portal shows of them
is marked for translation here and translated where it is drawn (templatetags/bailey.py).
"""

from typing import NamedTuple

from django.utils.translation import gettext_noop as _

from incidents.words import NOT_SCANNED_WORD, VERDICT_WORDS, Verdict


class Word(NamedTuple):
    text: str
    tone: str


_TONES: dict[str, str] = {
    Verdict.CLEAN: "calm",
    Verdict.GRAYMAIL: "calm",
    Verdict.SPAM: "warn",
    Verdict.PHISH: "crit",
    Verdict.BEC: "crit",
    Verdict.MALWARE: "crit",
    Verdict.SUSPICIOUS: "high",
    Verdict.UNSCANNABLE: "high",
}
VERDICTS = {str(one): Word(text, _TONES[one]) for one, text in VERDICT_WORDS.items()}
BLIND = Word(_("Blind"), "high")
NOT_SEEN = Word(_("Not seen"), "calm")
NOT_SCANNED = Word(NOT_SCANNED_WORD, "high")
BY_A_RULE = Word(_("By a rule"), "calm")

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

# The same to a client.
PLAIN_STATES = {
    "new": Word(_("Not looked at yet"), "info"),
    "triaged": Word(_("Being worked on"), "plum"),
    "contained": Word(_("Out of reach"), "good"),
    "resolved": Word(_("Closed"), "calm"),
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


def held_word(verdict: str | None) -> Word:
    """Why a mail is held: a clean one is not held for that, but by an entry or a rule."""
    return BY_A_RULE if verdict == Verdict.CLEAN else verdict_word(verdict)


def place_word(value: str | None, *, is_threat: bool = True) -> Word:
    """Where a copy is.  Of harmless mail no place is alarming."""
    word = PLACES[value or "unknown"]
    return word if is_threat else Word(word.text, "calm")
