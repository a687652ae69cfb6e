import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


def _id():
    return models.UUIDField(
        default=tenants.ids.new_id, editable=False, primary_key=True, serialize=False
    )


def _tenant():
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name="+",
        to="tenants.tenant",
    )


class Migration(migrations.Migration):
    """What is in force at each gate; what DNS says of a domain; mails sent to try the way."""

    dependencies = [
        ("seg_bridge", "0011_held_mail"),
        ("tenants", "0007_domains_and_new_clients"),
    ]

    operations = [
        migrations.AddField(
            "gateclient",
            "in_force",
            models.CharField(blank=True, default="", max_length=32),
            preserve_default=False,
        ),
        migrations.AddField("gateclient", "in_force_at", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="DomainCheck",
            fields=[
                ("id", _id()),
                ("token", models.CharField(max_length=64)),
                ("found", models.JSONField(default=dict)),
                ("wanted_at", models.DateTimeField(null=True)),
                ("looked_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "domain",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.domain",
                    ),
                ),
                ("tenant", _tenant()),
            ],
            options={"abstract": False, "base_manager_name": "objects"},
        ),
        migrations.CreateModel(
            name="TrialMail",
            fields=[
                ("id", _id()),
                ("recipient", models.CharField(max_length=400)),
                ("internet_message_id", models.CharField(max_length=200)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waits for a worker"),
                            ("sending", "Being sent"),
                            ("taken", "Taken by the gate"),
                            ("refused", "Refused by the gate"),
                            ("failed", "The gate could not be reached"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("reply", models.TextField(blank=True)),
                ("asked_by_id", models.UUIDField(null=True)),
                ("asked_by", models.CharField(max_length=200)),
                ("asked_at", models.DateTimeField(auto_now_add=True)),
                ("sent_at", models.DateTimeField(null=True)),
                (
                    "gate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="seg_bridge.gate",
                    ),
                ),
                ("tenant", _tenant()),
            ],
            options={"abstract": False, "base_manager_name": "objects"},
        ),
        migrations.AddConstraint(
            model_name="domaincheck",
            constraint=models.UniqueConstraint(
                fields=("tenant", "domain"), name="domain_check_once"
            ),
        ),
        migrations.AddIndex(
            model_name="trialmail",
            index=models.Index(fields=["tenant", "-asked_at"], name="trial_mail_newest"),
        ),
        AddTenantPolicy("seg_bridge_domaincheck", portal=()),
        AddTenantPolicy("seg_bridge_trialmail", portal=()),
        AddTenantForeignKey("seg_bridge_domaincheck", "domain_id", "tenants_domain"),
    ]
