"""What a test commits is gone before the next one."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from tenants.models import Session, Tenant
from tenants.scope import maintenance_scope
from tests.emptying import KEPT, OWNERS, empty_tables
from tests.factories import Cast


def full_tables() -> set[str]:
    with transaction.atomic(), connection.cursor() as cursor:
        # Partitions are reached through their tables only.
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        names = {name for (name,) in cursor.fetchall()} - set(KEPT)
        found = {name for name in OWNERS if _has_rows(cursor, name)}
        cursor.execute("SET LOCAL ROLE janitor")
        return found | {name for name in names - set(OWNERS) if _has_rows(cursor, name)}


def _has_rows(cursor, name: str) -> bool:
    cursor.execute(f'SELECT EXISTS (SELECT FROM "{name}")')
    return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_no_row_is_left(transactional_cast: Cast) -> None:
    Session.objects.create(
        session_key="k", session_data="", expire_date="2030-01-01T00:00:00Z", surface="console"
    )
    full = full_tables()
    assert {"tenants_tenant", "tenants_person", "tenants_assignment", "tenants_session"} <= full
    empty_tables()
    assert full_tables() == set()
    with maintenance_scope():
        assert not Tenant.objects.exists()
