import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    """What gates learn from what people decide."""

    dependencies = [
        ("incidents", "0018_found_by_its_way"),
        ("seg_bridge", "0014_outbound"),
        ("tenants", "0007_domains_and_new_clients"),
    ]

    operations = [
        migrations.AddField(
            model_name="gatecommand",
            name="terms",
            field=models.JSONField(default=dict),
        ),
        migrations.AlterField(
            model_name="gatecommand",
            name="kind",
            field=models.CharField(
                choices=[
                    ("release", "Release held mail"),
                    ("drop", "Drop held mail"),
                    ("q_retry", "Try again"),
                    ("q_hold", "Put on hold"),
                    ("q_free", "Let it go on"),
                    ("q_remove", "Take out of the queue"),
                    ("q_return", "Return to its sender"),
                    ("lift", "Let a stopped sender send again"),
                    ("learn", "Learn from a mail"),
                ],
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="Lesson",
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
                ("as_spam", models.BooleanField(null=True)),
                (
                    "share",
                    models.CharField(
                        blank=True, choices=[("spam", "Spam"), ("phish", "Phishing")], max_length=10
                    ),
                ),
                (
                    "unshare",
                    models.CharField(
                        blank=True, choices=[("spam", "Spam"), ("phish", "Phishing")], max_length=10
                    ),
                ),
                ("takes_back", models.BooleanField(default=False)),
                ("because", models.CharField(max_length=300)),
                ("decided_by_id", models.UUIDField(null=True)),
                ("decided_by", models.CharField(max_length=200)),
                ("refusal", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "command",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="seg_bridge.gatecommand",
                    ),
                ),
                (
                    "incident",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="incidents.incident",
                    ),
                ),
                (
                    "message",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="incidents.message",
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
                    models.Index(fields=["tenant", "message", "id"], name="lesson_message"),
                    models.Index(fields=["tenant", "incident"], name="lesson_incident"),
                    models.Index(fields=["tenant", "command"], name="lesson_command"),
                ],
            },
        ),
        AddTenantPolicy("seg_bridge_lesson", portal=()),
        AddTenantForeignKey("seg_bridge_lesson", "message_id", "incidents_message"),
        AddTenantForeignKey("seg_bridge_lesson", "incident_id", "incidents_incident"),
        AddTenantForeignKey("seg_bridge_lesson", "command_id", "seg_bridge_gatecommand"),
    ]
