import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    """Outbound mail: a client's terms, logins, signing keys, and senders that were stopped."""

    dependencies = [
        ("incidents", "0018_found_by_its_way"),
        ("seg_bridge", "0013_queues"),
        ("tenants", "0005_client_groups"),
    ]

    operations = [
        migrations.AddField(
            model_name="gatecommand",
            name="direction",
            field=models.CharField(
                choices=[
                    ("inbound", "inbound"),
                    ("internal", "internal"),
                    ("outbound", "outbound"),
                ],
                db_default="inbound",
                default="inbound",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="gatecommand",
            name="kind",
            field=models.CharField(
                choices=[
                    ("release", "Release held mail"),
                    ("drop", "Drop held mail"),
                    ("lift", "Let a stopped sender send again"),
                ],
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="OutboundTerms",
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
                ("is_on", models.BooleanField(default=True)),
                ("next_hop_host", models.CharField(blank=True, max_length=255)),
                ("next_hop_port", models.PositiveIntegerField(default=25)),
                ("hosts", models.JSONField(default=list)),
                ("messages_per_hour", models.PositiveIntegerField(default=100)),
                ("recipients_per_hour", models.PositiveIntegerField(default=500)),
                ("stop_threats", models.PositiveSmallIntegerField(default=5)),
                ("stop_minutes", models.PositiveSmallIntegerField(default=10)),
                ("stop_refusals", models.PositiveSmallIntegerField(default=50)),
                ("changed_by", models.CharField(max_length=200)),
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
                "constraints": [
                    models.UniqueConstraint(fields=("tenant",), name="outbound_terms_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="SenderStop",
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
                ("stop_ulid", models.CharField(max_length=26)),
                ("gate_name", models.CharField(max_length=100)),
                ("mailbox", models.CharField(max_length=320)),
                (
                    "cause",
                    models.CharField(
                        choices=[
                            ("threats", "Its mails were held to be threats"),
                            ("limits", "It sent more than it may"),
                        ],
                        max_length=10,
                    ),
                ),
                ("words", models.CharField(max_length=300)),
                ("evidence", models.JSONField(default=list)),
                ("stopped_at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                ("lifted_at", models.DateTimeField(null=True)),
                ("lifted_by", models.CharField(blank=True, max_length=200)),
                ("lift_reason", models.TextField(blank=True)),
                (
                    "incident",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="sender_stops",
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
                    models.Index(fields=["tenant", "-stopped_at"], name="sender_stop_tenant")
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "stop_ulid"), name="sender_stop_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="SigningKey",
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
                ("selector", models.CharField(max_length=63)),
                ("sealed_private", models.BinaryField()),
                ("public", models.TextField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting for its DNS record"),
                            ("signing", "Signing"),
                            ("retired", "Retired"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("check_wanted_at", models.DateTimeField(null=True)),
                ("checked_at", models.DateTimeField(null=True)),
                ("check_words", models.CharField(blank=True, max_length=300)),
                (
                    "domain",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.domain",
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
                    models.UniqueConstraint(
                        fields=("tenant", "domain", "selector"), name="signing_key_once"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "signing")),
                        fields=("tenant", "domain"),
                        name="signing_key_one_signs",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SubmissionLogin",
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
                ("name", models.CharField(max_length=80)),
                ("purpose", models.CharField(max_length=200)),
                ("hashed", models.CharField(max_length=200)),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_by", models.CharField(blank=True, max_length=200)),
                ("ended_at", models.DateTimeField(null=True)),
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
                    models.UniqueConstraint(fields=("tenant", "name"), name="submission_login_once")
                ],
            },
        ),
        AddTenantPolicy("seg_bridge_outboundterms", portal=()),
        AddTenantPolicy("seg_bridge_submissionlogin", portal=()),
        AddTenantPolicy("seg_bridge_signingkey", portal=()),
        AddTenantForeignKey("seg_bridge_signingkey", "domain_id", "tenants_domain"),
        AddTenantPolicy("seg_bridge_senderstop", portal=()),
        AddTenantForeignKey("seg_bridge_senderstop", "incident_id", "incidents_incident"),
    ]
