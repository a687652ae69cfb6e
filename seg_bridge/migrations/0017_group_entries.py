import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Allow and block entries for a group of clients."""

    dependencies = [
        ("seg_bridge", "0016_queue_batches"),
        ("tenants", "0007_domains_and_new_clients"),
    ]

    operations = [
        migrations.AddField(
            model_name="gatewayrule",
            name="group",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="tenants.clientgroup",
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewayrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("group__isnull", True), ("tenant__isnull", True), _connector="OR"
                ),
                name="rule_of_one_owner",
            ),
        ),
    ]
