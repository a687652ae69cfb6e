from django.db import migrations, models


class Migration(migrations.Migration):
    """Orders for many waiting mails at once."""

    dependencies = [("seg_bridge", "0015_lessons")]

    operations = [
        migrations.AddField(
            model_name="gatecommand", name="batch", field=models.UUIDField(null=True)
        ),
        migrations.AddField(
            model_name="gatecommand",
            name="stopped_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddIndex(
            model_name="gatecommand",
            index=models.Index(
                condition=models.Q(("batch__isnull", False)),
                fields=["tenant", "batch"],
                name="command_of_batch",
            ),
        ),
    ]
