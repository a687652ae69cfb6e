import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    dependencies = [
        ("api_bridge", "0008_traces"),
        ("tenants", "0007_domains_and_new_clients"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="sealed_push_keys",
            field=models.BinaryField(db_default=b"", default=bytes),
        ),
        migrations.AddField(
            model_name="connection",
            name="seals_pushes",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="mailboxsync",
            name="lifecycle_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="mailboxsync",
            name="lifecycle_event",
            field=models.CharField(blank=True, db_default="", default="", max_length=60),
        ),
        migrations.AddField(
            model_name="mailboxsync",
            name="notices_refused",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="mailboxsync",
            name="push_key",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AddField(
            model_name="mailboxsync",
            name="refused_why",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.CreateModel(
            name="PushNotice",
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
                ("content", models.JSONField()),
                ("tokens", models.JSONField()),
                ("came_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "mailbox",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
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
                "indexes": [models.Index(fields=["tenant", "came_at"], name="notice_came")],
            },
        ),
        AddTenantPolicy("api_bridge_pushnotice", portal=()),
        AddTenantForeignKey("api_bridge_pushnotice", "mailbox_id", "tenants_mailbox"),
    ]
