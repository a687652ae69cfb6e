from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0001_initial")]
    operations: ClassVar = [
        migrations.AddField(
            model_name="tenant",
            name="shares_warnings",
            field=models.BooleanField(default=True),
        ),
    ]
