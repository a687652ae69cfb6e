"""The provider's own service account for account response at Google."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddProviderPolicy


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("api_bridge", "0019_steps_in_the_portal"),
        ("tenants", "0008_mailbox_groups"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="ServiceAccount",
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
                    "purpose",
                    models.CharField(
                        choices=[
                            ("detect", "Detect"),
                            ("remediate", "Remediate"),
                            ("respond", "Account response"),
                            ("partner", "Partner relationships"),
                        ],
                        max_length=10,
                    ),
                ),
                ("client_id", models.CharField(max_length=64)),
                ("client_email", models.CharField(max_length=320)),
                ("sealed_key", models.BinaryField()),
                ("trouble", models.TextField(blank=True)),
                ("changed_by", models.CharField(max_length=200)),
                ("changed_at", models.DateTimeField()),
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("provider", "purpose"), name="service_account_once"
                    )
                ],
            },
        ),
        AddProviderPolicy("api_bridge_serviceaccount"),
    ]
