"""A database that is older than what was done from it hands out no work."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.rls import AddDoor, ReplaceDoor

# One row, without anybody's data, made by the first who ticks: a copy of an empty database is another installation.
TABLE = """
CREATE TABLE tenants_installation (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    tick bigint NOT NULL DEFAULT 0,
    stands_since timestamptz,
    why text NOT NULL DEFAULT '',
    commands bigint NOT NULL DEFAULT 0
)
"""
_AS_JSON = "jsonb_build_object('id', id, 'tick', tick, 'stands_since', stands_since, 'why', why)"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0008_mailbox_groups")]

    operations: ClassVar = [
        RunSQL(TABLE, "DROP TABLE tenants_installation"),
        RunSQL(
            [
                "ALTER TABLE tenants_installation ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE tenants_installation FORCE ROW LEVEL SECURITY",
                "REVOKE ALL ON tenants_installation FROM PUBLIC",
                "GRANT ALL ON tenants_installation TO janitor",
            ],
            RunSQL.noop,
        ),
        AddDoor(
            "door_installation()",
            "jsonb",
            f"BEGIN RETURN (SELECT {_AS_JSON} FROM tenants_installation); END",
            callers="bailey_worker, bailey_console",
        ),
        AddDoor(
            "door_tick(p_seen bigint)",
            "jsonb",
            f"""
DECLARE
    one tenants_installation;
BEGIN
    -- A server that is killed may lose what was not waited for: it must not lose what was told.
    PERFORM set_config('synchronous_commit', 'on', true);
    INSERT INTO tenants_installation DEFAULT VALUES ON CONFLICT DO NOTHING;
    SELECT * INTO one FROM tenants_installation FOR UPDATE;
    IF one.stands_since IS NULL THEN
        IF p_seen > one.tick THEN
            UPDATE tenants_installation SET stands_since = now(), why = 'older';
        ELSIF p_seen IS NULL AND one.tick > 0 THEN
            UPDATE tenants_installation SET stands_since = now(), why = 'unseen';
        ELSE
            UPDATE tenants_installation SET tick = tick + 1;
        END IF;
    END IF;
    RETURN (SELECT {_AS_JSON} FROM tenants_installation);
END
""",
            callers="bailey_worker",
        ),
        AddDoor(
            "door_gate_is_ahead(p_command bigint)",
            "jsonb",
            """
BEGIN
    INSERT INTO tenants_installation DEFAULT VALUES ON CONFLICT DO NOTHING;
    UPDATE tenants_installation
       SET stands_since = coalesce(stands_since, now()), why = 'older',
           commands = greatest(commands, p_command);
    RETURN NULL;
END
""",
            callers="bailey_worker",
        ),
        ReplaceDoor(
            "door_claim_work(p_queue text, p_lease_s integer)",
            "jsonb",
            """
DECLARE
    claimed tenants_work;
BEGIN
    SELECT * INTO claimed FROM tenants_work
     WHERE queue = p_queue
       AND ((wanted_at <= now() AND leased_until IS NULL) OR leased_until < now())
       AND NOT EXISTS (SELECT FROM tenants_installation WHERE stands_since IS NOT NULL)
     ORDER BY served_at NULLS FIRST
     LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE tenants_work
       SET wanted_at = NULL, served_at = now(), fence = fence + 1,
           leased_until = now() + make_interval(secs => p_lease_s)
     WHERE id = claimed.id;
    RETURN jsonb_build_object(
        'tenant_id', claimed.tenant_id, 'fence', claimed.fence + 1,
        'provider_id', (SELECT provider_id FROM tenants_tenant WHERE id = claimed.tenant_id));
END
""",
        ),
    ]
