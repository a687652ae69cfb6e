from django.db import migrations, models


class Migration(migrations.Migration):
    """Whether a client's directory tells its groups; for staff, the portal's columns stay."""

    dependencies = [
        ("api_bridge", "0012_gaps"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="groups_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="connection",
            name="groups_error",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
    ]
