"""The database and its logins, as deploy/roles.sql says; for a server that we started ourselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

ROLES_FILE = Path(__file__).resolve().parents[2] / "deploy" / "roles.sql"
# psql's way to quote a variable as a text: :'name'
_VARIABLE = re.compile(r":'([a-z_]+)'")

OWNER = "bailey_owner"
LOGINS = (OWNER, "bailey_console", "bailey_portal", "bailey_worker")


def fill_variables(text: str, values: Mapping[str, str]) -> sql.Composed:
    """The SQL with every :'name' replaced by its value as a quoted literal.

    Raises KeyError when the file asks for a variable that is not given.
    """
    parts: list[sql.Composable] = []
    place = 0
    for found in _VARIABLE.finditer(text):
        parts += [sql.SQL(text[place : found.start()]), sql.Literal(values[found[1]])]
        place = found.end()
    parts.append(sql.SQL(text[place:]))
    return sql.Composed(parts)


def ensure_roles(superuser_url: str, passwords: Mapping[str, str]) -> None:
    """Run deploy/roles.sql, which may be run again and again.

    `passwords` by login name; the file knows each as :'<login>_password'.
    """
    values = {f"{login}_password": password for login, password in passwords.items()}
    statements = fill_variables(ROLES_FILE.read_text(encoding="utf-8"), values)
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(statements)


def ensure_database(superuser_url: str, name: str) -> bool:
    """Make the database, owned by the migrator; True when it was made."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if known.fetchone():
            return False
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(OWNER)
            )
        )
    # Before PostgreSQL 16 the owner of a database who is NOINHERIT has no right on its schema.
    with psycopg.connect(superuser_url, dbname=name, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(OWNER)))
    return True
