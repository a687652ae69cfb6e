"""When a connection last came to see again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("api_bridge", "0015_account_steps_at_google"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="seeing_since",
            field=models.DateTimeField(null=True),
        ),
    ]
