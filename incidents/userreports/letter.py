"""What a mail to the report mailbox says, from its facts alone.  No database, no vendor call.

The first characters of the subject say what the reporter presses in Outlook: ``1|`` or ``Junk:``,
``2|`` or ``Not junk:``, ``3|`` or ``Phishing:`` (Microsoft, *User reported settings*, submission
format of third-party tools, which the built-in button's mails follow).
"""

from __future__ import annotations

import re

from incidents.mail.facts import MailFacts

PHISH, JUNK, NOT_JUNK, UNSURE = "phish", "junk", "not_junk", "unsure"
MOST_WORDS = 500
_LOOKED_AT = 20_000
_BUTTON = re.compile(r"\s*(?:([123])\s*\||(junk|not junk|phishing)\s*:)", re.IGNORECASE)
_SAID = {"1": JUNK, "2": NOT_JUNK, "3": PHISH}
_SAID |= {"junk": JUNK, "not junk": NOT_JUNK, "phishing": PHISH}
_FORWARD = re.compile(r"(?:\s*(?:fwd?|wg|tr|rv|i|vs|doorst)\s*:)+", re.IGNORECASE)
# How programs write the header of the mail that they pass on, in the languages they are set to.
_FROM = re.compile(
    r"^[>\s*]*(?:from|von|de|da|van|från|od)\s*:\**\s*(.{1,500})$", re.IGNORECASE | re.MULTILINE
)
_SUBJECT = re.compile(
    r"^[>\s*]*(?:subject|betreff|objet|asunto|oggetto|onderwerp|assunto|ämne|temat)\s*:\**\s*"
    r"(.{1,900})$",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{3,250}")
_BEGINS = re.compile(
    r"^(?:_{10,}|-{3,}.{0,80}-{3,}|begin forwarded message:.{0,80})\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_AUTOMATIC = frozenset({"bulk", "junk", "list", "auto_reply"})
_MACHINES = frozenset({"mailer-daemon", "postmaster", "no-reply", "noreply", "donotreply"})


def said_by(subject: str) -> str:
    """What the button said; ``unsure`` for a mail that somebody wrote."""
    found = _BUTTON.match(subject)
    return _SAID[(found[1] or found[2]).lower()] if found else UNSURE


def is_by_button(subject: str) -> bool:
    return _BUTTON.match(subject) is not None


def is_automatic(facts: MailFacts) -> bool:
    """No person sent it, or whoever did wants no answer (RFC 3834, RFC 2076): never answered."""
    values: dict[str, str] = {}
    for name, value in facts.headers:
        values.setdefault(name.lower(), value.strip().lower())
    auto = values.get("auto-submitted", "no").split(";")[0].strip()
    if auto not in ("", "no") or values.get("precedence", "") in _AUTOMATIC:
        return True
    if values.get("return-path") == "<>" or facts.list_id:
        return True
    if "x-autoreply" in values or "x-autorespond" in values:
        return True
    sender = facts.sender.address if facts.sender else ""
    return not sender or sender.partition("@")[0] in _MACHINES


def ids_named(facts: MailFacts) -> tuple[str, ...]:
    """Its own Message-ID and those that it says it answers."""
    named = [facts.internet_message_id, *facts.in_reply_to.split(), *facts.references]
    return tuple(dict.fromkeys(filter(None, named)))


def passed_on(facts: MailFacts) -> tuple[str, str]:
    """Subject and sender of the mail that this one passes on in its own text; "" where it does not
    say.  The sender is lower case.
    """
    text = (facts.text or facts.html_text)[:_LOOKED_AT]
    subject, sender = _SUBJECT.search(text), _FROM.search(text)
    address = _ADDRESS.search(sender[1]) if sender else None
    told = subject[1].strip() if subject else ""
    if not told and (mark := _FORWARD.match(facts.subject)):
        told = facts.subject[mark.end() :].strip()
    return told, address[0].lower().rstrip(".") if address else ""


def own_words(facts: MailFacts) -> str:
    """What the reporter wrote above the mail that is passed on, on one line."""
    text = (facts.text or facts.html_text)[:_LOOKED_AT]
    ends = [found.start() for each in (_BEGINS, _FROM) if (found := each.search(text))]
    return storable(" ".join(text[: min(ends, default=len(text))].split()))[:MOST_WORDS]


def storable(text: str) -> str:
    """PostgreSQL keeps no NUL and no half of a surrogate pair; hostile mail has both."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\x00", "\ufffd")


def storable_json(value: object) -> object:
    """The same of all texts in what JSON can carry."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(key)): storable_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable_json(each) for each in value]
    return value
