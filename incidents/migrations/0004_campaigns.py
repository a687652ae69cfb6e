from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import APPEND_ONLY, AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("incidents", "0003_correlation"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Edge",
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
                        choices=[("group", "Incident"), ("campaign", "Campaign")], max_length=8
                    ),
                ),
                (
                    "act",
                    models.CharField(
                        choices=[
                            ("link", "Evidence"),
                            ("must", "Belongs together"),
                            ("cannot", "Does not belong together"),
                            ("withdrawal", "Withdrawn"),
                        ],
                        max_length=10,
                    ),
                ),
                ("withdraws", models.UUIDField(null=True)),
                ("kind", models.CharField(blank=True, max_length=16)),
                ("value", models.CharField(blank=True, max_length=64)),
                ("label", models.CharField(blank=True, max_length=200)),
                ("messages", models.PositiveIntegerField(null=True)),
                ("total", models.PositiveIntegerField(null=True)),
                ("weight", models.FloatField(default=0.0)),
                ("version", models.PositiveSmallIntegerField(default=1)),
                ("who", models.CharField(max_length=200)),
                ("who_id", models.UUIDField(null=True)),
                ("reason", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="MessageTrait",
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
                ("kind", models.CharField(max_length=16)),
                ("value", models.CharField(max_length=64)),
                ("label", models.CharField(max_length=200)),
                ("seen_at", models.DateTimeField()),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Regrouping",
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
                            ("merge", "Merged"),
                            ("split", "Split"),
                            ("move", "Moved"),
                            ("campaign_merge", "Campaigns joined"),
                            ("campaign_split", "Taken out of its campaign"),
                        ],
                        max_length=16,
                    ),
                ),
                ("who", models.CharField(max_length=200)),
                ("who_id", models.UUIDField(null=True)),
                ("reason", models.TextField(blank=True)),
                ("record", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("undone_at", models.DateTimeField(null=True)),
                ("undone_by", models.CharField(blank=True, max_length=200)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="incident",
            name="merged_into",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="incidents.incident",
            ),
        ),
        migrations.CreateModel(
            name="Campaign",
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
                ("number", models.PositiveIntegerField()),
                ("title", models.CharField(max_length=300)),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "merged_into",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="incidents.campaign",
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
        migrations.AddField(
            model_name="incident",
            name="campaign",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="incidents",
                to="incidents.campaign",
            ),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("campaign__isnull", False)),
                fields=["tenant", "campaign"],
                name="incident_campaign",
            ),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("merged_into__isnull", False)),
                fields=["tenant", "merged_into"],
                name="incident_merged_into",
            ),
        ),
        migrations.AddField(
            model_name="edge",
            name="a",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="incidents.message",
            ),
        ),
        migrations.AddField(
            model_name="edge",
            name="b",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="incidents.message",
            ),
        ),
        migrations.AddField(
            model_name="edge",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="messagetrait",
            name="message",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="traits",
                to="incidents.message",
            ),
        ),
        migrations.AddField(
            model_name="messagetrait",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="regrouping",
            name="incident",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="incidents.incident",
            ),
        ),
        migrations.AddField(
            model_name="regrouping",
            name="other",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="incidents.incident",
            ),
        ),
        migrations.AddField(
            model_name="regrouping",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddIndex(
            model_name="campaign",
            index=models.Index(fields=["tenant", "-last_seen_at"], name="campaign_tenant_seen"),
        ),
        migrations.AddConstraint(
            model_name="campaign",
            constraint=models.UniqueConstraint(
                fields=("tenant", "number"), name="campaign_number_once"
            ),
        ),
        migrations.AddIndex(
            model_name="edge",
            index=models.Index(fields=["tenant", "a"], name="edge_a"),
        ),
        migrations.AddIndex(
            model_name="edge",
            index=models.Index(fields=["tenant", "b"], name="edge_b"),
        ),
        migrations.AddConstraint(
            model_name="edge",
            constraint=models.UniqueConstraint(
                condition=models.Q(("withdraws__isnull", False)),
                fields=("tenant", "withdraws"),
                name="edge_withdrawn_once",
            ),
        ),
        migrations.AddIndex(
            model_name="messagetrait",
            index=models.Index(fields=["tenant", "kind", "value", "seen_at"], name="trait_value"),
        ),
        migrations.AddConstraint(
            model_name="messagetrait",
            constraint=models.UniqueConstraint(
                fields=("tenant", "message", "kind", "value"), name="trait_once"
            ),
        ),
        migrations.AddIndex(
            model_name="regrouping",
            index=models.Index(fields=["tenant", "incident"], name="regrouping_incident"),
        ),
        migrations.AddIndex(
            model_name="regrouping",
            index=models.Index(fields=["tenant", "other"], name="regrouping_other"),
        ),
        AddTenantPolicy("incidents_campaign", portal=()),
        AddTenantPolicy("incidents_edge", staff=APPEND_ONLY, portal=()),
        AddTenantPolicy("incidents_messagetrait", portal=()),
        AddTenantPolicy("incidents_regrouping", portal=()),
        AddTenantForeignKey("incidents_campaign", "merged_into_id", "incidents_campaign"),
        AddTenantForeignKey("incidents_incident", "campaign_id", "incidents_campaign"),
        AddTenantForeignKey("incidents_incident", "merged_into_id", "incidents_incident"),
        AddTenantForeignKey("incidents_edge", "a_id", "incidents_message"),
        AddTenantForeignKey("incidents_edge", "b_id", "incidents_message"),
        AddTenantForeignKey("incidents_messagetrait", "message_id", "incidents_message"),
        AddTenantForeignKey("incidents_regrouping", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_regrouping", "other_id", "incidents_incident"),
    ]
