"""Migration operations that put a table behind the wall, each in its table's own migration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.migrations.operations import RunSQL

_IDS = (
    "(SELECT string_to_array(nullif(current_setting('app.tenant_ids', true), ''), ',')::bigint[])"
)
_ONE = "(SELECT nullif(current_setting('app.tenant_ids', true), '')::bigint)"
_PROVIDER = "(SELECT nullif(current_setting('app.provider_id', true), '')::bigint)"
_SCOPES = "c_analyst, c_portal, c_worker"


def _enable(table: str) -> list[str]:
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
    ]


def _policy(table: str, name: str, kind: str, roles: str, predicate: str) -> str:
    return (
        f"CREATE POLICY {name} ON {table} AS {kind} FOR ALL TO {roles}"
        f" USING ({predicate}) WITH CHECK ({predicate})"
    )


def _grants(table: str, staff: Sequence[str], portal: Sequence[str]) -> list[str]:
    return [
        f"REVOKE ALL ON {table} FROM PUBLIC",
        f"GRANT {', '.join(staff)} ON {table} TO c_analyst, c_worker",
        *([f"GRANT {', '.join(portal)} ON {table} TO c_portal"] if portal else []),
        f"GRANT ALL ON {table} TO janitor",
    ]


ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")
APPEND_ONLY = ("SELECT", "INSERT")
READ = ("SELECT",)


class AddTenantPolicy(RunSQL):
    """Row-level security for a table of clients' rows.

    ``staff`` and ``portal`` are the rights of analysts and workers, and of the portal.  With
    ``provider_column`` rows without a client belong to the provider's staff.
    """

    def __init__(
        self,
        table: str,
        *,
        column: str = "tenant_id",
        provider_column: str = "",
        staff: Sequence[str] = ALL,
        portal: Sequence[str] = READ,
    ) -> None:
        predicate = f"{column} = ANY({_IDS}::bigint[])"
        if provider_column:
            predicate += f" OR ({column} IS NULL AND {provider_column} = {_PROVIDER})"
        super().__init__(
            [
                *_enable(table),
                _policy(table, "tenant_scope", "PERMISSIVE", _SCOPES, predicate),
                _policy(table, "portal_one", "RESTRICTIVE", "c_portal", f"{column} = {_ONE}"),
                *_grants(table, staff, portal),
            ],
            [f"DROP POLICY tenant_scope ON {table}", f"DROP POLICY portal_one ON {table}"],
        )


class AddPortalSees(RunSQL):
    """Beyond its own client the portal reads only the rows of this predicate, and writes none."""

    def __init__(self, table: str, predicate: str) -> None:
        super().__init__(
            f"CREATE POLICY portal_sees ON {table} AS RESTRICTIVE FOR ALL TO c_portal"
            f" USING ({predicate}) WITH CHECK (false)",
            f"DROP POLICY portal_sees ON {table}",
        )


class AddProviderPolicy(RunSQL):
    """Row-level security for a table of the provider's own rows; the portal sees none of them."""

    def __init__(
        self, table: str, *, column: str = "provider_id", staff: Sequence[str] = ALL
    ) -> None:
        super().__init__(
            [
                *_enable(table),
                _policy(
                    table,
                    "provider_scope",
                    "PERMISSIVE",
                    "c_analyst, c_worker",
                    f"{column} = {_PROVIDER}",
                ),
                f"REVOKE ALL ON {table} FROM PUBLIC",
                f"GRANT {', '.join(staff)} ON {table} TO c_analyst, c_worker",
                f"GRANT ALL ON {table} TO janitor",
            ],
            [f"DROP POLICY provider_scope ON {table}"],
        )


class AddTenantForeignKey(RunSQL):
    """A composite foreign key: a row can only point at a row of its own client.

    Django knows no such keys: the field carries ``db_constraint=False`` and this is the constraint.
    Foreign-key checks skip row-level security, so a plain key would accept another client's row.
    """

    def __init__(self, table: str, column: str, target: str) -> None:
        unique, name = f"{target}_tenant_id_id", f"{table}_{column}_tenant"
        super().__init__(
            [
                "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname ="
                f" '{unique}') THEN ALTER TABLE {target} ADD CONSTRAINT {unique}"
                " UNIQUE (tenant_id, id); END IF; END $$",
                f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (tenant_id, {column})"
                f" REFERENCES {target} (tenant_id, id) DEFERRABLE INITIALLY DEFERRED",
            ],
            [f"ALTER TABLE {table} DROP CONSTRAINT {name}"],
        )


class AddDoor(RunSQL):
    """A SECURITY DEFINER function that answers one question before a scope exists.

    Owned by ``janitor`` with a pinned search path; only the named logins may call it.  Rights are
    given as janitor: the owner of the tables does not inherit it, and what somebody else revokes or
    grants is no more than a warning.
    """

    def __init__(self, signature: str, returns: str, body: str, *, callers: str) -> None:
        super().__init__(
            [
                f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE plpgsql SECURITY DEFINER"
                f" SET search_path = public, pg_temp AS $door$ {body} $door$",
                f"ALTER FUNCTION {signature} OWNER TO janitor",
                "SET LOCAL ROLE janitor",
                f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
                f"GRANT EXECUTE ON FUNCTION {signature} TO {callers}, bailey_owner",
                "RESET ROLE",
            ],
            [f"DROP FUNCTION {signature}"],
        )


class ReplaceDoor(RunSQL):
    """Another body for a door that is there; who may call it stays.  It is not taken back."""

    def __init__(self, signature: str, returns: str, body: str) -> None:
        super().__init__(
            [
                "SET LOCAL ROLE janitor",
                f"CREATE OR REPLACE FUNCTION {signature} RETURNS {returns} LANGUAGE plpgsql"
                f" SECURITY DEFINER SET search_path = public, pg_temp AS $door$ {body} $door$",
                "RESET ROLE",
            ],
            RunSQL.noop,
        )


class AddSessionPolicy(RunSQL):
    """Sessions carry no client: each surface's login sees its own surface's rows and no others."""

    def __init__(self, table: str) -> None:
        statements: list[Any] = [*_enable(table), f"REVOKE ALL ON {table} FROM PUBLIC"]
        for login, predicate in (
            ("bailey_console", "surface = 'console'"),
            ("bailey_portal", "surface = 'portal'"),
            ("bailey_owner", "true"),
        ):
            statements += [
                _policy(table, f"sessions_{login}", "PERMISSIVE", login, predicate),
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {login}",
            ]
        super().__init__(statements, RunSQL.noop)
