"""A cheap guess at the language of a text: its script, else the small words it uses."""

from __future__ import annotations

import re
from collections import Counter
from operator import itemgetter

_SAMPLE = 4_000
_LEAST_WORDS = 8
_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("uk", re.compile("[їєґЇЄҐ]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
    ("hi", re.compile("[\u0900-\u097f]")),
)
# All of them lie there.
_OTHER_SCRIPTS = re.compile("[\u0370-\ud7af]")
_SMALL_WORDS = {
    "en": "the and of to you your is this for with that are have please from will our not be",
    "de": "der die das und ist sie ihr ihre nicht mit für auf ein eine den dem wir bitte zu von",
    "fr": "le la les et des vous votre est pour dans une un que sur pas nous avec ce sont au",
    "es": "el la los las y de que su en para por con una un es no se del al usted",
    "it": "il lo la gli e di che per non una un con sono è del della suo questo nel si",
    "pt": "o a os as e de que para com não uma um seu sua por em do da no na você",
    "nl": "de het een en van is uw voor niet met op dat zijn wij te u aan om deze bij",
    "pl": "i w na z do nie się że jest to prosimy dla od przez oraz po państwa jak za lub",
    "sv": "och att det är för på med som av den till inte har du din vi en ett om eller",
    "tr": "ve bir bu için ile de da olarak lütfen sizin hesap olan ya en çok daha gibi ne var mi",
}
_LANGUAGES: dict[str, list[str]] = {}
for _code, _words in _SMALL_WORDS.items():
    for _word in _words.split():
        _LANGUAGES.setdefault(_word, []).append(_code)
_WORD = re.compile(r"[^\W\d_]+")
_ASCII_WORD = re.compile(r"[a-z]+")


def guess_language(text: str) -> str:
    """A two-letter code, "" where the text is too short or says nothing clear."""
    sample = text[:_SAMPLE]
    if sample.isascii():
        words = _ASCII_WORD.findall(sample.lower())
    else:
        words = [word.lower() for word in _WORD.findall(sample)]
        letters = sum(map(len, words))
        if letters and len(_OTHER_SCRIPTS.findall(sample)) * 5 > letters:
            for code, script in _SCRIPTS:
                if len(script.findall(sample)) * 5 > letters:
                    return code
    if len(words) < _LEAST_WORDS:
        return ""
    counted = Counter(words)
    counts: dict[str, int] = {}
    for word in filter(_LANGUAGES.__contains__, counted):
        for code in _LANGUAGES[word]:
            counts[code] = counts.get(code, 0) + counted[word]
    best, count = max(counts.items(), key=itemgetter(1), default=("", 0))
    return best if count * 10 >= len(words) else ""
