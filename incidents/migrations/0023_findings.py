from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    """Health incidents about access and records, which no mail belongs to."""

    dependencies: ClassVar = [
        ("incidents", "0022_release_that_sticks"),
        ("tenants", "0007_domains_and_new_clients"),
    ]
    operations: ClassVar = [
        migrations.AddField(
            model_name="incident",
            name="finding",
            field=models.CharField(blank=True, db_default="", default="", max_length=20),
        ),
        migrations.CreateModel(
            name="Finding",
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
                ("code", models.CharField(max_length=20)),
                ("key", models.CharField(max_length=120)),
                ("words", models.TextField()),
                ("ends_at", models.DateTimeField(null=True)),
                ("since", models.DateTimeField()),
                ("settled_at", models.DateTimeField(null=True)),
                (
                    "incident",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="findings",
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
                "indexes": [models.Index(fields=["tenant", "incident"], name="finding_incident")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("settled_at__isnull", True)),
                        fields=("tenant", "code", "key"),
                        name="finding_stands_once",
                    )
                ],
            },
        ),
        AddTenantForeignKey("incidents_finding", "incident_id", "incidents_incident"),
        AddTenantPolicy("incidents_finding", portal=()),
    ]
