import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """A group of clients is a level of policies."""

    dependencies = [
        ("seg_bridge", "0009_gate_policy_trouble"),
        ("tenants", "0005_client_groups"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="policylayer",
            name="policy_layer_fits_level",
        ),
        migrations.AddField(
            model_name="policychange",
            name="group",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="tenants.clientgroup",
            ),
        ),
        migrations.AddField(
            model_name="policylayer",
            name="group",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="tenants.clientgroup",
            ),
        ),
        migrations.AlterField(
            model_name="policychange",
            name="level",
            field=models.CharField(
                choices=[
                    ("provider", "All clients"),
                    ("group", "Group of clients"),
                    ("client", "Client"),
                    ("domain", "Domain"),
                    ("mailbox", "Mailbox"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="policylayer",
            name="level",
            field=models.CharField(
                choices=[
                    ("provider", "All clients"),
                    ("group", "Group of clients"),
                    ("client", "Client"),
                    ("domain", "Domain"),
                    ("mailbox", "Mailbox"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="policylayer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("domain__isnull", True),
                        ("group__isnull", True),
                        ("level", "provider"),
                        ("mailbox__isnull", True),
                        ("tenant__isnull", True),
                    ),
                    models.Q(
                        ("domain__isnull", True),
                        ("group__isnull", False),
                        ("level", "group"),
                        ("mailbox__isnull", True),
                        ("tenant__isnull", True),
                    ),
                    models.Q(
                        ("domain__isnull", True),
                        ("group__isnull", True),
                        ("level", "client"),
                        ("mailbox__isnull", True),
                        ("tenant__isnull", False),
                    ),
                    models.Q(
                        ("domain__isnull", False),
                        ("group__isnull", True),
                        ("level", "domain"),
                        ("mailbox__isnull", True),
                        ("tenant__isnull", False),
                    ),
                    models.Q(
                        ("domain__isnull", True),
                        ("group__isnull", True),
                        ("level", "mailbox"),
                        ("mailbox__isnull", False),
                        ("tenant__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="policy_layer_fits_level",
            ),
        ),
        migrations.AddConstraint(
            model_name="policylayer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("level", "group")),
                fields=("group",),
                name="policy_layer_group_once",
            ),
        ),
    ]
