from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """What a connection's own application may do, as its last token said."""

    dependencies: ClassVar = [("api_bridge", "0020_service_accounts")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="connection", name="own_roles", field=models.JSONField(null=True)
        )
    ]
