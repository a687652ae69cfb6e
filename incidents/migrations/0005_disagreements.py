import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0004_campaigns"),
    ]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="person_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="delivery",
            name="person_verdict",
            field=models.CharField(
                blank=True,
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
                db_default="",
                default="",
                max_length=12,
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="vendor_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="delivery",
            name="vendor_verdict",
            field=models.CharField(
                blank=True,
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
                db_default="",
                default="",
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="Disagreement",
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
                    "kind",
                    models.CharField(
                        choices=[
                            (
                                "gateway_passed_mailbox_condemned",
                                "Passed by the gateway, condemned inside",
                            ),
                            ("gateway_held_mailbox_clean", "Held by the gateway, clean inside"),
                            ("released_then_condemned", "Released, then condemned"),
                            ("gateway_condemned_late", "Condemned by the gateway after delivery"),
                            ("person_against_layer", "A person says otherwise"),
                            ("vendor_against_layer", "The mail host says otherwise"),
                        ],
                        max_length=40,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("accepted", "Repaired"),
                            ("dismissed", "Dismissed"),
                            ("settled", "No longer so"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
                ("copies", models.PositiveIntegerField(default=1)),
                ("sides", models.JSONField(default=list)),
                ("rule_id", models.UUIDField(null=True)),
                ("rule_words", models.TextField(blank=True)),
                ("rule_owner", models.CharField(blank=True, max_length=200)),
                ("proposal", models.JSONField(default=dict)),
                ("result", models.JSONField(default=dict)),
                ("reason", models.TextField(blank=True)),
                ("decided_by_id", models.UUIDField(null=True)),
                ("decided_by", models.CharField(blank=True, max_length=200)),
                ("decided_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("seen_at", models.DateTimeField()),
                (
                    "incident",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="disagreements",
                        to="incidents.incident",
                    ),
                ),
                (
                    "message",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="incidents.message",
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
                    models.Index(
                        fields=["tenant", "-seen_at", "-id"], name="disagreement_tenant_seen"
                    ),
                    models.Index(
                        condition=models.Q(("state", "open")),
                        fields=["-seen_at", "-id"],
                        name="disagreement_open",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("incident__isnull", False)),
                        fields=("tenant", "incident", "kind"),
                        name="disagreement_once_an_incident",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("incident__isnull", True)),
                        fields=("tenant", "message", "kind"),
                        name="disagreement_once_a_mail",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LateVerdicts",
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
                    "pull_mode",
                    models.CharField(
                        choices=[("ask", "Propose it"), ("auto", "Do it")],
                        default="ask",
                        max_length=10,
                    ),
                ),
                (
                    "rule_mode",
                    models.CharField(
                        choices=[("ask", "Propose it"), ("auto", "Do it")],
                        default="ask",
                        max_length=10,
                    ),
                ),
                ("most_copies", models.PositiveIntegerField(default=50)),
                ("rule_days", models.PositiveSmallIntegerField(default=30)),
                ("stopped_at", models.DateTimeField(null=True)),
                ("stopped_by", models.CharField(blank=True, max_length=200)),
                ("changed_by", models.CharField(blank=True, max_length=200)),
                ("changed_at", models.DateTimeField(auto_now=True)),
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
                    models.UniqueConstraint(fields=("tenant",), name="late_verdicts_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="StandingOrder",
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
                    "kind",
                    models.CharField(
                        choices=[
                            ("pull", "Pull later copies"),
                            ("leave", "Leave copies where they are"),
                        ],
                        max_length=10,
                    ),
                ),
                ("owner_id", models.UUIDField(null=True)),
                ("owner_name", models.CharField(max_length=200)),
                ("reason", models.TextField(blank=True)),
                ("acted", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                ("withdrawn_at", models.DateTimeField(null=True)),
                ("withdrawn_by", models.CharField(blank=True, max_length=200)),
                (
                    "incident",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="standing_orders",
                        to="incidents.incident",
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
                "indexes": [models.Index(fields=["tenant", "-created_at"], name="order_tenant")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("withdrawn_at__isnull", True)),
                        fields=("tenant", "incident"),
                        name="one_standing_order",
                    )
                ],
            },
        ),
        *(
            AddTenantPolicy(table, portal=())
            for table in (
                "incidents_disagreement",
                "incidents_standingorder",
                "incidents_lateverdicts",
            )
        ),
        AddTenantForeignKey("incidents_disagreement", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_disagreement", "message_id", "incidents_message"),
        AddTenantForeignKey("incidents_standingorder", "incident_id", "incidents_incident"),
    ]
