"""The field's words as closed lists, shared by every room and process.

No Django here: the gate imports it.  Glossary: docs/architecture.md.  A value here is also what
the API, the database and the journal say.
"""

from enum import StrEnum


class Mark(StrEnum):
    """What a statement of a story or report is: on record as it stands; computed from records; a
    judgement.
    """

    OBSERVED = "observed"
    DERIVED = "derived"
    ASSESSED = "assessed"


class Layer(StrEnum):
    """Who saw the mail.  ``person`` and ``vendor`` are further sources beside the two walls."""

    GATEWAY = "gateway"
    MAILBOX = "mailbox"
    PERSON = "person"
    VENDOR = "vendor"


class Verdict(StrEnum):
    """What a source holds a mail to be.

    ``unscannable`` is a property of the mail.  *Not scanned* (an engine did not answer) is none
    of these: it is the absence of a verdict and follows the client's policy for it.
    """

    CLEAN = "clean"
    GRAYMAIL = "graymail"
    SPAM = "spam"
    PHISH = "phish"
    BEC = "bec"
    MALWARE = "malware"
    SUSPICIOUS = "suspicious"
    UNSCANNABLE = "unscannable"

    @property
    def is_threat(self) -> bool:
        return self not in HARMLESS


def _n(text: str) -> str:
    """Marked for translation (tests/catalogues.py); translated where it is shown."""
    return text


# The one word for each verdict, on pages and paper, in mails and files.
VERDICT_WORDS: dict[str, str] = {
    Verdict.CLEAN: _n("Clean"),
    Verdict.GRAYMAIL: _n("Graymail"),
    Verdict.SPAM: _n("Spam"),
    Verdict.PHISH: _n("Phishing"),
    Verdict.BEC: _n("Fraud"),
    Verdict.MALWARE: _n("Malware"),
    Verdict.SUSPICIOUS: _n("Suspicious"),
    Verdict.UNSCANNABLE: _n("Unscannable"),
}
NOT_SCANNED_WORD = _n("Not scanned")
# The same within a sentence: whether a noun begins with a capital differs by language.
VERDICT_WORDS_WITHIN: dict[str, str] = {
    Verdict.CLEAN: _n("clean"),
    Verdict.GRAYMAIL: _n("graymail"),
    Verdict.SPAM: _n("spam"),
    Verdict.PHISH: _n("phishing"),
    Verdict.BEC: _n("fraud"),
    Verdict.MALWARE: _n("malware"),
    Verdict.SUSPICIOUS: _n("suspicious"),
    Verdict.UNSCANNABLE: _n("unscannable"),
}

HARMLESS = (Verdict.CLEAN, Verdict.GRAYMAIL)
THREATS = tuple(verdict for verdict in Verdict if verdict.is_threat)
# What is held for its content whatever an allow entry says, and pulled where it was delivered.
GRAVE = (Verdict.PHISH, Verdict.BEC, Verdict.MALWARE)


def is_threat(verdict: str | None) -> bool:
    """No where nothing was said: "" and None, and the pages' "blind" and "not_seen"."""
    return verdict in THREATS


def differ(gateway: str | None, mailbox: str | None) -> bool:
    """Does one layer hold it a threat and the other harmless?

    Two names of a threat are no quarrel, and a layer that said nothing contradicts nobody.
    """
    return (is_threat(gateway) and mailbox in HARMLESS) or (
        is_threat(mailbox) and gateway in HARMLESS
    )


class Outcome(StrEnum):
    """What the gateway did with one copy.

    ``delivered``: the next hop has taken it.  ``passed``: it is in the queue of the gateway's
    Postfix, which has answered for it; the next hop's answer follows.
    ``unknown``: relaying began and no answer is on record.
    """

    DELIVERED = "delivered"
    PASSED = "passed"
    HELD = "held"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"


# The gateway let it through, whether or not the next hop's answer is here already.
LET_THROUGH = (Outcome.DELIVERED, Outcome.PASSED)


class Place(StrEnum):
    """Where one copy is now, in words that fit every mailbox provider.

    ``hold`` is the gateway's own store; ``quarantine`` is Bailey's hidden folder in the mailbox.
    """

    HOLD = "hold"
    INBOX = "inbox"
    JUNK = "junk"
    DELETED = "deleted"
    SENT = "sent"
    ARCHIVE = "archive"
    OTHER = "other"
    QUARANTINE = "quarantine"
    GONE = "gone"
    NOWHERE = "nowhere"  # rejected or deferred: it never arrived
    UNKNOWN = "unknown"


class Direction(StrEnum):
    INBOUND = "inbound"
    INTERNAL = "internal"
    OUTBOUND = "outbound"


class MatrixAction(StrEnum):
    """What a client's policy does with a verdict at the gateway."""

    DELIVER = "deliver"
    TAG = "tag"
    HOLD = "hold"
    REJECT = "reject"
    DEFER = "defer"


# With these a copy goes on to its recipient.
PASSING = (MatrixAction.DELIVER, MatrixAction.TAG)
