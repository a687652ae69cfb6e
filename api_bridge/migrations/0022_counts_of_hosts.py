from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """A day's mailboxes are counted host by host."""

    dependencies: ClassVar = [("api_bridge", "0021_own_roles")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="mailboxday",
            name="by_host",
            field=models.JSONField(db_default={}, default=dict),
        )
    ]
