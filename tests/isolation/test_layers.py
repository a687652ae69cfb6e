"""Imports point one way: console → bridges → incidents → tenants; some code knows no Django."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("tenants", "incidents", "seg_bridge", "api_bridge", "console")
ALLOWED = {
    "tenants": {"tenants"},
    "incidents": {"incidents", "tenants"},
    "seg_bridge": {"seg_bridge", "incidents", "tenants"},
    "api_bridge": {"api_bridge", "incidents", "tenants"},
    "console": set(ROOMS),
}
WITHOUT_DJANGO = (
    *("incidents/mail", "incidents/words.py", "incidents/observations.py"),
    *("seg_bridge/gate", "seg_bridge/engines", "api_bridge/sandbox", "api_bridge/connectors"),
    "api_bridge/detect",
)
DJANGO = ("django", "rest_framework", "channels", "celery", "drf_spectacular")


def modules(room: str) -> list[Path]:
    folder = ROOT / room
    found = [folder] if folder.suffix == ".py" else sorted(folder.rglob("*.py"))
    assert found, f"{room} is not here"
    return found


# Of the rooms above, what itself imports nothing of ours and no Django.
STANDS_ALONE = {"tenants.failpoints"}


def imports(path: Path) -> Iterator[str]:
    """Full names that a module imports, wherever in it."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join((*base, *filter(None, [node.module])))


def crossed(path: Path, allowed: set[str]) -> list[str]:
    names = {name for name in imports(path) if name.partition(".")[0] in {*ROOMS, "tests"}}
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for name in sorted(names)
        if name.partition(".")[0] not in allowed
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room):
    assert [each for path in modules(room) for each in crossed(path, ALLOWED[room])] == []


@pytest.mark.parametrize("room", WITHOUT_DJANGO)
def test_what_runs_without_the_database_knows_no_django(room):
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(room)
        for name in imports(path)
        if name.partition(".")[0] in DJANGO
        or (name.startswith(("tenants", "incidents.models")) and name not in STANDS_ALONE)
    ]
    assert found == []


def test_the_import_reader_sees_every_kind_of_import(tmp_path, monkeypatch):
    folder = tmp_path / "incidents" / "deep"
    folder.mkdir(parents=True)
    (folder / "one.py").write_text(
        "import console.views\ndef f():\n    from api_bridge import sync\nfrom ..words import x\n"
    )
    monkeypatch.setattr("tests.isolation.test_layers.ROOT", tmp_path)
    assert list(imports(folder / "one.py")) == ["console.views", "incidents.words", "api_bridge"]
    assert len(crossed(folder / "one.py", ALLOWED["incidents"])) == 2
