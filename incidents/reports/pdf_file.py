"""The report as PDF/A-3a and PDF/UA-1, by Typst.

The document goes in as JSON, never as markup, and the engine sees one folder: no other file and no
network.  PDF/UA demands a glyph for every character: what our fonts lack is shown by its code.
"""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import typst
from django.conf import settings

from incidents.reports.builders import FOUND_SCHEMA
from incidents.reports.document import SCHEMA as INCIDENT
from incidents.reports.statement import SCHEMA as STATEMENT

TEMPLATES = Path(settings.BASE_DIR) / "templates" / "reports"
# A run without a break opportunity longer than this is given some, else it leaves the page.
_LONGEST_RUN = 24


class ReportDoesNotRender(Exception):
    """Typst refused the document; the message is its own."""


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, font_paths=[TEMPLATES / "fonts"])


def printable(text: str) -> str:
    """Every character either has a glyph in our fonts or is shown as its code, ``‹U+202E›``."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return " "
    known = code < 0x0500 or 0x2010 <= code <= 0x2027 or character in "€™→←≠≤≥…•“”‘’–—−‹›«»"
    if known and unicodedata.category(character) not in ("Cc", "Cf", "Mn"):
        return character
    return f"‹U+{code:04X}›"


def _breakable(text: str) -> str:
    """Zero-width spaces in runs that have no place to break."""
    words = text.split(" ")
    return " ".join(
        word
        if len(word) <= _LONGEST_RUN
        else "\u200b".join(
            word[start : start + _LONGEST_RUN] for start in range(0, len(word), _LONGEST_RUN)
        )
        for word in words
    )


def _prepared(value: Any) -> Any:
    if isinstance(value, str):
        return _breakable(printable(value))
    if isinstance(value, dict):
        return {name: _prepared(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_prepared(inner) for inner in value]
    return value


# Schema → its template, and the part of the document that says of when its facts are.
_TEMPLATES = {
    INCIDENT: ("incident.typ", "case"),
    STATEMENT: ("statement.typ", "statement"),
    FOUND_SCHEMA: ("found.typ", "found"),
}


def render_pdf(document: dict[str, Any]) -> bytes:
    """The same document gives the same bytes.  Raises ``ReportDoesNotRender``."""
    data = json.dumps(_prepared(document), ensure_ascii=False)
    template, part = _TEMPLATES[document["schema"]]
    try:
        pdf = typst.compile(
            str(TEMPLATES / template),
            root=str(TEMPLATES),
            font_paths=_fonts(),
            format="pdf",
            sys_inputs={"document": data},
            pdf_standards=["a-3a", "ua-1"],
            # The date in the file is that of the facts, so that a repeat gives the same bytes.
            timestamp=datetime.fromisoformat(document[part]["facts_as_of"]),
        )
    except typst.TypstError as error:
        raise ReportDoesNotRender(str(error)) from error
    assert isinstance(pdf, bytes)
    return pdf
