import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddProviderPolicy, AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0013_statements"),
        ("tenants", "0004_body_access"),
    ]

    operations = [
        migrations.CreateModel(
            name="CampaignLink",
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
                ("mark", models.CharField(max_length=64)),
                ("root", models.UUIDField()),
                ("seen_at", models.DateTimeField()),
                ("is_current", models.BooleanField(default=True)),
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
        migrations.CreateModel(
            name="LinkedIncident",
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
                    "incident",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="links",
                        to="incidents.incident",
                    ),
                ),
                (
                    "link",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="incidents.campaignlink",
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
            name="LinkedMail",
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
                    "link",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="incidents.campaignlink",
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
            },
        ),
        migrations.CreateModel(
            name="Recomputation",
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
                ("version", models.PositiveSmallIntegerField()),
                ("asked_by", models.CharField(max_length=200)),
                ("asked_by_id", models.UUIDField(null=True)),
                ("asked_at", models.DateTimeField()),
                ("shown_at", models.DateTimeField(null=True)),
                ("counts", models.JSONField(default=dict)),
                ("lines", models.JSONField(default=list)),
                ("is_accepted", models.BooleanField(default=False)),
                ("decided_at", models.DateTimeField(null=True)),
                ("decided_by", models.CharField(blank=True, max_length=200)),
                ("decided_by_id", models.UUIDField(null=True)),
                ("reason", models.TextField(blank=True)),
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
            model_name="campaignlink",
            index=models.Index(fields=["provider", "root"], name="campaign_link_root"),
        ),
        migrations.AddConstraint(
            model_name="campaignlink",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_current", True)),
                fields=("provider", "mark"),
                name="campaign_link_mark_once",
            ),
        ),
        migrations.AddIndex(
            model_name="linkedincident",
            index=models.Index(
                fields=["link"], include=("tenant", "incident"), name="linked_incident"
            ),
        ),
        migrations.AddConstraint(
            model_name="linkedincident",
            constraint=models.UniqueConstraint(
                fields=("tenant", "incident", "link"), name="linked_incident_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="linkedmail",
            constraint=models.UniqueConstraint(
                fields=("tenant", "message"), name="linked_mail_once"
            ),
        ),
        migrations.AddIndex(
            model_name="recomputation",
            index=models.Index(fields=["tenant", "-asked_at"], name="recomputation_tenant"),
        ),
        migrations.AddConstraint(
            model_name="recomputation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("decided_at", None)),
                fields=("tenant",),
                name="recomputation_one_open",
            ),
        ),
        migrations.AddIndex(
            model_name="messagetrait",
            index=models.Index(fields=["tenant", "seen_at"], name="trait_seen"),
        ),
        AddProviderPolicy("incidents_campaignlink"),
        AddTenantPolicy("incidents_linkedmail", portal=()),
        AddTenantPolicy("incidents_linkedincident", portal=()),
        AddTenantPolicy("incidents_recomputation", portal=()),
        AddTenantForeignKey("incidents_linkedmail", "message_id", "incidents_message"),
        AddTenantForeignKey("incidents_linkedincident", "incident_id", "incidents_incident"),
    ]
