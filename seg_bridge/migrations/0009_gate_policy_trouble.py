from django.db import migrations, models


class Migration(migrations.Migration):
    """Why a gate does not follow the policy that it was given, and since when."""

    dependencies = [
        ("seg_bridge", "0008_rules_have_a_provider"),
    ]

    operations = [
        migrations.AddField(
            model_name="gate",
            name="offered_version",
            field=models.CharField(blank=True, default="", max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="gate",
            name="offered_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="gate",
            name="policy_trouble",
            field=models.CharField(blank=True, default="", max_length=20),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="gate",
            name="policy_trouble_since",
            field=models.DateTimeField(null=True),
        ),
    ]
