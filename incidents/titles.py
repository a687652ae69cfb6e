"""An incident's title: the sentence by which an analyst would name it, at most 70 characters.

Made of stored facts only: the kind, what the heaviest reasons say of it, and whom it reached.  What
a sender wrote never stands in it, but for a domain that is one; the subject is kept beside it.
Pure: no Django, no database.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from incidents.words import VERDICT_WORDS

LONGEST = 70
_NAME, _DOMAIN = 20, 30
KIND_WORDS = {
    **{kind: VERDICT_WORDS[kind] for kind in ("spam", "phish", "bec", "malware")},
    "suspicious": "Suspicious mail",
    "unscannable": "Unscannable mail",
    "account": "An account at risk",
    "health": "Mail around the gateway",
}
BORROWED_PERSON = frozenset({"impersonates_vip", "impersonates_colleague", "impersonates_title"})
BORROWED_FIRM = frozenset({"poses_as_own_firm", "poses_as_own_desk", "shows_own_address"})
BORROWED_VENDOR = frozenset({"lookalike_vendor_domain", "vendor_name_other_ending"})
NAMED_BRAND = frozenset({"brand_in_name", "brand_in_subject"})
# Reasons that say what it is where nobody's name was borrowed, the most telling first.
_TELLING = (
    ("lookalike_own_domain", "from a lookalike of the firm's domain"),
    ("thread_joined_by_stranger", "that joins an earlier conversation"),
    ("thread_continued_from_other_domain", "that joins an earlier conversation"),
    ("account_changed", "with a changed bank account"),
    ("payment_change_with_account", "with a changed bank account"),
    ("payment_change_by_stranger", "with a changed bank account"),
    ("program_in_archive", "in an attached archive"),
    ("attached_program", "in an attached program"),
    ("attached_disk_image", "in an attached disk image"),
    ("attached_macro", "in an attached document"),
    ("archive_bomb", "with an archive that cannot be opened"),
    ("locked_archive", "with a locked archive"),
    ("holds_code", "with a QR code"),
    ("password_field", "that asks for a password"),
    ("form_in_mail", "that asks for a password"),
    ("attached_page", "with an attached web page"),
)
_IS_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+\Z")


@dataclass(frozen=True, slots=True)
class Clues:
    """What is on record of an incident's newest mail.

    ``codes``: those of its reasons; ``brand``: what it poses as; ``person``: the role or name of
    the client's person in whose name it came ("CFO", "Karla Berg"); "" where there is none.
    ``is_old``: it was found by looking back over older mail.
    """

    codes: Collection[str] = frozenset()
    brand: str = ""
    person: str = ""
    domain: str = ""
    is_old: bool = False


def title_of(
    kind: str, cross_layer: Collection[str], counts: Mapping[str, int], clues: Clues
) -> str:
    """``Fraud in the CFO's name to 2 people``, ``Phishing that poses as Microsoft, 14 inboxes``.

    ``counts`` as ``incidents.assessment.count`` gives them.
    """
    if kind == "health":
        return f"{KIND_WORDS[kind]}, {_number(counts, 'messages', 'mail', 'mails')}"
    people = _number(counts, "recipients", "person", "people")
    if kind == "account":
        if counts.get("held") and not counts.get("delivered"):
            return f"{KIND_WORDS[kind]}, its mail to {people} was held"
        return f"{KIND_WORDS[kind]}, its mail went to {people}"
    what = f"{KIND_WORDS[kind]} {_how(cross_layer, clues)}".strip()
    if kind != "bec" and counts.get("was_exposed"):
        return f"{what}, {_number(counts, 'was_exposed', 'inbox', 'inboxes')}"
    return f"{what} to {people}"


def title_without_mail(kind: str) -> str:
    """Of an incident whose mail went to others: how many it reached is told there."""
    return f"{KIND_WORDS[kind]}; it went to another incident"


def _how(cross_layer: Collection[str], clues: Clues) -> str:
    if "internal_only" in cross_layer:
        return "from a mailbox inside"
    codes = clues.codes
    if BORROWED_PERSON.intersection(codes):
        return f"in {whose(_tame(clues.person, _NAME))} name"
    if BORROWED_FIRM.intersection(codes):
        return "in the firm's own name"
    if BORROWED_VENDOR.intersection(codes):
        return "in the name of a known supplier"
    if brand := _tame(clues.brand, _NAME):
        return f"that poses as {brand}"
    for code, words in _TELLING:
        if code in codes:
            return words
    domain = clues.domain.lower()
    is_short = len(domain) <= _DOMAIN and _IS_DOMAIN.match(domain)
    return f"from {domain}" if is_short else ""


def whose(person: str) -> str:
    """``the CFO's``, ``Karla Berg's``; "": somebody of whom no more is known."""
    if not person:
        return "an executive's"
    return f"the {person}'s" if person.isupper() else f"{person}'s"


def _tame(name: str, most: int) -> str:
    """On one line, without characters that nobody sees, at word's end if it must be cut."""
    seen = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in name)
    words = " ".join(seen.split())
    if len(words) <= most:
        return words
    return words[: most - 1].rstrip().rpartition(" ")[0] or f"{words[: most - 1]}…"


def _number(counts: Mapping[str, int], key: str, one: str, more: str) -> str:
    n = counts.get(key, 0)
    return f"1 {one}" if n == 1 else f"{n} {more}"
