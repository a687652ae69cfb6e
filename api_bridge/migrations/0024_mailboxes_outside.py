from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """What a mail host has in domains that are none of the client's is counted apart."""

    dependencies: ClassVar = [("api_bridge", "0023_no_way_in")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="mailboxday",
            name="outside",
            field=models.PositiveIntegerField(db_default=0, default=0),
        )
    ]
