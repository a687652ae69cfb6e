"""What a client's readers download stands in the audit log, as what staff do."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from tenants.rls import AddDoor

DOWNLOADED = """
DECLARE
    client bigint := nullif(current_setting('app.tenant_ids', true), '')::bigint;
    someone tenants_person;
    is_hers boolean;
BEGIN
    SELECT * INTO someone FROM tenants_person
     WHERE id = p_person AND tenant_id = client AND is_active;
    is_hers := CASE p_kind
        WHEN 'report' THEN EXISTS (
            SELECT FROM incidents_report
             WHERE tenant_id = client AND id = p_object AND audience = 'client')
        WHEN 'attachment' THEN EXISTS (
            SELECT FROM incidents_attachment a
            JOIN incidents_comment c ON c.tenant_id = a.tenant_id AND c.id = a.comment_id
             WHERE a.tenant_id = client AND a.id = p_object AND c.audience = 'client')
        ELSE false END;
    IF someone.id IS NULL OR NOT is_hers THEN
        RETURN NULL;
    END IF;
    INSERT INTO tenants_auditentry (id, provider_id, tenant_id, at, actor_id, actor_name, action,
            object_kind, object_id, reason, detail)
    VALUES (gen_random_uuid(), someone.provider_id, client, now(), someone.id, someone.name,
            'incidents.' || p_kind || '.downloaded', p_kind, p_object::text, '',
            jsonb_build_object('name', left(p_name, 300), 'sha256', left(p_sha256, 64)));
    RETURN to_jsonb(true);
END
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("incidents", "0024_user_reports"),
        ("tenants", "0004_body_access"),
    ]

    operations: ClassVar = [
        AddDoor(
            "door_downloaded(p_kind text, p_object uuid, p_person uuid, p_name text,"
            " p_sha256 text)",
            "jsonb",
            DOWNLOADED,
            callers="c_portal",
        ),
    ]
