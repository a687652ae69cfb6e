import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    dependencies = [
        ("api_bridge", "0007_access"),
        ("tenants", "0007_domains_and_new_clients"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="trace_due_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(),
                default=django.utils.timezone.now,
            ),
        ),
        migrations.AddField(
            model_name="connection",
            name="trace_error",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="connection",
            name="traced_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="TracedMail",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenants.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("trace_id", models.CharField(max_length=100)),
                ("recipient", models.CharField(max_length=320)),
                ("sender", models.CharField(blank=True, max_length=320)),
                ("internet_message_id", models.CharField(max_length=1000)),
                ("subject", models.TextField(blank=True)),
                ("status", models.CharField(max_length=12)),
                ("received_at", models.DateTimeField()),
                (
                    "connection",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="api_bridge.connection",
                    ),
                ),
                (
                    "mailbox",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.mailbox",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["tenant", "-received_at"], name="traced_received")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "trace_id", "recipient"), name="traced_once"
                    )
                ],
            },
        ),
        AddTenantPolicy("api_bridge_tracedmail", portal=()),
        AddTenantForeignKey("api_bridge_tracedmail", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("api_bridge_tracedmail", "connection_id", "api_bridge_connection"),
    ]
