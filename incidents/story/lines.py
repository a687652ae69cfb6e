"""One line of the story, and the few words that all lines share.

What a client reads of it (leads, headline, what was not checked) is built in the language that is
active: the portal's reader's; everywhere else English.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from incidents.models.mail import Place
from incidents.words import Mark

MOST_NAMES = 6
ABOVE = "For the reasons above."
_NUMBERS = (
    *(_n("No"), _n("One"), _n("Two"), _n("Three"), _n("Four"), _n("Five"), _n("Six")),
    *(_n("Seven"), _n("Eight"), _n("Nine"), _n("Ten"), _n("Eleven"), _n("Twelve")),
)
# After "in" and "gone from".
_PLACES = {
    Place.HOLD: _n("held at the gateway"),
    Place.DELETED: _n("deleted items"),
    Place.SENT: _n("sent items"),
    Place.ARCHIVE: _n("archive"),
    Place.OTHER: _n("another folder"),
    Place.QUARANTINE: _n("removed (quarantine)"),
    Place.GONE: _n("gone"),
    Place.NOWHERE: _n("never arrived"),
    Place.UNKNOWN: _n("not yet seen"),
}


class Tone(StrEnum):
    """What a line means for the client.  "" where its lane says enough."""

    NONE = ""
    GOOD = "good"
    ALARM = "crit"


class ForClient(Enum):
    """What the client may read of a line: in a report that is hers lead and text, in the portal the
    lead.
    """

    ALL, LEAD, NOTHING = "all", "lead", "nothing"


# By the kind of record that a line tells of.  Of what stands here not she reads nothing.
_FOR_CLIENT = {
    **dict.fromkeys(("message", "observation", "access", "attachment"), ForClient.ALL),
    **dict.fromkeys(("job", "rule", "user-report", "story"), ForClient.ALL),
    **dict.fromkeys(("sign", "snapshot", "step-order", "step"), ForClient.ALL),
    # Why a stop was lifted, what a login is for and why a copy was pulled again was written among
    # the provider's people.
    **dict.fromkeys(("stop", "login", "look"), ForClient.LEAD),
    # So was all of these; and another incident is hers only once it is shared.
    **dict.fromkeys(("audit", "call", "finding", "incident"), ForClient.NOTHING),
    "internal-attachment": ForClient.NOTHING,
}


@dataclass(frozen=True, slots=True)
class Line:
    """``lane``: ``sender gateway mailbox person action``.  ``lead`` is shown strong.

    ``source`` names the raw record: ``observation:<id>``, ``job:<id>``, ``audit:<id>``; its kind
    says what a client may read (``_FOR_CLIENT``).
    ``names_them``: the sentence says which recipients it is about.  ``text_for_client``: without
    what somebody wrote to the provider, or for it; None: all of ``text``.  ``repeats``: reasons
    that the text says stand above.
    """

    at: datetime
    lane: str
    lead: str
    text: str
    source: str
    recipients: tuple[str, ...] = ()
    names_them: bool = False
    tone: Tone = Tone.NONE
    mark: Mark = Mark.OBSERVED
    text_for_client: str | None = None
    repeats: str = ""

    def for_client(self) -> Line | None:
        """As the client may read it; None where not at all."""
        what = _FOR_CLIENT.get(self.source.partition(":")[0], ForClient.NOTHING)
        if what is ForClient.NOTHING:
            return None
        hers = self.text if self.text_for_client is None else self.text_for_client
        return replace(self, text="" if what is ForClient.LEAD else hers)

    def below(self, lines: Iterable[Line]) -> Line:
        """As it reads below these: with its reasons, where none of them says them."""
        if not self.repeats or any(self.repeats in line.text for line in lines):
            return self
        return replace(self, text=self.text.replace(ABOVE, self.repeats))


@dataclass(frozen=True, slots=True)
class Story:
    headline: str
    lines: list[Line]
    not_checked: list[str]


class Names:
    """Recipients in short: ``it@`` where all are of one domain, else the whole address."""

    def __init__(self, recipients: Iterable[str]) -> None:
        self._all = frozenset(recipients)
        self._is_one_domain = len({one.rpartition("@")[2] for one in self._all}) == 1

    def of(self, recipient: str) -> str:
        return recipient.rpartition("@")[0] + "@" if self._is_one_domain else recipient

    def join(self, recipients: Collection[str]) -> str:
        """``a@``, ``a@ and b@``, ``a@, b@, c@ and 9 more``."""
        return join([self.of(one) for one in recipients])

    def are_all(self, recipients: Collection[str]) -> bool:
        return frozenset(recipients) == self._all


def join(names: Sequence[str]) -> str:
    if len(names) <= 1:
        return "".join(names)
    if len(names) > MOST_NAMES:
        rest = len(names) - MOST_NAMES + 1
        first = ", ".join(names[: MOST_NAMES - 1])
        return _("%(names)s and %(count)d more") % {"names": first, "count": rest}
    return _("%(names)s and %(last)s") % {"names": ", ".join(names[:-1]), "last": names[-1]}


def number(n: int) -> str:
    """``Two``; figures above twelve."""
    return _(_NUMBERS[n]) if n < len(_NUMBERS) else str(n)


def in_english() -> bool:
    return (get_language() or "en").startswith("en")


def all_copies(n: int) -> str:
    """``the copy``, ``both copies``, ``all three copies``: of as many as there are."""
    if n <= 2:
        return {1: _("the copy"), 2: _("both copies")}.get(n) or some_copies(n)
    return _("all %(number)s copies") % {"number": number(n).lower()}


def some_copies(n: int) -> str:
    """``one copy``, ``three copies``."""
    said = ngettext("%(number)s copy", "%(number)s copies", n)
    return said % {"number": number(n).lower()}


def all_inboxes(n: int) -> str:
    """``the inbox``, ``both inboxes``, ``all three inboxes``."""
    if n <= 2:
        return _("both inboxes") if n == 2 else _("the inbox")
    return _("all %(number)s inboxes") % {"number": number(n).lower()}


def place_words(place: str, n: int) -> str:
    """``the inbox``, ``the inboxes``; other places in their own words."""
    if place == Place.INBOX:
        return _("the inbox") if n == 1 else _("the inboxes")
    if place == Place.JUNK:
        return _("the junk folder") if n == 1 else _("the junk folders")
    return _(_PLACES[Place(place)])
