from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    """Signs that an account is in other hands."""

    dependencies: ClassVar = [
        ("incidents", "0028_layer_modes"),
        ("tenants", "0007_domains_and_new_clients"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="AccountSign",
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
                ("mailbox", models.CharField(max_length=320)),
                ("code", models.CharField(max_length=20)),
                ("key", models.CharField(max_length=200)),
                ("words", models.TextField()),
                ("weight", models.PositiveSmallIntegerField()),
                ("source", models.CharField(max_length=60)),
                ("raw", models.JSONField(default=dict)),
                ("at", models.DateTimeField()),
                ("noted_at", models.DateTimeField(auto_now_add=True)),
                (
                    "incident",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="signs",
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
                    models.Index(fields=["tenant", "incident"], name="account_sign_incident"),
                    models.Index(fields=["tenant", "mailbox", "-at"], name="account_sign_mailbox"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "mailbox", "code", "key"), name="account_sign_once"
                    )
                ],
            },
        ),
        AddTenantPolicy("incidents_accountsign", portal=()),
        AddTenantForeignKey("incidents_accountsign", "incident_id", "incidents_incident"),
    ]
