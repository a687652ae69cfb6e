import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations import RunSQL

import tenants.ids
from tenants.rls import (
    AddDoor,
    AddProviderPolicy,
    AddTenantForeignKey,
    AddTenantPolicy,
)


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("incidents", "0001_initial"),
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Gate",
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
                ("name", models.SlugField(unique=True)),
                ("hostname", models.CharField(max_length=255)),
                ("sealed_secret", models.BinaryField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("last_seen_at", models.DateTimeField(null=True)),
                ("snapshot_version", models.CharField(blank=True, max_length=64)),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.provider",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="GateClient",
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
                    "gate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="seg_bridge.gate",
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
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "gate"), name="gate_client_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="GateCommand",
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
                ("seq", models.BigIntegerField(unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[("release", "Release held mail"), ("drop", "Drop held mail")],
                        max_length=10,
                    ),
                ),
                ("trace_ulid", models.CharField(max_length=26)),
                ("recipients", models.JSONField(default=list)),
                ("evidence", models.CharField(max_length=64)),
                ("released_by", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("done_at", models.DateTimeField(null=True)),
                ("ok", models.BooleanField(null=True)),
                ("detail", models.TextField(blank=True)),
                (
                    "gate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="seg_bridge.gate",
                    ),
                ),
                (
                    "intent",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="incidents.intent",
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
                    models.Index(
                        condition=models.Q(("ok__isnull", True)),
                        fields=["tenant", "gate", "seq"],
                        name="command_waiting",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GatewayRule",
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
                        choices=[("allow", "Allow"), ("block", "Block")], max_length=10
                    ),
                ),
                (
                    "match",
                    models.CharField(
                        choices=[
                            ("sender", "Sender"),
                            ("sender_domain", "Sender's domain"),
                            ("client_ip", "Sending host"),
                            ("url_host", "Host of a link"),
                            ("attachment_sha256", "Attachment"),
                        ],
                        max_length=20,
                    ),
                ),
                ("value", models.CharField(max_length=320)),
                ("recipient", models.CharField(blank=True, max_length=320)),
                ("action", models.CharField(default="hold", max_length=10)),
                ("beats_threats", models.BooleanField(default=False)),
                ("owner_id", models.UUIDField(null=True)),
                ("owner_name", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("removed_at", models.DateTimeField(null=True)),
                (
                    "incident",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="gateway_rules",
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
                    models.Index(
                        condition=models.Q(("removed_at__isnull", True)),
                        fields=["tenant", "kind", "value"],
                        name="rule_in_force",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Policy",
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
                ("matrix", models.JSONField(default=dict)),
                ("act_from", models.FloatField(default=6.0)),
                ("on_not_scanned", models.CharField(default="defer", max_length=10)),
                ("keep_original", models.JSONField(default=list)),
                ("mark_subject", models.CharField(blank=True, max_length=50)),
                ("changed_at", models.DateTimeField(auto_now=True)),
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
                "constraints": [models.UniqueConstraint(fields=("tenant",), name="policy_once")],
            },
        ),
        AddProviderPolicy("seg_bridge_gate"),
        AddTenantPolicy("seg_bridge_gateclient", portal=()),
        AddTenantPolicy("seg_bridge_policy"),
        AddTenantPolicy("seg_bridge_gatewayrule"),
        AddTenantPolicy("seg_bridge_gatecommand", portal=()),
        AddTenantForeignKey("seg_bridge_gatewayrule", "incident_id", "incidents_incident"),
        AddTenantForeignKey("seg_bridge_gatecommand", "intent_id", "incidents_intent"),
        RunSQL(
            "CREATE SEQUENCE seg_bridge_command_seq;"
            " GRANT USAGE ON SEQUENCE seg_bridge_command_seq TO c_analyst, c_worker",
            "DROP SEQUENCE seg_bridge_command_seq",
        ),
        AddDoor(
            "door_gate(p_name text)",
            "jsonb",
            """
DECLARE
    gate seg_bridge_gate;
BEGIN
    SELECT * INTO gate FROM seg_bridge_gate WHERE name = p_name;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN jsonb_build_object(
        'gate_id', gate.id, 'provider_id', gate.provider_id, 'name', gate.name,
        'hostname', gate.hostname, 'sealed_secret', encode(gate.sealed_secret, 'hex'),
        'tenant_ids', (SELECT coalesce(jsonb_agg(tenant_id ORDER BY tenant_id), '[]'::jsonb)
                         FROM seg_bridge_gateclient WHERE gate_id = gate.id));
END
""",
            callers="bailey_worker",
        ),
    ]
