"""Intake looks the client up once, not for every message and every count.

Both are made of observations, which have no key to the client either: the table of work has it.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations import RunSQL

LOOKED_UP = (
    ("incidents_message", "incidents_message_tenant_id_e98a8168_fk_tenants_tenant_id"),
    ("incidents_traitcount", "incidents_traitcount_tenant_id_d46797a5_fk_tenants_tenant_id"),
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("incidents", "0015_warnings_name_nobody")]
    operations: ClassVar = [
        RunSQL(
            f"ALTER TABLE {table} DROP CONSTRAINT {name}",
            f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (tenant_id)"
            " REFERENCES tenants_tenant (id) DEFERRABLE INITIALLY DEFERRED",
        )
        for table, name in LOOKED_UP
    ]
