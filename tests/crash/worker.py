"""A worker that dies at the first failpoint, then at the second, and so on until none is hit.

It dies of an exception that nothing catches, in the process of the test: what its transaction had
not committed is rolled back, and what it had in its memory is forgotten (``forget``).  The next
worker has the table of work alone, with leases that have run out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from unittest.mock import patch

from django.db import connection
from psycopg import Cursor
from typing_extensions import override

from api_bridge.known import forget_profiles
from api_bridge.runtime import close_connectors, shared_runtime
from incidents import bulk
from tenants.failpoints import set_watch
from tenants.models import Work
from tenants.scope import maintenance_scope
from tenants.work import serve_one

ROOT = Path(__file__).resolve().parents[2]
WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM|door_claim_work)\b")
READS = re.compile(r"FOR (NO KEY )?UPDATE")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
MOST = 400
EMPTY: Mapping[str, str] = MappingProxyType({})


class Killed(BaseException):
    """As the process ends: nothing that comes after is done."""


class Watched:
    """Counts the places of product code where something has just become durable, or is about to;
    ``Killed`` is raised at the ``number``-th.

    A transaction that has only read is none: whoever comes next finds what it found before.
    ``only``: how the names of places begin that count.
    """

    def __init__(self, number: int, only: str) -> None:
        self.number, self.only = number, only
        self.passed: list[str] = []
        self._has_written = False

    def statement(self, execute: Any, sql: str, *rest: Any) -> Any:
        self.note(sql)
        return execute(sql, *rest)

    def note(self, sql: str) -> None:
        self._has_written |= bool(WRITES.search(READS.sub("", sql)))

    def cursor(self) -> type[Cursor[Any]]:
        """For incidents/bulk.py, which goes past Django."""
        note = self.note

        class Noted(Cursor[Any]):
            @override
            def execute(self, query: Any, *rest: Any, **more: Any) -> Self:
                note(query)
                return super().execute(query, *rest, **more)

        return Noted

    def place(self, place: str) -> None:
        if place.startswith("tests.") or (place.endswith("_commit") and not self._has_written):
            return
        if place.endswith(":after_commit"):
            self._has_written = False
        if not place.startswith(self.only):
            return
        self.passed.append(place)
        if len(self.passed) == self.number:
            raise Killed(place)


@contextmanager
def dies_at(number: int, only: str = "") -> Iterator[list[str]]:
    """What is passed until then, and at the end."""
    watched = Watched(number, only)
    set_watch(watched.place)
    try:
        with (
            connection.execute_wrapper(watched.statement),
            patch.object(bulk, "Cursor", watched.cursor()),
        ):
            yield watched.passed
    finally:
        set_watch(None)


def crash_at_each(
    begin: Callable[[], None],
    work: Callable[[], None],
    check: Callable[[str], None],
    *,
    only: str = "",
) -> set[str]:
    """``begin``: something new to do; ``work``: the worker does it; ``check``: what came of it,
    told the place of the crash, "" for none.

    After a crash another worker does ``work``.  Answers all places that were passed; ``only``: of
    those whose names begin so, where it dies.
    """
    places: set[str] = set()
    for number in count(1):
        assert number < MOST, "it never comes to its end"
        begin()
        died_at = ""
        with dies_at(number, only) as passed:
            try:
                work()
            except Killed as killed:
                died_at = str(killed)
        places |= set(passed)
        if died_at:
            forget()
            work()
        check(died_at)
        if not died_at:
            return places
    raise AssertionError("unreachable")


def forget() -> None:
    """What a worker has in its memory alone."""
    close_connectors()
    shared_runtime.cache_clear()
    forget_profiles()


def serve(*queues: str) -> None:
    """Each queue once for all its clients, as if all pauses had passed and all leases run out."""
    for queue in queues:
        with maintenance_scope():
            rows = Work.objects.filter(queue=queue)
            waiting = rows.exclude(leased_until=None, wanted_at=None).count()
            rows.exclude(leased_until=None).update(leased_until=LONG_AGO)
            rows.exclude(wanted_at=None).update(wanted_at=LONG_AGO)
        for _ in range(waiting):
            serve_one(queue)


def commits_of(module: str) -> set[str]:
    """Functions of this module that open a scope, as failpoints name them."""
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    return {f"{module}.{name}" for name in _committing(tree, "")}


def modules_that_commit() -> set[str]:
    """Of all rooms whose code runs in workers and in ingest."""
    found = set()
    for room in ("api_bridge", "incidents", "seg_bridge", "tenants"):
        for path in (ROOT / room).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            code = path.read_text() if "migrations" not in path.parts else ""
            if "scope(" in code and set(_committing(ast.parse(code), "")):
                found.add(name)
    return found


def _committing(node: ast.AST, inside: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _committing(child, f"{inside}{child.name}.<locals>.")
        elif isinstance(child, ast.ClassDef):
            yield from _committing(child, f"{inside}{child.name}.")
        else:
            if isinstance(child, ast.With) and any(map(_is_scope, child.items)):
                yield inside.removesuffix(".<locals>.")
            yield from _committing(child, inside)


def _is_scope(item: ast.withitem) -> bool:
    if not isinstance(item.context_expr, ast.Call):
        return False
    function = item.context_expr.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    return name in ("work_scope", "tenant_scope", "scope")


def check_passed(
    places: set[str], module: str, *, reads: Collection[str] = (), others: Mapping[str, str] = EMPTY
) -> None:
    """Every function of ``module`` with a transaction was met where that was committed.

    ``reads``: names of those that write nothing; ``others``: of those that the scenario does not
    pass, each with what does or why nothing can be lost there.
    """
    met = {place.rpartition(":")[0] for place in places if place.endswith(":after_commit")}
    missing = {name.removeprefix(f"{module}.") for name in commits_of(module) - met}
    assert missing == {*reads, *others}, f"{module} commits where no worker was killed"
