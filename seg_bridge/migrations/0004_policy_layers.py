import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddProviderPolicy, AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    """What each level states of the gateway's policy, and changes that are rehearsed first."""

    dependencies = [
        ("seg_bridge", "0003_gateway_sight"),
        ("tenants", "0004_body_access"),
    ]

    operations = [
        migrations.CreateModel(
            name="PolicyChange",
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
                    "level",
                    models.CharField(
                        choices=[
                            ("provider", "All clients"),
                            ("client", "Client"),
                            ("domain", "Domain"),
                            ("mailbox", "Mailbox"),
                        ],
                        max_length=10,
                    ),
                ),
                ("states", models.JSONField(default=dict)),
                ("inherits", models.JSONField(default=list)),
                ("template", models.CharField(blank=True, max_length=100)),
                ("differences", models.JSONField(default=list)),
                ("seen", models.JSONField(default=dict)),
                ("batch", models.UUIDField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("rehearsed", "Rehearsed"), ("made", "Made")],
                        default="rehearsed",
                        max_length=10,
                    ),
                ),
                ("asked_by_id", models.UUIDField(null=True)),
                ("asked_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("made_at", models.DateTimeField(null=True)),
                ("made_by", models.CharField(blank=True, max_length=200)),
                ("reason", models.TextField(blank=True)),
                ("despite", models.JSONField(default=list)),
                (
                    "domain",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.domain",
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
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.provider",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
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
            name="PolicyLayer",
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
                    "level",
                    models.CharField(
                        choices=[
                            ("provider", "All clients"),
                            ("client", "Client"),
                            ("domain", "Domain"),
                            ("mailbox", "Mailbox"),
                        ],
                        max_length=10,
                    ),
                ),
                ("stated", models.JSONField(default=dict)),
                ("version", models.PositiveIntegerField(default=1)),
                ("template", models.CharField(blank=True, max_length=100)),
                ("changed_by", models.CharField(max_length=200)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "domain",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.domain",
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
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.provider",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
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
            name="PolicyTemplate",
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
                ("name", models.CharField(max_length=100)),
                ("words", models.CharField(blank=True, max_length=300)),
                ("values", models.JSONField(default=dict)),
                ("changed_by", models.CharField(max_length=200)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.provider",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddIndex(
            model_name="policychange",
            index=models.Index(fields=["tenant", "-created_at"], name="policy_change_tenant"),
        ),
        migrations.AddIndex(
            model_name="policychange",
            index=models.Index(fields=["provider", "-created_at"], name="policy_change_provider"),
        ),
        migrations.AddIndex(
            model_name="policylayer",
            index=models.Index(fields=["tenant", "level"], name="policy_layer_tenant"),
        ),
        migrations.AddConstraint(
            model_name="policylayer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("domain__isnull", True),
                        ("level", "provider"),
                        ("mailbox__isnull", True),
                        ("tenant__isnull", True),
                    ),
                    models.Q(
                        ("domain__isnull", True),
                        ("level", "client"),
                        ("mailbox__isnull", True),
                        ("tenant__isnull", False),
                    ),
                    models.Q(
                        ("domain__isnull", False),
                        ("level", "domain"),
                        ("mailbox__isnull", True),
                        ("tenant__isnull", False),
                    ),
                    models.Q(
                        ("domain__isnull", True),
                        ("level", "mailbox"),
                        ("mailbox__isnull", False),
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
                condition=models.Q(("level", "provider")),
                fields=("provider",),
                name="policy_layer_provider_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="policylayer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("level", "client")),
                fields=("tenant",),
                name="policy_layer_client_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="policylayer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("level", "domain")),
                fields=("tenant", "domain"),
                name="policy_layer_domain_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="policylayer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("level", "mailbox")),
                fields=("tenant", "mailbox"),
                name="policy_layer_mailbox_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="policytemplate",
            constraint=models.UniqueConstraint(
                fields=("provider", "name"), name="policy_template_once"
            ),
        ),
        *(
            AddTenantPolicy(table, provider_column="provider_id", portal=())
            for table in ("seg_bridge_policylayer", "seg_bridge_policychange")
        ),
        AddProviderPolicy("seg_bridge_policytemplate"),
        *(
            AddTenantForeignKey(table, column, target)
            for table in ("seg_bridge_policylayer", "seg_bridge_policychange")
            for column, target in (
                ("domain_id", "tenants_domain"),
                ("mailbox_id", "tenants_mailbox"),
            )
        ),
    ]
