import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    """What both layers let be after a release, and whether it stayed where it was put."""

    dependencies = [
        ("incidents", "0021_digest_wishes"),
        ("tenants", "0007_domains_and_new_clients"),
    ]

    operations = [
        migrations.CreateModel(
            name="AllowedCopy",
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
                ("rule_id", models.UUIDField()),
                ("owner", models.CharField(max_length=200)),
                ("words", models.TextField(blank=True)),
                ("beats_threats", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.CharField(blank=True, max_length=200)),
                (
                    "delivery",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="incidents.delivery",
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
                "indexes": [models.Index(fields=["tenant", "rule_id"], name="allowed_copy_rule")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "delivery", "rule_id"), name="allowed_copy_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ReleaseLook",
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
                ("rule_id", models.UUIDField(null=True)),
                ("released_by_id", models.UUIDField(null=True)),
                ("released_by", models.CharField(max_length=200)),
                ("delivered_at", models.DateTimeField()),
                (
                    "put_in",
                    models.CharField(
                        choices=[
                            ("hold", "Held at the gateway"),
                            ("inbox", "Inbox"),
                            ("junk", "Junk"),
                            ("deleted", "Deleted items"),
                            ("sent", "Sent items"),
                            ("archive", "Archive"),
                            ("other", "Another folder"),
                            ("quarantine", "Removed (quarantine)"),
                            ("gone", "Gone"),
                            ("nowhere", "Never arrived"),
                            ("unknown", "Not yet seen"),
                        ],
                        max_length=12,
                    ),
                ),
                ("due_at", models.DateTimeField()),
                ("fence", models.BigIntegerField(default=0)),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("kept", "Still there"),
                            ("moved", "Moved to another folder"),
                            ("pulled", "Pulled again by Bailey"),
                            ("junked", "In the junk folder"),
                            ("deleted", "Deleted"),
                            ("not_seen", "Not seen in the mailbox"),
                            ("blind", "Nobody could look"),
                            ("no_layer", "No mailbox layer there"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "place",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("hold", "Held at the gateway"),
                            ("inbox", "Inbox"),
                            ("junk", "Junk"),
                            ("deleted", "Deleted items"),
                            ("sent", "Sent items"),
                            ("archive", "Archive"),
                            ("other", "Another folder"),
                            ("quarantine", "Removed (quarantine)"),
                            ("gone", "Gone"),
                            ("nowhere", "Never arrived"),
                            ("unknown", "Not yet seen"),
                        ],
                        max_length=12,
                    ),
                ),
                ("words", models.TextField(blank=True)),
                (
                    "proof",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("bytes", "The original, byte for byte"),
                            ("content", "The same content, written anew on its way"),
                            ("differs", "Not the content of the original"),
                        ],
                        max_length=10,
                    ),
                ),
                ("looked_at", models.DateTimeField(null=True)),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "delivery",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="looks",
                        to="incidents.delivery",
                    ),
                ),
                (
                    "intent",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
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
                        condition=models.Q(("done_at__isnull", True)),
                        fields=["tenant", "due_at"],
                        name="release_look_due",
                    ),
                    models.Index(fields=["tenant", "delivery"], name="release_look_delivery"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "intent"), name="release_look_once")
                ],
            },
        ),
        AddTenantPolicy("incidents_allowedcopy", portal=()),
        AddTenantForeignKey("incidents_allowedcopy", "delivery_id", "incidents_delivery"),
        AddTenantPolicy("incidents_releaselook", portal=()),
        AddTenantForeignKey("incidents_releaselook", "delivery_id", "incidents_delivery"),
        AddTenantForeignKey("incidents_releaselook", "intent_id", "incidents_intent"),
    ]
