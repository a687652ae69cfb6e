from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("incidents", "0030_renewals")]

    operations = [
        migrations.AlterField(
            model_name="pause",
            name="cause",
            field=models.CharField(
                choices=[
                    ("client_answer", "Waiting for the client's answer"),
                    ("client_approval", "Waiting for the client's approval"),
                    ("client_access", "Waiting for access at the client"),
                    ("vendor", "Waiting for the mail host"),
                    ("resolved", "Resolved until more of it came"),
                ],
                max_length=20,
            ),
        ),
    ]
