"""Reading text as a person would see it: folded letters, words, phrases."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from incidents.mail.signals import lists

WORDS_READ = 4_000
"""Words of a body that are looked at; fraud comes to the point sooner."""

_INVISIBLE = dict.fromkeys(
    code
    for block in (
        (0x00AD, 0x034F, 0x061C, 0x180E, 0xFEFF),
        range(0x200B, 0x2010),
        range(0x202A, 0x202F),
        range(0x2060, 0x2070),
        range(0xE0000, 0xE0080),
        range(0xE0100, 0xE01F0),
    )
    for code in block
)
_LOOKS_LIKE = str.maketrans(lists.lookalike_letters())
_DIGITS = str.maketrans("013457@$|", "oieastasl")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


def without_invisible(text: str) -> str:
    """Drops characters of no width (soft hyphens, joiners, tags, direction marks)."""
    return text.translate(_INVISIBLE)


def plain(text: str) -> str:
    """Case, accents, compatibility forms and invisible characters removed: ``Payé`` → ``paye``."""
    text = without_invisible(text).casefold()
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKD", text)
    return "".join(char for char in text if not unicodedata.combining(char))


def fold(text: str) -> str:
    """``plain`` and every look-alike letter or digit turned into the Latin letter it imitates."""
    return plain(text).translate(_LOOKS_LIKE).translate(_DIGITS)


def has_struck_letters(text: str) -> bool:
    """Whether marks stand on Latin letters that no language puts there (``Co̷rreio̷s``)."""
    text = unicodedata.normalize("NFC", text)
    return (
        sum(
            1
            for letter, mark in pairwise(text)
            if mark > "\u02ff" and "a" <= letter.lower() <= "z" and unicodedata.combining(mark)
        )
        >= 2
    )


def looks_latin(text: str) -> str:
    """Look-alike letters replaced, nothing else: ``ö`` stays, a Cyrillic ``а`` is ``a``."""
    return text.translate(_LOOKS_LIKE)


def unmask(text: str) -> str:
    """``plain``, with foreign letters folded in those words only that mix them with Latin ones."""
    text = plain(text)
    if text.isascii():
        return text
    return " ".join(
        word.translate(_LOOKS_LIKE) if re.search("[a-z]", word) else word
        for word in text.split(" ")
    )


def words(text: str) -> list[str]:
    """The first ``WORDS_READ`` words of ``text``, folded as ``unmask`` does."""
    found = _WORD.findall(unmask(text[: WORDS_READ * 12]))
    return found[:WORDS_READ]


def mixes_alphabets(word: str) -> bool:
    """Whether one word mixes Latin letters with look-alike Cyrillic or Greek ones."""
    has_latin = any("a" <= char <= "z" for char in word.lower())
    return has_latin and any(
        unicodedata.name(char, "").startswith(("CYRILLIC", "GREEK"))
        for char in word
        if char > "\u036f"
    )


@dataclass(frozen=True, slots=True)
class Hit:
    topic: str
    phrase: str


class Phrases:
    """Finds many phrases in one walk over the words of a text."""

    def __init__(self, topics: Mapping[str, Iterable[str]]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}
        for topic, phrases in topics.items():
            for phrase in phrases:
                parts = tuple(words(phrase))
                self._by_first.setdefault(parts[0], []).append((parts, topic, phrase))

    def find(self, text_words: list[str]) -> list[Hit]:
        """Every phrase that occurs, once each, in the order of first sight."""
        found: dict[Hit, None] = {}
        by_first = self._by_first
        for at, word in enumerate(text_words):
            for parts, topic, phrase in by_first.get(word, ()):
                if len(parts) == 1 or tuple(text_words[at : at + len(parts)]) == parts:
                    found[Hit(topic, phrase)] = None
        return list(found)
