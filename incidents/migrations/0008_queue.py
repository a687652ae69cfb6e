"""What the queue orders by, answers that were seen, and orders over several clients."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddDoor, AddTenantForeignKey, AddTenantPolicy

# The portal's role writes nothing itself: this door takes a client's word, about a held mail of its
# own or about a shared incident, from somebody who may sign in to its portal.
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
        ELSE false END;
    IF NOT fits THEN
        RETURN NULL;
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
            ELSE 'delivery' END, p_object::text, p_text, '{}');
    RETURN to_jsonb(made);
END
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("incidents", "0007_work")]
    operations: ClassVar = [
        migrations.AddField(
            model_name="incident",
            name="queue_rank",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="delivery", name="replied_at", field=models.DateTimeField(null=True)
        ),
        migrations.AddField(model_name="job", name="group_id", field=models.UUIDField(null=True)),
        migrations.AlterField(
            model_name="job",
            name="kind",
            field=models.CharField(
                choices=[
                    ("pull", "Pull from mailboxes"),
                    ("restore", "Restore to mailboxes"),
                    ("release", "Release held mail"),
                    ("block", "Block at the gateway"),
                    ("report", "Make a report"),
                    ("acquire", "Fetch the original"),
                    ("replay", "Replay mail"),
                    ("look", "Look again"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("group_id__isnull", False)),
                fields=["group_id"],
                name="job_group",
            ),
        ),
        migrations.RemoveIndex(model_name="incident", name="incident_open_queue"),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("state", "resolved"), _negated=True),
                fields=["-queue_rank", "due_at", "opened_at", "id"],
                include=(
                    *("tenant", "owner_id", "state", "waiting_since", "quiet", "quiet_until"),
                    *("severity", "kind"),
                ),
                name="incident_open_queue",
            ),
        ),
        migrations.CreateModel(
            name="ClientWord",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenants.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("answer", "Answer"), ("release", "Wish for a release")],
                        max_length=10,
                    ),
                ),
                ("text", models.TextField()),
                ("person_id", models.UUIDField()),
                ("person_name", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("settled_at", models.DateTimeField(null=True)),
                ("settled_by", models.CharField(blank=True, max_length=200)),
                ("outcome", models.CharField(blank=True, max_length=300)),
                (
                    "delivery",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="client_words",
                        to="incidents.delivery",
                    ),
                ),
                (
                    "incident",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="client_words",
                        to="incidents.incident",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["tenant", "incident"], name="client_word_incident"),
                    models.Index(
                        condition=models.Q(("settled_at", None)),
                        fields=["tenant", "-created_at"],
                        name="client_word_open",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "release"), ("settled_at", None)),
                        fields=("tenant", "delivery"),
                        name="one_wish_at_a_time",
                    )
                ],
            },
        ),
        AddTenantPolicy("incidents_clientword"),
        AddTenantForeignKey("incidents_clientword", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_clientword", "delivery_id", "incidents_delivery"),
        AddDoor(
            "door_client_word(p_kind text, p_object uuid, p_person uuid, p_text text)",
            "jsonb",
            CLIENT_WORD,
            callers="c_portal",
        ),
    ]
