"""The catalogues of translations: what is marked in the code goes in, what is read at run time out.

``python -m tests.catalogues`` writes ``console/locale/<language>/LC_MESSAGES/django.po`` anew with
every marked text of ``TEMPLATES`` and ``CODE``, keeping what is translated, and compiles the
``.mo`` beside it.

The ``.mo`` files are committed, so that nothing need be compiled where Bailey is installed; Babel
is for developers alone.  ``tests/console/test_translations.py`` keeps both in step with the code.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[1]
LOCALE = ROOT / "console" / "locale"
# Language → how it counts.  Of CLDR's three French forms people write two.
LANGUAGES = {"de": "nplurals=2; plural=(n != 1);", "fr": "nplurals=2; plural=(n > 1);"}
# What a client's people read.
TEMPLATES = (
    *("templates/mail/*", "templates/portal/**/*.html", "templates/base.html"),
    *("templates/login.html", "templates/error.html", "templates/[45]*.html"),
    *(f"templates/_components/{name}.html" for name in ("pager", "dialog", "copies", "toast")),
)
CODE = (
    *("console/portal/*.py", "console/queries/portal*.py", "console/context.py"),
    *("api_bridge/access/permissions.py", "api_bridge/access/models.py"),
    "api_bridge/scanback/wording.py",
    *(
        "console/lib/words.py",
        "console/lib/throttle.py",
        "console/views/people.py",
        "console/lib/sign_in_forms.py",
    ),
    *("seg_bridge/held/*.py", "incidents/notices.py", "incidents/client_words.py"),
    *("incidents/story/*.py", "incidents/layers.py", "console/queries/story.py"),
    *("incidents/signs.py", "incidents/words.py"),
    *("seg_bridge/sight.py", "api_bridge/sight.py"),
    "seg_bridge/outbound/telling.py",
)
_KEYWORDS: dict[str, Any] = {
    **dict.fromkeys(("_", "_l", "_n", "gettext", "gettext_lazy", "gettext_noop")),
    "ngettext": (1, 2),
}
# Times, versions and people: without them the same texts give the same file.
_DROPPED = (
    *(b'"POT-Creation-Date', b'"PO-Revision-Date', b'"Generated-By', b'"Last-Translator'),
    *(b'"Report-Msgid-Bugs-To', b'"Language-Team', b"# "),
)


def files(patterns: tuple[str, ...]) -> list[Path]:
    return sorted(path for each in patterns for path in ROOT.glob(each) if path.is_file())


def marked() -> Iterator[tuple[str | tuple[str, str], str]]:
    """Each marked text (or its singular and plural), with its file."""
    for path in files(TEMPLATES + CODE):
        source, name = path.read_text("utf-8"), str(path.relative_to(ROOT))
        if path.suffix != ".py":
            # What stands between the texts is no Python: its blanks must not look like blocks.
            source = "\n".join(map(str.strip, templatize(source, origin=name).split("\n")))
        found = extract_python(io.BytesIO(source.encode()), _KEYWORDS, (), {"encoding": "utf-8"})
        for _line, function, said, _comments in found:
            told = said if isinstance(said, tuple) else (said,)
            texts = [str(each) for each in told if each]
            if function == "ngettext":
                yield (texts[0], texts[1]), name
            elif texts:
                yield texts[0], name


def template_of() -> Catalog:
    """Every marked text, without a translation."""
    catalog = Catalog(project="Bailey", fuzzy=False)
    for text, name in marked():
        catalog.add(text, locations=[(name, 0)])
    return catalog


def read(language: str) -> Catalog:
    with (LOCALE / language / "LC_MESSAGES" / "django.po").open("rb") as file:
        return read_po(file, locale=language)


def brought_up_to_date(language: str) -> Catalog:
    """The catalogue as the code wants it, with the translations that there are."""
    known: dict[Any, Message] = {each.id: each for each in read(language) if each.id}
    fresh = Catalog(locale=language, project="Bailey", fuzzy=False)
    fresh.mime_headers = [("Plural-Forms", LANGUAGES[language])]
    for each in template_of():
        if each.id:
            there = known.get(each.id)
            fresh.add(each.id, there.string if there else None, each.locations, each.flags)
    return fresh


def po_bytes(catalog: Catalog) -> bytes:
    out = io.BytesIO()
    write_po(out, catalog, width=100, sort_output=True, include_lineno=False)
    lines = out.getvalue().split(b"\n")
    kept = [line for line in lines if not line.startswith(_DROPPED) and line != b"#"]
    return b"\n".join(kept)


def mo_bytes(catalog: Catalog) -> bytes:
    """Compiled from what ``po_bytes`` writes."""
    out = io.BytesIO()
    written = read_po(io.BytesIO(po_bytes(catalog)), locale=str(catalog.locale))
    written.creation_date = written.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    write_mo(out, written)
    return out.getvalue()


def main() -> None:
    settings.configure()
    for language in LANGUAGES:
        catalog = brought_up_to_date(language)
        folder = LOCALE / language / "LC_MESSAGES"
        (folder / "django.po").write_bytes(po_bytes(catalog))
        (folder / "django.mo").write_bytes(mo_bytes(catalog))


if __name__ == "__main__":
    main()
