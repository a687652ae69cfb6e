import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    dependencies = [
        ("api_bridge", "0009_push_notices"),
        ("tenants", "0007_domains_and_new_clients"),
    ]

    operations = [
        migrations.CreateModel(
            name="ScanBack",
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
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Looking back"),
                            ("stopped", "Stopped"),
                            ("done", "Done"),
                        ],
                        default="running",
                        max_length=8,
                    ),
                ),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("days", models.PositiveSmallIntegerField()),
                ("most_mails", models.PositiveIntegerField()),
                ("mails_per_hour", models.PositiveIntegerField()),
                ("requests_per_hour", models.PositiveIntegerField()),
                ("is_all", models.BooleanField()),
                ("asked_by_id", models.UUIDField()),
                ("asked_by", models.CharField(max_length=200)),
                ("asked_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("stopped_at", models.DateTimeField(null=True)),
                ("stopped_by", models.CharField(blank=True, max_length=200)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "ended_by",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("all", "Everything was looked at"),
                            ("most", "The number of mails that was agreed is reached"),
                            ("failed", "Some mailboxes could not be read"),
                        ],
                        max_length=8,
                    ),
                ),
                ("due_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("waits_for", models.CharField(blank=True, max_length=300)),
                ("hour_began_at", models.DateTimeField(null=True)),
                ("hour_mails", models.PositiveIntegerField(default=0)),
                ("hour_requests", models.PositiveIntegerField(default=0)),
                ("mails", models.PositiveIntegerField(default=0)),
                ("requests", models.PositiveIntegerField(default=0)),
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
            },
        ),
        migrations.CreateModel(
            name="ScanBackFinding",
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
                ("item_id", models.CharField(max_length=500)),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("clean", "Clean"),
                            ("graymail", "Graymail"),
                            ("spam", "Spam"),
                            ("phish", "Phishing"),
                            ("bec", "Fraud"),
                            ("malware", "Malware"),
                            ("suspicious", "Suspicious"),
                            ("unscannable", "Unscannable"),
                        ],
                        max_length=12,
                    ),
                ),
                ("received_at", models.DateTimeField()),
                ("found_at", models.DateTimeField()),
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
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="findings",
                        to="api_bridge.scanback",
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
            },
        ),
        migrations.CreateModel(
            name="ScanBackMailbox",
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
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "To be read"),
                            ("done", "Read"),
                            ("failed", "Could not be read"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("until", models.DateTimeField()),
                ("reached_at", models.DateTimeField()),
                ("cursor", models.TextField(blank=True)),
                ("page_at", models.DateTimeField(null=True)),
                ("mails", models.PositiveIntegerField(default=0)),
                ("unread", models.PositiveIntegerField(default=0)),
                ("skipped", models.PositiveIntegerField(default=0)),
                ("estimated", models.PositiveIntegerField(null=True)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("due_at", models.DateTimeField(default=django.utils.timezone.now)),
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
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="mailboxes",
                        to="api_bridge.scanback",
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
            },
        ),
        migrations.AddIndex(
            model_name="scanback",
            index=models.Index(fields=["tenant", "-asked_at"], name="scan_back_newest"),
        ),
        migrations.AddConstraint(
            model_name="scanback",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["running", "stopped"])),
                fields=("tenant",),
                name="scan_back_one_open",
            ),
        ),
        migrations.AddIndex(
            model_name="scanbackfinding",
            index=models.Index(fields=["tenant", "run", "verdict"], name="scan_back_finding_kind"),
        ),
        migrations.AddConstraint(
            model_name="scanbackfinding",
            constraint=models.UniqueConstraint(
                fields=("tenant", "run", "mailbox", "item_id"), name="scan_back_finding_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="scanbackmailbox",
            constraint=models.UniqueConstraint(
                fields=("tenant", "run", "mailbox"), name="scan_back_mailbox_once"
            ),
        ),
        AddTenantPolicy("api_bridge_scanback", portal=()),
        AddTenantPolicy("api_bridge_scanbackmailbox", portal=()),
        AddTenantPolicy("api_bridge_scanbackfinding", portal=()),
        AddTenantForeignKey("api_bridge_scanbackmailbox", "run_id", "api_bridge_scanback"),
        AddTenantForeignKey("api_bridge_scanbackmailbox", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("api_bridge_scanbackfinding", "run_id", "api_bridge_scanback"),
        AddTenantForeignKey("api_bridge_scanbackfinding", "mailbox_id", "tenants_mailbox"),
    ]
