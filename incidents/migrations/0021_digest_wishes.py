from django.db import migrations, models
from django.db.migrations.operations import RunSQL

from tenants.rls import AddDoor

# As before, and one of the client's people may want a digest sent, three an hour to a mailbox.
CLIENT_WORD = """
DECLARE
    client bigint := nullif(current_setting('app.tenant_ids', true), '')::bigint;
    someone tenants_person;
    fits boolean;
    made uuid := gen_random_uuid();
BEGIN
    SELECT * INTO someone FROM tenants_person
     WHERE id = p_person AND tenant_id = client AND is_active;
    IF someone.id IS NULL OR length(p_text) NOT BETWEEN 1 AND 2000 THEN
        RETURN NULL;
    END IF;
    fits := CASE p_kind
        WHEN 'release' THEN EXISTS (SELECT FROM incidents_delivery
            WHERE id = p_object AND tenant_id = client AND place = 'hold')
        WHEN 'answer' THEN EXISTS (SELECT FROM incidents_incident
            WHERE id = p_object AND tenant_id = client AND shared_at IS NOT NULL)
        WHEN 'digest' THEN EXISTS (SELECT FROM tenants_mailbox
            WHERE id = p_object AND tenant_id = client AND address = p_text AND state <> 'gone')
        ELSE false END;
    IF NOT fits THEN
        RETURN NULL;
    END IF;
    IF p_kind = 'digest' AND 3 <= (SELECT count(*) FROM incidents_clientword
            WHERE tenant_id = client AND kind = 'digest' AND text = p_text
              AND created_at > now() - interval '1 hour') THEN
        RETURN to_jsonb('too_many'::text);
    END IF;
    INSERT INTO incidents_clientword (id, tenant_id, kind, incident_id, delivery_id, text,
            person_id, person_name, created_at, settled_by, outcome)
    VALUES (made, client, p_kind, CASE p_kind WHEN 'answer' THEN p_object END,
            CASE p_kind WHEN 'release' THEN p_object END, p_text,
            someone.id, someone.name, clock_timestamp(), '', '')
    ON CONFLICT DO NOTHING;
    INSERT INTO tenants_auditentry (id, provider_id, tenant_id, at, actor_id, actor_name, action,
            object_kind, object_id, reason, detail)
    VALUES (gen_random_uuid(), someone.provider_id, client, now(), someone.id, someone.name,
            'incidents.client.' || p_kind, CASE p_kind WHEN 'answer' THEN 'incident'
            WHEN 'digest' THEN 'mailbox' ELSE 'delivery' END, p_object::text, p_text, '{}');
    IF p_kind IN ('release', 'digest') THEN
        INSERT INTO tenants_work (id, tenant_id, queue, wanted_at, fence)
        VALUES (gen_random_uuid(), client, CASE p_kind WHEN 'release' THEN 'held' ELSE p_kind END,
                now(), 0)
        ON CONFLICT (tenant_id, queue) DO UPDATE
            SET wanted_at = least(tenants_work.wanted_at, excluded.wanted_at);
    END IF;
    RETURN to_jsonb(made);
END
"""
_SIGNATURE = "door_client_word(p_kind text, p_object uuid, p_person uuid, p_text text)"


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0020_waiting_for_in_the_queue"),
    ]

    operations = [
        migrations.AlterField(
            model_name="clientword",
            name="kind",
            field=models.CharField(
                choices=[
                    ("answer", "Answer"),
                    ("release", "Wish for a release"),
                    ("digest", "Wish for a digest"),
                ],
                max_length=10,
            ),
        ),
        RunSQL(
            [
                "SET LOCAL ROLE janitor",
                "DROP FUNCTION door_client_word(text, uuid, uuid, text)",
                "RESET ROLE",
            ],
            RunSQL.noop,
        ),
        AddDoor(_SIGNATURE, "jsonb", CLIENT_WORD, callers="c_portal"),
    ]
