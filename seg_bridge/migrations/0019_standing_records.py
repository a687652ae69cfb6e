from django.db import migrations, models


class Migration(migrations.Migration):
    """What was once seen in a client's DNS, so that its loss is noticed."""

    dependencies = [
        ("incidents", "0023_findings"),
        ("seg_bridge", "0018_release_that_sticks"),
    ]

    operations = [
        migrations.AddField("domaincheck", "standing", models.JSONField(default=dict)),
    ]
