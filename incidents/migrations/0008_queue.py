"""What the queue orders by, answers that were seen, and orders over several clients."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("incidents", "0007_work")]
    operations: ClassVar = [
        migrations.AddField(
            model_name="incident",
            name="queue_rank",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="delivery", name="replied_at", field=models.DateTimeField(null=True)
        ),
        migrations.AddField(model_name="job", name="group_id", field=models.UUIDField(null=True)),
        migrations.AlterField(
            model_name="job",
            name="kind",
            field=models.CharField(
                choices=[
                    ("pull", "Pull from mailboxes"),
                    ("restore", "Restore to mailboxes"),
                    ("release", "Release held mail"),
                    ("block", "Block at the gateway"),
                    ("report", "Make a report"),
                    ("acquire", "Fetch the original"),
                    ("replay", "Replay mail"),
                    ("look", "Look again"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("group_id__isnull", False)),
                fields=["group_id"],
                name="job_group",
            ),
        ),
        migrations.RemoveIndex(model_name="incident", name="incident_open_queue"),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("state", "resolved"), _negated=True),
                fields=["-queue_rank", "due_at", "opened_at", "id"],
                name="incident_open_queue",
            ),
        ),
    ]
