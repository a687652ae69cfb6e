"""Many rows in one statement, through the wall.

COPY cannot go into a table with row-level security, so rows go into a temporary table first and
from there in one statement to where they belong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection
from psycopg import Cursor

from tenants.scope import current_scope

# As a rule the commit has emptied it: the DELETE is for an earlier call in this transaction, and
# finds nothing at once where a TRUNCATE would make new files.
_MAKE = """
CREATE TEMPORARY TABLE IF NOT EXISTS {scratch} ({columns}) ON COMMIT DELETE ROWS;
DELETE FROM {scratch}
"""


def copy_rows(name: str, columns: str, rows: Iterable[Sequence[Any]]) -> str:
    """Puts ``rows`` into a temporary table of this transaction; answers the table's name.

    ``columns`` are names with types as in CREATE TABLE, always the same ones for a ``name``.
    """
    # Each role has a table of its own: one role may not touch another's temporary table.
    scratch = f"pg_temp.{name}_{current_scope().role}"
    with connection.cursor() as cursor:
        cursor.execute(_MAKE.format(scratch=scratch, columns=columns))
        # Django leaves errors of COPY as they are: callers know its own only.
        with connection.wrap_database_errors, cursor.copy(f"COPY {scratch} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    return scratch


def run(statement: str, arguments: Sequence[Any] | Mapping[str, Any] = ()) -> int:
    """Executes it; answers the number of rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return int(cursor.rowcount)


def fetch(
    statement: str, arguments: Sequence[Any] | Mapping[str, Any] = ()
) -> list[tuple[Any, ...]]:
    """All rows.  They come in the binary format, which spares reading times from text in Python."""
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        return cursor.execute(statement, arguments, binary=True).fetchall()
