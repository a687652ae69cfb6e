"""What a client's people report, and on which terms; their own readers see none of it."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("incidents", "0023_findings"),
        ("tenants", "0007_domains_and_new_clients"),
    ]

    operations: ClassVar = [
        migrations.AlterField(
            model_name="clientword",
            name="source",
            field=models.CharField(
                choices=[
                    ("portal", "Portal"),
                    ("digest", "Digest"),
                    ("report", "Report of a mail as not junk"),
                ],
                db_default="portal",
                default="portal",
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="HerdAct",
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
                    "mode",
                    models.CharField(
                        choices=[
                            ("off", "Nothing"),
                            ("dry_run", "Dry run: note what would have been pulled"),
                            ("pull", "Pull all copies"),
                        ],
                        max_length=10,
                    ),
                ),
                ("reporters", models.PositiveIntegerField()),
                ("copies", models.PositiveIntegerField()),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "incident",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="herd_acts",
                        to="incidents.incident",
                    ),
                ),
                (
                    "job",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="incidents.job",
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
                "indexes": [models.Index(fields=["tenant", "-at"], name="herd_act_tenant")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "incident", "mode"), name="herd_act_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ReportTerms",
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
                ("answers", models.BooleanField(default=True)),
                (
                    "herd_mode",
                    models.CharField(
                        choices=[
                            ("off", "Nothing"),
                            ("dry_run", "Dry run: note what would have been pulled"),
                            ("pull", "Pull all copies"),
                        ],
                        default="off",
                        max_length=10,
                    ),
                ),
                ("herd_reporters", models.PositiveSmallIntegerField(default=5)),
                ("changed_by", models.CharField(blank=True, max_length=200)),
                ("changed_at", models.DateTimeField(auto_now=True)),
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
                "constraints": [
                    models.UniqueConstraint(fields=("tenant",), name="report_terms_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="UserReport",
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
                    "way",
                    models.CharField(
                        choices=[
                            ("abuse_mailbox", "Mail to the report mailbox"),
                            ("microsoft", "Report button of Outlook"),
                            ("gmail", "Report button of Gmail"),
                        ],
                        max_length=20,
                    ),
                ),
                ("source_key", models.CharField(max_length=600)),
                ("reporter", models.CharField(max_length=320)),
                ("reported_at", models.DateTimeField()),
                ("taken_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "said",
                    models.CharField(
                        choices=[
                            ("phish", "Phishing"),
                            ("junk", "Junk"),
                            ("not_junk", "Not junk"),
                            ("unsure", "Looks odd"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "trust",
                    models.CharField(
                        choices=[
                            ("own", "From one of the client's people"),
                            ("outside", "Not from one of ours"),
                            ("forged", "Says it is from one of ours, not proven"),
                        ],
                        max_length=10,
                    ),
                ),
                ("trust_why", models.CharField(blank=True, max_length=300)),
                ("is_automatic", models.BooleanField(default=False)),
                ("subject", models.CharField(blank=True, max_length=300)),
                ("words", models.CharField(blank=True, max_length=500)),
                ("original_id", models.CharField(blank=True, max_length=1000)),
                ("original_fingerprint", models.CharField(blank=True, max_length=64)),
                ("original_subject", models.CharField(blank=True, max_length=300)),
                ("original_sender", models.CharField(blank=True, max_length=320)),
                ("original", models.JSONField(default=dict)),
                ("evidence", models.CharField(blank=True, max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("new", "Just came"),
                            ("said", "Being matched"),
                            ("placed", "Original found"),
                            ("missing", "Original not found"),
                            ("ignored", "Does not count"),
                        ],
                        default="new",
                        max_length=10,
                    ),
                ),
                (
                    "found",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Not yet"),
                            ("message_id", "By its Message-ID"),
                            ("fingerprint", "By its content"),
                            ("subject", "By its subject, the only one"),
                            ("attached", "From the report alone"),
                            ("nowhere", "Not found"),
                        ],
                        max_length=12,
                    ),
                ),
                ("found_why", models.CharField(blank=True, max_length=300)),
                ("receipt_at", models.DateTimeField(null=True)),
                ("outcome_at", models.DateTimeField(null=True)),
                ("outcome", models.CharField(blank=True, max_length=40)),
                ("owes_outcome", models.BooleanField(default=False)),
                ("unanswered", models.CharField(blank=True, max_length=200)),
                (
                    "delivery",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="user_reports",
                        to="incidents.delivery",
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
                    models.Index(fields=["tenant", "-reported_at"], name="user_report_tenant"),
                    models.Index(fields=["-reported_at", "-id"], name="user_report_newest"),
                    models.Index(
                        condition=models.Q(("delivery__isnull", False)),
                        fields=["tenant", "delivery"],
                        name="user_report_delivery",
                    ),
                    models.Index(
                        condition=models.Q(("state__in", ["new", "said"])),
                        fields=["tenant", "state"],
                        name="user_report_waiting",
                    ),
                    models.Index(
                        condition=models.Q(("owes_outcome", True)),
                        fields=["tenant"],
                        name="user_report_owing",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "source_key"), name="user_report_once"
                    )
                ],
            },
        ),
        AddTenantPolicy("incidents_userreport", portal=()),
        AddTenantPolicy("incidents_reportterms", portal=()),
        AddTenantPolicy("incidents_herdact", portal=()),
        AddTenantForeignKey("incidents_userreport", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("incidents_userreport", "delivery_id", "incidents_delivery"),
        AddTenantForeignKey("incidents_reportterms", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("incidents_herdact", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_herdact", "job_id", "incidents_job"),
    ]
