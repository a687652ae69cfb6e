from django.db import migrations, models

from tenants.rls import AddDoor

NEW_CLIENT = """
DECLARE
    someone tenants_person;
    made bigint;
BEGIN
    SELECT * INTO someone FROM tenants_person
     WHERE id = p_person AND is_active AND role = 'lead'
       AND provider_id = nullif(current_setting('app.provider_id', true), '')::bigint;
    IF someone.id IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO tenants_tenant (provider_id, slug, name, time_zone, contact_name, contact_phone,
            contact_email, contact_hours, contact_language, body_access_allowed, shares_warnings,
            data_key, created_at)
    VALUES (someone.provider_id, p_slug, p_name, p_time_zone, '', '', '', '', '', true, true,
            p_data_key, now())
    ON CONFLICT (slug) DO NOTHING RETURNING id INTO made;
    IF made IS NULL THEN
        RETURN jsonb_build_object('is_taken', true);
    END IF;
    INSERT INTO tenants_auditentry (id, provider_id, tenant_id, at, actor_id, actor_name, action,
            object_kind, object_id, reason, detail)
    VALUES (gen_random_uuid(), someone.provider_id, made, now(), someone.id, someone.name,
            'tenants.client.created', 'client', made::text, '',
            jsonb_build_object('name', p_name, 'slug', p_slug));
    RETURN jsonb_build_object('is_taken', false, 'tenant_id', made);
END
"""


class Migration(migrations.Migration):
    """A domain's backup host, TLS and who knows its recipients; a lead makes a client."""

    dependencies = [
        ("tenants", "0006_outbox"),
    ]

    operations = [
        migrations.AddField(
            "domain",
            "backup_hop_host",
            models.CharField(blank=True, default="", max_length=255),
            preserve_default=False,
        ),
        migrations.AddField("domain", "backup_hop_port", models.PositiveIntegerField(default=25)),
        migrations.AddField(
            "domain",
            "hop_tls",
            models.CharField(
                choices=[
                    ("may", "Where the mail host offers it"),
                    ("must", "Always: no mail goes without"),
                    ("verify", "Always, with a certificate that is good for the host's name"),
                ],
                default="may",
                max_length=10,
            ),
        ),
        migrations.AddField("domain", "asks_hop", models.BooleanField(default=False)),
        AddDoor(
            "door_new_client(p_person uuid, p_slug text, p_name text, p_time_zone text,"
            " p_data_key bytea)",
            "jsonb",
            NEW_CLIENT,
            callers="c_analyst",
        ),
    ]
