"""The design system holds its own promises: contrast, icons, vendored files, strict CSP."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "console/static"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
COMPONENTS = sorted((ROOT / "templates/_components").glob("*.html"))
SPRITE = STATIC / "vendor/lucide/icons.svg"

# ink, ground: what is written on what, in small text
PAIRS = [
    *((ink, ground) for ink in ("ink", "dim", "faint") for ground in ("bg", "panel")),
    *((ink, ground) for ink in ("ink", "dim") for ground in ("raised", "hover", "pick")),
    *((tone, "panel") for tone in ("crit", "high", "warn", "calm", "good", "plum", "accent")),
    *((tone, "hover") for tone in ("crit", "high", "warn", "calm", "good", "plum")),
    *((tone, "pick") for tone in ("crit", "high", "warn", "calm", "good", "plum")),
    *((tone, f"{tone}-tint") for tone in ("crit", "high", "warn", "calm", "good", "plum")),
    *((tone, f"{tone}-tint") for tone in ("accent", "gate", "box")),
    ("dim", "warn-tint"),
    ("dim", "accent-tint"),
    ("accent-ink", "accent"),
    ("accent", "bg"),
    ("crit", "bg"),
]


def _tokens(theme: int) -> dict[str, str]:
    css = (STATIC / "bailey/tokens.css").read_text()
    found = re.findall(r"--([a-z-]+):light-dark\((#[0-9a-f]+),(#[0-9a-f]+)\)", css)
    return {name: values[theme] for name, *values in found}


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_text_keeps_the_contrast_of_wcag_aa(theme, ink, ground):
    tokens = _tokens(theme)
    one, two = sorted((_luminance(tokens[ink]), _luminance(tokens[ground])))

    assert (two + 0.05) / (one + 0.05) >= 4.5


def test_vendored_files_are_those_of_the_lock():
    rows = re.findall(
        r"\| (\S+\.(?:woff2|svg)) \| ([0-9a-f]{64}) \|", (STATIC / "vendor/LOCK.md").read_text()
    )
    files = {
        str(path.relative_to(STATIC / "vendor"))
        for path in (STATIC / "vendor").rglob("*")
        if path.suffix in (".woff2", ".svg", ".js")
    }

    assert {name for name, _ in rows} == files
    for name, digest in rows:
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest


def test_every_vendored_folder_carries_its_licence():
    for folder in (STATIC / "vendor").iterdir():
        if folder.is_dir():
            assert (folder / "LICENSE").stat().st_size > 300


def test_the_sprite_holds_the_icons_in_use_and_no_others():
    symbols = set(re.findall(r'<symbol id="([^"]+)"', SPRITE.read_text()))
    templates = "".join(path.read_text() for path in TEMPLATES)
    code = "".join(path.read_text() for path in (ROOT / "console").rglob("*.py"))
    named = set(re.findall(r'(?:{% icon |icon=)"([a-z0-9-]+)"', templates))
    in_code = {symbol for symbol in symbols if f'"{symbol}"' in code}

    assert named - symbols == set()
    assert symbols - named - in_code == set()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_inline_script_or_style(template):
    text = template.read_text()

    assert not re.search(r"\sstyle=|<style|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:", text)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_trust_no_text(template):
    assert not re.search(r"\|\s*safe\b|autoescape off", template.read_text())


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_link_that_covers_its_row_covers_no_more(template):
    """``.open`` spreads over the nearest box that is placed: without ``data-row`` over the page."""
    for row in re.findall(r"<tr[^>]*>(?:(?!</tr>).)*</tr>", template.read_text(), re.S):
        if 'class="open"' in row:
            opening = row[: row.index(">") + 1]
            assert "data-row" in opening
            assert not re.search(r'<input (?!class="over")[^>]*type="checkbox"', row)


def test_forms_stand_in_modules_of_forms_and_never_in_views():
    views = [*(ROOT / "console/views").glob("*.py"), ROOT / "console/portal/views.py"]
    forms = re.compile(r"^class \w+\(.*Form\w*\)", re.MULTILINE)

    assert [path.name for path in views if forms.search(path.read_text())] == []


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda path: path.stem)
def test_every_component_begins_with_its_contract_in_one_line(component):
    first = component.read_text().splitlines()[0]

    assert first.startswith("{# " + component.stem + ": ")
    assert "#}" in first


def test_every_component_is_shown_on_the_components_page():
    shown = "".join(
        path.read_text() for path in (ROOT / "templates/console").glob("components*.html")
    )
    shown += "".join(path.read_text() for path in COMPONENTS)
    frames = {"dialog", "mark"}  # seen on every page

    missing = [
        path.stem
        for path in COMPONENTS
        if path.stem not in frames and f"_components/{path.name}" not in shown
    ]
    assert missing == []


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda path: path.stem)
def test_every_component_is_used_on_a_page(component):
    pages = [path for path in TEMPLATES if not path.name.startswith("components")]
    sources = [*pages, *(ROOT / "console").rglob("*.py")]

    assert any(
        f"_components/{component.name}" in path.read_text() for path in sources if path != component
    )


@pytest.mark.parametrize("sheet", ["base.css", "components.css", "pages.css"])
def test_every_class_of_the_style_sheets_is_used(sheet):
    rules = re.sub(
        r"/\*.*?\*/|\{[^{}]*\}", " ", (STATIC / "bailey" / sheet).read_text(), flags=re.S
    )
    given = {word for path in TEMPLATES for word in _classes_given(path.read_text())}
    # Tags and scripts put classes together: there a whole word of the text has to do.
    for path in [*(ROOT / "console").rglob("*.py"), *(STATIC / "bailey").glob("*.js")]:
        given |= set(re.findall(r"[\w-]+", path.read_text()))

    classes = set(re.findall(r"\.(-?[a-zA-Z_][\w-]*)", rules))
    assert classes - given - {"htmx-request"} == set()  # given by htmx


def _classes_given(template: str) -> set[str]:
    attributes = re.findall(r'class="((?:\{[{%].*?[%}]\}|[^"])*)"', template)
    attributes += re.findall(r'(?:look|tone|kind)="([^"]*)"', template)
    return {word for attribute in attributes for word in re.findall(r"[\w-]+", attribute)}
