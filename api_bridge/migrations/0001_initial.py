import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import (
    AddDoor,
    AddTenantForeignKey,
    AddTenantPolicy,
)


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Connection",
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
                        choices=[("graph", "Microsoft 365")], default="graph", max_length=10
                    ),
                ),
                ("cloud_tenant_id", models.CharField(max_length=64, unique=True)),
                ("client_id", models.CharField(max_length=64)),
                ("sealed_secret", models.BinaryField(default=bytes)),
                ("sealed_certificate", models.BinaryField(default=bytes)),
                ("authority_url", models.URLField()),
                ("graph_url", models.URLField()),
                ("ca_file", models.CharField(blank=True, max_length=500)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "Connected"),
                            ("needs_consent", "Consent is missing"),
                            ("credentials_expired", "Secret or certificate is not accepted"),
                            ("gone", "The cloud tenant does not exist"),
                        ],
                        default="active",
                        max_length=20,
                    ),
                ),
                ("blind_since", models.DateTimeField(null=True)),
                ("last_ok_at", models.DateTimeField(null=True)),
                ("last_error", models.TextField(blank=True)),
                ("mailboxes_listed_at", models.DateTimeField(null=True)),
                (
                    "quarantine_folder",
                    models.CharField(default="Bailey Quarantine", max_length=100),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
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
            },
        ),
        migrations.CreateModel(
            name="Correspondent",
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
                ("sender", models.CharField(max_length=320)),
                ("recipient", models.CharField(blank=True, max_length=320)),
                ("mails", models.PositiveIntegerField(default=0)),
                ("replies", models.PositiveIntegerField(default=0)),
                ("features", models.JSONField(default=dict)),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
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
            },
        ),
        migrations.CreateModel(
            name="MailboxSync",
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
                ("cursor", models.JSONField(default=dict)),
                ("dirty_at", models.DateTimeField(null=True)),
                ("synced_at", models.DateTimeField(null=True)),
                ("due_at", models.DateTimeField()),
                ("failures", models.PositiveIntegerField(default=0)),
                ("last_error", models.TextField(blank=True)),
                ("push_id", models.CharField(blank=True, max_length=100)),
                ("sealed_client_state", models.BinaryField(default=bytes)),
                ("push_expires_at", models.DateTimeField(null=True)),
                (
                    "connection",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="api_bridge.connection",
                    ),
                ),
                (
                    "mailbox",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.mailbox",
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
            },
        ),
        migrations.CreateModel(
            name="SeenItem",
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
                ("item_id", models.CharField(max_length=500)),
                ("place", models.CharField(max_length=12)),
                ("is_read", models.BooleanField()),
                ("received_at", models.DateTimeField()),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                (
                    "mailbox",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.mailbox",
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
            },
        ),
        migrations.AddIndex(
            model_name="connection",
            index=models.Index(fields=["tenant", "kind"], name="connection_tenant"),
        ),
        migrations.AddConstraint(
            model_name="correspondent",
            constraint=models.UniqueConstraint(
                fields=("tenant", "sender", "recipient"), name="correspondent_once"
            ),
        ),
        migrations.AddIndex(
            model_name="mailboxsync",
            index=models.Index(fields=["tenant", "due_at"], name="sync_due"),
        ),
        migrations.AddConstraint(
            model_name="mailboxsync",
            constraint=models.UniqueConstraint(fields=("tenant", "mailbox"), name="sync_once"),
        ),
        migrations.AddConstraint(
            model_name="mailboxsync",
            constraint=models.UniqueConstraint(
                condition=models.Q(("push_id", ""), _negated=True),
                fields=("push_id",),
                name="push_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="seenitem",
            constraint=models.UniqueConstraint(
                fields=("tenant", "mailbox", "item_id"), name="item_once"
            ),
        ),
        AddTenantPolicy("api_bridge_connection"),
        AddTenantPolicy("api_bridge_mailboxsync", portal=()),
        AddTenantPolicy("api_bridge_seenitem", portal=()),
        AddTenantPolicy("api_bridge_correspondent", portal=()),
        AddTenantForeignKey("api_bridge_mailboxsync", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("api_bridge_mailboxsync", "connection_id", "api_bridge_connection"),
        AddTenantForeignKey("api_bridge_seenitem", "mailbox_id", "tenants_mailbox"),
        AddDoor(
            "door_push(p_push_id text)",
            "jsonb",
            """
BEGIN
    RETURN (SELECT jsonb_build_object(
                'tenant_id', tenant_id, 'sync_id', id,
                'sealed_client_state', encode(sealed_client_state, 'hex'))
              FROM api_bridge_mailboxsync WHERE push_id = p_push_id AND p_push_id <> '');
END
""",
            callers="bailey_worker",
        ),
    ]
