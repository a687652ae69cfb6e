from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("seg_bridge", "0001_initial")]
    operations: ClassVar = []
