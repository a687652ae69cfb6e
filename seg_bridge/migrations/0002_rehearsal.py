import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    dependencies = [
        ("seg_bridge", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Rehearsal",
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
                ("batch", models.UUIDField()),
                ("change", models.JSONField()),
                ("days", models.PositiveSmallIntegerField()),
                ("since", models.DateTimeField()),
                ("counts", models.JSONField(default=dict)),
                ("lists", models.JSONField(default=dict)),
                ("stops", models.JSONField(default=list)),
                ("asked_by_id", models.UUIDField(null=True)),
                ("asked_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("saved_at", models.DateTimeField(null=True)),
                ("saved_by", models.CharField(blank=True, max_length=200)),
                (
                    "rule",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="seg_bridge.gatewayrule",
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
                    models.Index(fields=["tenant", "batch"], name="rehearsal_batch"),
                    models.Index(fields=["tenant", "-created_at"], name="rehearsal_tenant_created"),
                ],
            },
        ),
        AddTenantPolicy("seg_bridge_rehearsal", portal=()),
        AddTenantForeignKey("seg_bridge_rehearsal", "rule_id", "seg_bridge_gatewayrule"),
    ]
