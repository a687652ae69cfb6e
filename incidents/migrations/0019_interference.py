"""Where the layers or the mail host disturb each other; of no use to the client's own people."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantPolicy


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("incidents", "0018_found_by_its_way"),
        ("tenants", "0005_client_groups"),
    ]
    operations: ClassVar = [
        migrations.CreateModel(
            name="Interference",
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
                        choices=[
                            ("header", "The gateway's mark"),
                            ("connector", "Whom the mail host takes for the sender"),
                            ("links", "Rewritten links"),
                            ("double_quarantine", "Filtered a second time"),
                        ],
                        max_length=20,
                    ),
                ),
                ("copies", models.PositiveIntegerField()),
                ("findings", models.JSONField(default=list)),
                ("is_cut", models.BooleanField(default=False)),
                ("since", models.DateTimeField()),
                ("looked_at", models.DateTimeField()),
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
                    models.UniqueConstraint(fields=("tenant", "kind"), name="interference_once")
                ],
            },
        ),
        AddTenantPolicy("incidents_interference", portal=()),
    ]
