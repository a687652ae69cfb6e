from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("api_bridge", "0005_portal_columns"),
    ]

    operations = [
        migrations.RenameField(model_name="connection", old_name="graph_url", new_name="api_url"),
        migrations.AddField(
            model_name="connection",
            name="settings",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AlterField(
            model_name="connection",
            name="kind",
            field=models.CharField(
                choices=[
                    ("graph", "Microsoft 365"),
                    ("google", "Google Workspace"),
                    ("imap", "IMAP"),
                ],
                default="graph",
                max_length=10,
            ),
        ),
    ]
