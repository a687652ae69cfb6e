"""A campaign kept the title that its oldest incident once had; nobody read it."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("incidents", "0025_downloads_of_clients")]

    operations: ClassVar = [migrations.RemoveField(model_name="campaign", name="title")]
