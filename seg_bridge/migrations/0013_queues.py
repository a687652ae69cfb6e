import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantPolicy


class Migration(migrations.Migration):
    """Mail that waits at the gates, and orders about it."""

    dependencies = [
        ("seg_bridge", "0012_onboarding"),
    ]

    operations = [
        migrations.AddField("gate", "queue_at", models.DateTimeField(null=True)),
        migrations.AddField("gate", "queue_left_out", models.PositiveIntegerField(default=0)),
        migrations.AddField("gate", "queue_others", models.PositiveIntegerField(default=0)),
        migrations.AddField(
            "gatecommand",
            "queue_id",
            models.CharField(blank=True, default="", max_length=64),
            preserve_default=False,
        ),
        migrations.AlterField(
            "gatecommand",
            "kind",
            models.CharField(
                choices=[
                    ("release", "Release held mail"),
                    ("drop", "Drop held mail"),
                    ("q_retry", "Try again"),
                    ("q_hold", "Put on hold"),
                    ("q_free", "Let it go on"),
                    ("q_remove", "Take out of the queue"),
                    ("q_return", "Return to its sender"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddIndex(
            model_name="gatecommand",
            index=models.Index(
                condition=models.Q(("queue_id__gt", "")),
                fields=["tenant", "queue_id"],
                name="command_of_queue",
            ),
        ),
        migrations.CreateModel(
            name="QueueItem",
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
                ("queue_id", models.CharField(max_length=64)),
                (
                    "where",
                    models.CharField(
                        choices=[
                            ("deferred", "Waits for its next try"),
                            ("active", "Is being tried"),
                            ("incoming", "Has just come in"),
                            ("hold", "On hold"),
                        ],
                        max_length=10,
                    ),
                ),
                ("recipient", models.CharField(max_length=400)),
                ("sender", models.CharField(blank=True, max_length=400)),
                ("next_hop", models.CharField(blank=True, max_length=600)),
                ("reason", models.TextField(blank=True)),
                ("reason_kind", models.CharField(blank=True, max_length=20)),
                ("size_bytes", models.BigIntegerField()),
                ("arrived_at", models.DateTimeField()),
                ("trace_ulid", models.CharField(blank=True, max_length=26)),
                ("may_return", models.BooleanField(default=False)),
                (
                    "gate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="seg_bridge.gate",
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
            options={"abstract": False, "base_manager_name": "objects"},
        ),
        migrations.AddIndex(
            model_name="queueitem",
            index=models.Index(fields=["tenant", "-arrived_at"], name="queue_item_arrived"),
        ),
        migrations.AddIndex(
            model_name="queueitem",
            index=models.Index(fields=["tenant", "gate", "queue_id"], name="queue_item_queue"),
        ),
        AddTenantPolicy("seg_bridge_queueitem", portal=()),
    ]
