from django.db import migrations

from tenants.rls import AddDoor

BODY_ACCESS = """
DECLARE
    client bigint := nullif(current_setting('app.tenant_ids', true), '')::bigint;
    someone tenants_person;
BEGIN
    SELECT * INTO someone FROM tenants_person
     WHERE id = p_person AND tenant_id = client AND is_active;
    IF someone.id IS NULL OR p_allowed IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE tenants_tenant SET body_access_allowed = p_allowed WHERE id = client;
    INSERT INTO tenants_auditentry (id, provider_id, tenant_id, at, actor_id, actor_name, action,
            object_kind, object_id, reason, detail)
    VALUES (gen_random_uuid(), someone.provider_id, client, now(), someone.id, someone.name,
            'tenants.client.body_access', 'client', client::text, p_reason,
            jsonb_build_object('after', p_allowed));
    RETURN to_jsonb(p_allowed);
END
"""


class Migration(migrations.Migration):
    """The client's own switch: whether anybody of the provider may open the content of its mail."""

    dependencies = [
        ("tenants", "0003_audit_behind_the_portal"),
    ]

    operations = [
        AddDoor(
            "door_body_access(p_allowed boolean, p_person uuid, p_reason text)",
            "jsonb",
            BODY_ACCESS,
            callers="c_portal",
        ),
    ]
