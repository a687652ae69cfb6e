from typing import ClassVar

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    """Accounts in other hands: settings over time, sign-ins, steps of a response."""

    dependencies: ClassVar = [
        ("api_bridge", "0013_groups"),
        ("incidents", "0029_account_signs"),
        ("tenants", "0007_domains_and_new_clients"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="AccountLook",
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
                ("due_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("looked_at", models.DateTimeField(null=True)),
                ("sign_ins_until", models.DateTimeField(null=True)),
                ("audits_until", models.DateTimeField(null=True)),
                ("reached", models.UUIDField(null=True)),
                ("off", models.JSONField(default=list)),
                ("error", models.TextField(blank=True)),
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
                    models.UniqueConstraint(
                        fields=("tenant", "connection"), name="account_look_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AccountStep",
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
                            ("revoke_sessions", "End its sessions"),
                            ("disable", "Switch off signing in"),
                            ("enable", "Switch signing in on again"),
                            ("new_password", "Ask for a new password"),
                            ("disable_rule", "Switch the rule off"),
                            ("enable_rule", "Put the rule back"),
                            ("revoke_grant", "Withdraw the application's access"),
                        ],
                        max_length=20,
                    ),
                ),
                ("target", models.CharField(blank=True, max_length=300)),
                ("label", models.CharField(blank=True, max_length=300)),
                ("before", models.JSONField(default=dict)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Waiting"),
                            ("calling", "Being done"),
                            ("unknown", "Not clear yet"),
                            ("verified", "Done and read back"),
                            ("already", "Was so already"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("words", models.TextField(blank=True)),
                ("fence", models.PositiveIntegerField(default=0)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("due_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("reason", models.TextField(blank=True)),
                ("asked_by", models.CharField(max_length=200)),
                ("asked_by_id", models.UUIDField(null=True)),
                ("asked_at", models.DateTimeField(auto_now_add=True)),
                ("called_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "incident",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="incidents.incident",
                    ),
                ),
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
                (
                    "undoes",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="api_bridge.accountstep",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["tenant", "incident"], name="account_step_incident"),
                    models.Index(fields=["tenant", "state", "due_at"], name="account_step_due"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["pending", "calling", "unknown"])),
                        fields=("tenant", "mailbox", "kind", "target"),
                        name="account_step_open_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AccountTerms",
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
                    "sensitivity",
                    models.CharField(
                        choices=[("low", "Low"), ("normal", "Normal"), ("high", "High")],
                        default="normal",
                        max_length=8,
                    ),
                ),
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
                    models.UniqueConstraint(fields=("tenant",), name="account_terms_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="MailboxSnapshot",
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
                ("digest", models.CharField(max_length=64)),
                ("content", models.JSONField()),
                ("changes", models.JSONField(default=list)),
                ("taken_at", models.DateTimeField()),
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
                "indexes": [
                    models.Index(fields=["tenant", "mailbox", "-taken_at"], name="snapshot_newest")
                ],
            },
        ),
        migrations.CreateModel(
            name="SignIn",
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
                ("external_id", models.CharField(max_length=100)),
                ("at", models.DateTimeField()),
                ("ip", models.CharField(blank=True, max_length=45)),
                ("country", models.CharField(blank=True, max_length=2)),
                ("city", models.CharField(blank=True, max_length=120)),
                ("latitude", models.FloatField(null=True)),
                ("longitude", models.FloatField(null=True)),
                ("app", models.CharField(blank=True, max_length=200)),
                ("risk", models.CharField(blank=True, max_length=20)),
                ("is_suspicious", models.BooleanField(default=False)),
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
                "indexes": [
                    models.Index(fields=["tenant", "mailbox", "-at"], name="sign_in_newest")
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "external_id"), name="sign_in_once")
                ],
            },
        ),
        AddTenantPolicy("api_bridge_accountterms", portal=()),
        AddTenantPolicy("api_bridge_accountlook", portal=()),
        AddTenantPolicy("api_bridge_mailboxsnapshot", portal=()),
        AddTenantPolicy("api_bridge_signin", portal=()),
        AddTenantPolicy("api_bridge_accountstep", portal=()),
        AddTenantForeignKey("api_bridge_accountlook", "connection_id", "api_bridge_connection"),
        AddTenantForeignKey("api_bridge_mailboxsnapshot", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("api_bridge_signin", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("api_bridge_accountstep", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("api_bridge_accountstep", "incident_id", "incidents_incident"),
        AddTenantForeignKey("api_bridge_accountstep", "undoes_id", "api_bridge_accountstep"),
    ]
