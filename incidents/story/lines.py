"""One line of the story, and the few words that all lines share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from incidents.models.mail import Place

MOST_NAMES = 6
_NUMBERS = (
    *("No", "One", "Two", "Three", "Four", "Five", "Six"),
    *("Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """``lane``: ``sender gateway mailbox person action``.  ``lead`` is shown strong.

    ``source`` names the raw record: ``observation:<id>``, ``job:<id>``, ``audit:<id>``.
    ``names_them``: the sentence says which recipients it is about.
    """

    at: datetime
    lane: str
    lead: str
    text: str
    source: str
    recipients: tuple[str, ...] = ()
    names_them: bool = False


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
        return f"{', '.join(names[: MOST_NAMES - 1])} and {rest} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def number(n: int) -> str:
    """``Two``; figures above twelve."""
    return _NUMBERS[n] if n < len(_NUMBERS) else str(n)


def copies_were(n: int) -> str:
    return f"{number(n)} copy was" if n == 1 else f"{number(n)} copies were"


def all_of(n: int, word: str) -> str:
    """``the copy``, ``both copies``, ``all 3 copies``: of as many as there are."""
    plural = {"copy": "copies", "inbox": "inboxes"}[word]
    return {1: f"the {word}", 2: f"both {plural}"}.get(n, f"all {number(n).lower()} {plural}")


def place_words(place: str, n: int) -> str:
    """``the inbox``, ``the inboxes``; other places in their own words."""
    if place == Place.INBOX:
        return "the inbox" if n == 1 else "the inboxes"
    if place == Place.JUNK:
        return "the junk folder" if n == 1 else "the junk folders"
    return Place(place).label.lower()
