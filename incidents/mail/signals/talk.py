"""What the mail talks about: topics of ``lexicon.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from incidents.mail.signals.reading import Reading, Signal
from incidents.mail.signals.text import Hit, Phrases
from incidents.observations import Reason

TEXT_READ = 20_000
"""Characters in which scripts without spaces are looked for."""

WORDS_PER_PHRASE = 200
"""A long text needs one more hit of a topic for every so many words: newsletters touch all."""

STRONGLY = 4
"""Points above ``enough`` from which a topic is told as dominating."""


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    enough: int
    says: str
    characters: tuple[str, ...]


@cache
def _lexicon() -> tuple[tuple[Topic, ...], Phrases]:
    path = Path(__file__).parent / "lexicon.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    topics = tuple(
        Topic(name, entry.get("enough", 1), entry["says"], tuple(entry.get("characters", ())))
        for name, entry in table.items()
    )
    phrases: dict[str, list[str]] = {}
    for name, entry in table.items():
        phrases[f"{name}+"] = entry["strong"]
        phrases[f"{name}-"] = entry["weak"]
    return topics, Phrases(phrases)


def topics_of(reading: Reading) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Topic → (points: 2 a strong phrase, 1 a weak one; the phrases, telling ones first)."""
    topics, phrases = _lexicon()
    hits = phrases.find(reading.words)
    text = f"{reading.facts.subject}\n{reading.shown_text[:TEXT_READ]}"
    if not text.isascii():
        hits += [
            Hit(f"{topic.name}+", run)
            for topic in topics
            for run in topic.characters
            if run in text
        ]
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    for hit in sorted(hits, key=lambda hit: (hit.topic[-1] != "+", -len(hit.phrase.split()))):
        points, said = found.get(hit.topic[:-1], (0, ()))
        found[hit.topic[:-1]] = (points + (2 if hit.topic[-1] == "+" else 1), (*said, hit.phrase))
    return found


def talk(reading: Reading) -> Iterator[Reason]:
    topics, _ = _lexicon()
    found = topics_of(reading)
    extra = len(reading.words) // WORDS_PER_PHRASE
    for topic in topics:
        points, said = found.get(topic.name, (0, ()))
        if points < 2 * topic.enough + extra:
            continue
        words = ", ".join(f"“{phrase}”" for phrase in said[:4])
        yield Reason(f"talk_{topic.name}", f"The text {topic.says}: {words}.", ", ".join(said[:8]))
        if points >= 2 * (topic.enough + extra) + STRONGLY:
            yield Reason(
                f"talk_{topic.name}_strongly",
                f"The text {topic.says} in {len(said)} phrases.",
                str(len(said)),
            )


SIGNALS: tuple[Signal, ...] = (talk,)
