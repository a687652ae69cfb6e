from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """A host that Bailey may not call, or does not trust, is not one that does not answer."""

    dependencies: ClassVar = [("api_bridge", "0022_counts_of_hosts")]

    operations: ClassVar = [
        migrations.AlterField(
            model_name="connection",
            name="state",
            field=models.CharField(
                choices=[
                    ("active", "Connected"),
                    ("needs_consent", "Consent is missing"),
                    ("credentials_expired", "Secret or certificate is not accepted"),
                    ("gone", "The cloud tenant does not exist"),
                    ("not_trusted", "Its certificate is not accepted"),
                    ("not_allowed", "Its address may not be called"),
                    ("no_login", "No protected way to sign in"),
                ],
                default="active",
                max_length=20,
            ),
        )
    ]
