"""Many rows in one statement, through the wall, which lets no COPY into a client's table.

Rows go beside the statement as one list for each column.  Lists want ``%b`` as their placeholder:
psycopg writes them out in the binary format in a sixth of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection
from psycopg import Cursor


def with_rows(statement: str, of: str, **parts: str) -> str:
    """The statement with its ``{rows}`` made rows ``s`` that ``by_column`` gives.

    ``of`` names their columns with types, as in CREATE TABLE; ``parts`` fill its other braces.
    """
    names, types = zip(*(each.split() for each in of.split(",")), strict=True)
    lists = ", ".join(f"%b::{kind}[]" for kind in types)
    return statement.format(rows=f"unnest({lists}) AS s ({', '.join(names)})", **parts)


def by_column(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """A list for each column; [] where there is no row."""
    return [list(column) for column in zip(*rows, strict=True)]


def run(statement: str, arguments: Sequence[Any] | Mapping[str, Any] = ()) -> int:
    """Executes it; answers the number of rows, -1 inside of ``without_waiting``."""
    with _cursor() as cursor:
        return cursor.execute(statement, arguments).rowcount


def fetch(
    statement: str, arguments: Sequence[Any] | Mapping[str, Any] = ()
) -> list[tuple[Any, ...]]:
    """All rows.  They come in the binary format, which spares reading times from text in Python."""
    with _cursor() as cursor:
        return cursor.execute(statement, arguments, binary=True).fetchall()


@contextmanager
def without_waiting() -> Iterator[None]:
    """What is ``run`` inside is sent and not waited for: the server writes while we go on.

    An error of any of it is raised at the end at the latest; then nothing of it was done.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


@contextmanager
def _cursor() -> Iterator[Cursor[Any]]:
    """Its parameters go beside the statement; Django's cursor writes them into it."""
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        yield cursor
