"""Groups of a client's directory as the scope of entries and policies."""

import django.db.models.deletion
from django.db import migrations, models

from tenants.rls import AddTenantForeignKey


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0030_renewals"),
        ("seg_bridge", "0019_standing_records"),
        ("tenants", "0008_mailbox_groups"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="policylayer",
            name="policy_layer_fits_level",
        ),
        migrations.AddField(
            model_name="gatewayrule",
            name="mailbox_group",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.mailboxgroup",
            ),
        ),
        migrations.AddField(
            model_name="policychange",
            name="mailbox_group",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.mailboxgroup",
            ),
        ),
        migrations.AddField(
            model_name="policylayer",
            name="mailbox_group",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.mailboxgroup",
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
                    ("directory", "Group of the directory"),
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
                    ("directory", "Group of the directory"),
                    ("mailbox", "Mailbox"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewayrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("mailbox_group__isnull", True),
                    models.Q(("recipient", ""), ("tenant__isnull", False)),
                    _connector="OR",
                ),
                name="rule_for_a_group_of_one_client",
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
                        ("mailbox_group__isnull", True),
                        ("tenant__isnull", True),
                    ),
                    models.Q(
                        ("domain__isnull", True),
                        ("group__isnull", False),
                        ("level", "group"),
                        ("mailbox__isnull", True),
                        ("mailbox_group__isnull", True),
                        ("tenant__isnull", True),
                    ),
                    models.Q(
                        ("domain__isnull", True),
                        ("group__isnull", True),
                        ("level", "client"),
                        ("mailbox__isnull", True),
                        ("mailbox_group__isnull", True),
                        ("tenant__isnull", False),
                    ),
                    models.Q(
                        ("domain__isnull", False),
                        ("group__isnull", True),
                        ("level", "domain"),
                        ("mailbox__isnull", True),
                        ("mailbox_group__isnull", True),
                        ("tenant__isnull", False),
                    ),
                    models.Q(
                        ("domain__isnull", True),
                        ("group__isnull", True),
                        ("level", "directory"),
                        ("mailbox__isnull", True),
                        ("mailbox_group__isnull", False),
                        ("tenant__isnull", False),
                    ),
                    models.Q(
                        ("domain__isnull", True),
                        ("group__isnull", True),
                        ("level", "mailbox"),
                        ("mailbox__isnull", False),
                        ("mailbox_group__isnull", True),
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
                condition=models.Q(("level", "directory")),
                fields=("tenant", "mailbox_group"),
                name="policy_layer_directory_once",
            ),
        ),
        AddTenantForeignKey("seg_bridge_gatewayrule", "mailbox_group_id", "tenants_mailboxgroup"),
        AddTenantForeignKey("seg_bridge_policychange", "mailbox_group_id", "tenants_mailboxgroup"),
        AddTenantForeignKey("seg_bridge_policylayer", "mailbox_group_id", "tenants_mailboxgroup"),
    ]
