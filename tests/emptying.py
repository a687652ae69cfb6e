"""Empties the database behind a test that commits.

Django truncates every table there is: PostgreSQL then makes each of them, and each of its indexes,
anew on disk, a third of a second of work behind tests that wrote to ten tables.  Here the rows that
are there are deleted, all in one statement: foreign keys are looked at when it ends.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.test import TransactionTestCase
from psycopg.sql import SQL, Identifier

# What migrating put there; no test writes to these.
KEPT = ("django_migrations", "django_content_type", "auth_permission")
# Nobody's rows, or those of a login: not for whoever sees all clients' rows.
OWNERS = ("auth_group", "auth_group_permissions", "django_session", "tenants_session")


def empty_tables() -> None:
    """Raises what the database raises, so that no row is left unnoticed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> ALL(%s)",
            [[*KEPT, *OWNERS]],
        )
        clients = [name for (name,) in cursor.fetchall()]
        _delete(cursor, OWNERS)
        cursor.execute("SET LOCAL ROLE janitor")
        _delete(cursor, clients)


def _delete(cursor, tables) -> None:
    asked = SQL(" UNION ALL ").join(
        SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(name, Identifier(name))
        for name in tables
    )
    cursor.execute(asked)
    full = [name for (name,) in cursor.fetchall()]
    if full:
        parts = (
            SQL("{} AS (DELETE FROM {})").format(Identifier(f"of_{name}"), Identifier(name))
            for name in full
        )
        cursor.execute(SQL("WITH {} SELECT").format(SQL(", ").join(parts)))


def use_for_tests_that_commit() -> None:
    def teardown(self: TransactionTestCase) -> None:
        empty_tables()

    TransactionTestCase._fixture_teardown = teardown  # type: ignore[attr-defined]
