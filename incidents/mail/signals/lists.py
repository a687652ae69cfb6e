"""Small lists of domains and brands, read once from the files in ``lists/``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "lists"


def _words_of(name: str) -> frozenset[str]:
    lines = (_FOLDER / name).read_text(encoding="utf-8").splitlines()
    return frozenset(
        word for line in lines if not line.startswith("#") for word in line.lower().split()
    )


@dataclass(frozen=True, slots=True)
class Brand:
    """``names`` count wherever they stand, ``careful`` (also common words) in the sender's name
    only.
    """

    name: str
    names: tuple[str, ...]
    careful: tuple[str, ...]
    domains: frozenset[str]


@cache
def free_mailers() -> tuple[frozenset[str], frozenset[str]]:
    """Exact domains, and first labels that count with every country ending (``yahoo``)."""
    words = _words_of("free_mailers.txt")
    exact = frozenset(word for word in words if not word.endswith(".*"))
    return exact, frozenset(word[:-2] for word in words if word.endswith(".*"))


@cache
def shorteners() -> frozenset[str]:
    return _words_of("shorteners.txt")


@cache
def suspicious_tlds() -> frozenset[str]:
    return _words_of("suspicious_tlds.txt")


@cache
def free_hosts() -> frozenset[str]:
    return _words_of("free_hosts.txt")


@cache
def shared_hosts() -> frozenset[str]:
    return _words_of("shared_hosts.txt")


@cache
def bulk_senders() -> frozenset[str]:
    return _words_of("bulk_senders.txt")


@cache
def added_words() -> frozenset[str]:
    return _words_of("added_words.txt")


@cache
def office_words() -> frozenset[str]:
    return _words_of("office_words.txt")


@cache
def iban_lengths() -> dict[str, int]:
    """Country code → characters of its IBAN."""
    pairs = (word.upper().split(":") for word in _words_of("iban_lengths.txt"))
    return {country: int(length) for country, length in pairs}


def lookalike_letters() -> dict[str, str]:
    """Foreign letter → Latin letter."""
    return {pair[0]: pair[1] for pair in _words_of("lookalike_letters.txt")}


@cache
def brands() -> tuple[Brand, ...]:
    table = tomllib.loads((_FOLDER / "brands.toml").read_text(encoding="utf-8"))["brand"]
    return tuple(
        Brand(
            name=name,
            names=tuple(entry.get("names", ())),
            careful=tuple(entry.get("careful", ())),
            domains=frozenset(entry["domains"]),
        )
        for name, entry in table.items()
    )
