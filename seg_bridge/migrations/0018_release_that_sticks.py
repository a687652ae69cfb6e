import django.db.models.deletion
from django.db import migrations, models

from tenants.rls import AddTenantForeignKey


class Migration(migrations.Migration):
    """Entries that the mailbox layer follows too, and for one mail only."""

    dependencies = [
        ("incidents", "0022_release_that_sticks"),
        ("seg_bridge", "0017_group_entries"),
    ]

    operations = [
        migrations.AddField(
            model_name="gatewayrule",
            name="in_mailboxes",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="gatewayrule",
            name="release",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="incidents.job",
            ),
        ),
        migrations.AlterField(
            model_name="gatewayrule",
            name="match",
            field=models.CharField(
                choices=[
                    ("sender", "Sender"),
                    ("sender_domain", "Sender's domain"),
                    ("dkim_domain", "Domain that signed it (DKIM)"),
                    ("client_ip", "Sending host"),
                    ("url_host", "Host of a link"),
                    ("attachment_sha256", "Attachment"),
                    ("mail", "This one mail"),
                ],
                max_length=20,
            ),
        ),
        AddTenantForeignKey("seg_bridge_gatewayrule", "release_id", "incidents_job"),
    ]
