import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("api_bridge", "0003_quick_looks"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="watch_due_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
    ]
