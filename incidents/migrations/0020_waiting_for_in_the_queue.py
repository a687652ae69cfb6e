from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """What an incident waits for stands in the queue's index: its tabs ask for it."""

    dependencies: ClassVar = [("incidents", "0019_interference")]
    operations: ClassVar = [
        migrations.RemoveIndex(model_name="incident", name="incident_open_queue"),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                fields=["-queue_rank", "due_at", "opened_at", "id"],
                include=[
                    *("tenant", "owner_id", "state", "waiting_since", "waiting_for", "quiet"),
                    *("quiet_until", "severity", "kind"),
                ],
                name="incident_open_queue",
                condition=models.Q(("state", "resolved"), _negated=True),
            ),
        ),
    ]
