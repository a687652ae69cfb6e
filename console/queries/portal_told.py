"""A shared incident's title, and where its copies are, in the language of who reads the portal.

The title is stored as analysts read it (``incidents/titles.py``); here its sentence is taken apart
by the same words and said anew.  What is none of these sentences stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from incidents.signs import BY_SIGNS, SIGNS

_KIND = {
    "Spam": _n("Spam"),
    "Phishing": _n("Phishing"),
    "Fraud": _n("Fraud"),
    "Malware": _n("Malware"),
    "Suspicious mail": _n("Suspicious mail"),
    "Unscannable mail": _n("Unscannable mail"),
    "Unreadable mail": _n("Unscannable mail"),  # as titles said it earlier
}
_HOW = {
    "": "",
    "from a mailbox inside": _n("from a mailbox inside"),
    "in the firm's own name": _n("in the firm's own name"),
    "in an executive's name": _n("in an executive's name"),
    "in the name of a known supplier": _n("in the name of a known supplier"),
    "from a lookalike of the firm's domain": _n("from a lookalike of the firm's domain"),
    "that joins an earlier conversation": _n("that joins an earlier conversation"),
    "with a changed bank account": _n("with a changed bank account"),
    "in an attached archive": _n("in an attached archive"),
    "in an attached program": _n("in an attached program"),
    "in an attached disk image": _n("in an attached disk image"),
    "in an attached document": _n("in an attached document"),
    "with an archive that cannot be opened": _n("with an archive that cannot be opened"),
    "with a locked archive": _n("with a locked archive"),
    "with a QR code": _n("with a QR code"),
    "that asks for a password": _n("that asks for a password"),
    "with an attached web page": _n("with an attached web page"),
}
_NAMED = (
    (re.compile(r"in (?:the )?(?P<name>.+)'s name"), _n("in the name of %(name)s")),
    (re.compile(r"that poses as (?P<name>.+)"), _n("that poses as %(name)s")),
    (re.compile(r"from (?P<name>[a-z0-9.-]+)"), _n("from %(name)s")),
)
_PEOPLE = r"(?P<people>\d+) (?:person|people)"
_TITLE = re.compile(
    rf"(?P<kind>{'|'.join(_KIND)})(?: (?P<how>.*?))?"
    rf"(?: to {_PEOPLE}|, (?P<inboxes>\d+) (?:inbox|inboxes))"
)
_ACCOUNT = re.compile(
    rf"An account at risk, its mail (?:to {_PEOPLE} was (?P<held>held)|went to (?P<sent>\d+) \w+)"
)
_AROUND = re.compile(r"Mail around the gateway, (?P<mails>\d+) mails?")
# As titles say them, in the middle of a sentence.
_SIGNS = {f"{kind.words[0].lower()}{kind.words[1:]}": kind.words for kind in SIGNS.values()}
_PLACES = {
    "in_inbox": _n("in inbox"),
    "in_junk": _n("in junk"),
    "unseen": _n("not yet seen"),
    "removed": _n("removed"),
    "held": _n("held"),
    "read": _n("read"),
    "clicked": _n("link opened"),
    "replied": _n("replied"),
    "forwarded": _n("passed on"),
}


def told_title(title: str) -> str:
    if (get_language() or "en").startswith("en"):
        return title
    if found := _AROUND.fullmatch(title):
        n = int(found["mails"])
        said = ngettext(
            "%(count)d mail around the gateway", "%(count)d mails around the gateway", n
        )
        return said % {"count": n}
    if found := _ACCOUNT.fullmatch(title):
        people = _people(int(found["people"] or found["sent"]))
        if found["held"]:
            return _("An account at risk, its mail to %(people)s was held") % {"people": people}
        return _("An account at risk, its mail went to %(people)s") % {"people": people}
    if (sign := title.removeprefix(BY_SIGNS)) != title and sign in _SIGNS:
        return _("An account at risk: %(sign)s") % {"sign": _(_SIGNS[sign])}
    found = _TITLE.fullmatch(title)
    how = _how(found["how"] or "") if found is not None else None
    if found is None or how is None:
        return title
    what = f"{_(_KIND[found['kind']])} {how}".strip()
    if found["inboxes"]:
        n = int(found["inboxes"])
        said = ngettext("%(what)s, %(count)d inbox", "%(what)s, %(count)d inboxes", n)
        return said % {"what": what, "count": n}
    return _("%(what)s to %(people)s") % {"what": what, "people": _people(int(found["people"]))}


def _how(words: str) -> str | None:
    """None: words that nobody knows here."""
    if words in _HOW:
        return _(_HOW[words]) if words else ""
    for pattern, said in _NAMED:
        if found := pattern.fullmatch(words):
            return _(said) % {"name": found["name"]}
    return None


def _people(n: int) -> str:
    return ngettext("%(count)d person", "%(count)d people", n) % {"count": n}


def told_exposure(counts: Mapping[str, int], *, is_blind: bool) -> str:
    """As ``incidents.story.exposure`` says it to analysts."""
    parts = [f"{counts[key]} {_(words)}" for key, words in _PLACES.items() if counts.get(key)]
    return " · ".join(parts) or (_("not known now") if is_blind else _("none in a mailbox"))
