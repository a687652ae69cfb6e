"""What mailboxes answered and passed on, with what proves it."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantPolicy


class Migration(migrations.Migration):
    dependencies: ClassVar = [("incidents", "0010_passed"), ("tenants", "0004_body_access")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="Answer",
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
                ("key", models.CharField(max_length=32)),
                (
                    "names",
                    models.CharField(
                        choices=[
                            ("parent", "It answers that mail"),
                            ("ancestor", "It answers an answer to it"),
                            ("conversation", "It is of the same conversation"),
                        ],
                        max_length=12,
                    ),
                ),
                ("observation_id", models.UUIDField()),
                ("sent_at", models.DateTimeField()),
                ("is_forward", models.BooleanField()),
                ("recipients", models.JSONField(default=list)),
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
                "indexes": [models.Index(fields=["tenant", "sent_at"], name="answer_sent")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "key", "observation_id"), name="answer_once"
                    )
                ],
            },
        ),
        AddTenantPolicy("incidents_answer", portal=()),
        migrations.AddField(
            model_name="delivery",
            name="conversation",
            field=models.CharField(blank=True, db_default="", default="", max_length=32),
        ),
        migrations.AddField(
            model_name="delivery", name="forwarded_at", field=models.DateTimeField(null=True)
        ),
        migrations.AddField(
            model_name="delivery", name="forwarded_by", field=models.UUIDField(null=True)
        ),
        migrations.AddField(
            model_name="delivery", name="replied_by", field=models.UUIDField(null=True)
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("conversation", ""), _negated=True),
                fields=["tenant", "conversation"],
                name="delivery_conversation",
            ),
        ),
    ]
