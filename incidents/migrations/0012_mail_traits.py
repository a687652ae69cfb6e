"""From a thing that mail has in common to its mails, and bounds for the queue's searches."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations, models

from tenants.rls import AddTenantPolicy


class Migration(migrations.Migration):
    dependencies: ClassVar = [("incidents", "0011_answers")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="MailTrait",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        *("tenant_id", "key", "seen_at", "message_id"),
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("key", models.BigIntegerField()),
                ("seen_at", models.DateTimeField()),
                ("message_id", models.UUIDField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
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
                "indexes": [BrinIndex(fields=["seen_at"], name="mail_trait_seen")],
            },
        ),
        AddTenantPolicy("incidents_mailtrait", portal=()),
    ]
