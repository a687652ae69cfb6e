import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("api_bridge", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="list_due_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.RemoveField(model_name="mailboxsync", name="cursor"),
        migrations.AddField(
            model_name="mailboxsync",
            name="cursor",
            field=models.TextField(blank=True, default=""),
        ),
        migrations.AddField(
            model_name="mailboxsync",
            name="push_due_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AddField(
            model_name="mailboxsync",
            name="push_error",
            field=models.TextField(blank=True, default=""),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="seenitem",
            name="is_judged",
            field=models.BooleanField(default=True),
        ),
    ]
