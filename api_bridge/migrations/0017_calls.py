from typing import ClassVar

import django.utils.timezone
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    """When the mail host's verdicts are asked for, and its push orders gone through, next."""

    dependencies: ClassVar = [("api_bridge", "0016_seeing_since")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="connection",
            name="verdicts_due_at",
            field=models.DateTimeField(db_default=Now(), default=django.utils.timezone.now),
        ),
        migrations.AddField(
            model_name="connection",
            name="sweep_due_at",
            field=models.DateTimeField(db_default=Now(), default=django.utils.timezone.now),
        ),
    ]
