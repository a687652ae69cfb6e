import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddProviderPolicy, AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    """One change of a policy for many clients, with a result for each."""

    dependencies = [
        ("seg_bridge", "0005_policies_to_layers"),
        ("tenants", "0004_body_access"),
    ]

    operations = [
        migrations.CreateModel(
            name="PolicyPush",
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
                ("states", models.JSONField(default=dict)),
                ("inherits", models.JSONField(default=list)),
                ("template", models.CharField(blank=True, max_length=100)),
                ("asked_by_id", models.UUIDField(null=True)),
                ("asked_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("approved_by_id", models.UUIDField(null=True)),
                ("approved_by", models.CharField(blank=True, max_length=200)),
                ("approved_at", models.DateTimeField(null=True)),
                ("reason", models.TextField(blank=True)),
                ("despite", models.BooleanField(default=False)),
                ("stopped_by", models.CharField(blank=True, max_length=200)),
                ("stopped_at", models.DateTimeField(null=True)),
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
            name="PolicyPushItem",
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
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting for its rehearsal"),
                            ("rehearsed", "Rehearsed"),
                            ("objected", "The rehearsal objects"),
                            ("made", "Made"),
                            ("unchanged", "Stated so already"),
                            ("failed", "Failed"),
                            ("stopped", "Stopped"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("is_approved", models.BooleanField(default=False)),
                ("cause", models.TextField(blank=True)),
                ("tries", models.PositiveSmallIntegerField(default=1)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "change",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="seg_bridge.policychange",
                    ),
                ),
                (
                    "push",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="seg_bridge.policypush",
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
            model_name="policypush",
            index=models.Index(fields=["provider", "-created_at"], name="policy_push_provider"),
        ),
        migrations.AddConstraint(
            model_name="policypushitem",
            constraint=models.UniqueConstraint(
                fields=("tenant", "push"), name="policy_push_item_once"
            ),
        ),
        AddProviderPolicy("seg_bridge_policypush"),
        AddTenantPolicy("seg_bridge_policypushitem", portal=()),
        AddTenantForeignKey("seg_bridge_policypushitem", "change_id", "seg_bridge_policychange"),
    ]
