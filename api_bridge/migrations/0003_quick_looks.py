import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("api_bridge", "0002_sync"),
    ]

    operations = [
        migrations.AddField(
            model_name="mailboxsync",
            name="whole_due_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
    ]
