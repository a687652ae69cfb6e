"""Files of comments, behind the policy of their comment; who is good at what."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import tenants.ids
from tenants.rls import (
    APPEND_ONLY,
    AddPortalSees,
    AddProviderPolicy,
    AddTenantForeignKey,
    AddTenantPolicy,
)


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0008_queue"),
        ("tenants", "0005_client_groups"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Attachment",
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
                ("name", models.CharField(max_length=200)),
                ("kind", models.CharField(max_length=20)),
                ("size_bytes", models.PositiveBigIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "comment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="attachments",
                        to="incidents.comment",
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
                        fields=("tenant", "comment", "name"), name="attachment_name"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PersonSkill",
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
                ("skill", models.CharField(max_length=40)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="skills",
                        to=settings.AUTH_USER_MODEL,
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
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("person", "skill"), name="person_skill_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="SkillNeed",
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
                            ("spam", "Spam"),
                            ("phish", "Phishing"),
                            ("bec", "Fraud"),
                            ("malware", "Malware"),
                            ("suspicious", "Suspicious"),
                            ("unscannable", "Unscannable"),
                            ("account", "Account"),
                            ("health", "Health"),
                        ],
                        max_length=12,
                    ),
                ),
                ("skill", models.CharField(max_length=40)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("provider", "kind", "skill"), name="skill_need_once"
                    )
                ],
            },
        ),
        AddTenantPolicy("incidents_attachment", staff=APPEND_ONLY),
        AddTenantForeignKey("incidents_attachment", "comment_id", "incidents_comment"),
        # The portal reads comments through a policy of its own: those for the client are in it.
        AddPortalSees("incidents_attachment", "comment_id IN (SELECT id FROM incidents_comment)"),
        # A file that nobody showed to the client leaves no trace in the list of stored bytes.
        AddPortalSees(
            "incidents_evidence",
            "method <> 'upload' OR sha256 IN (SELECT sha256 FROM incidents_attachment)",
        ),
        AddProviderPolicy("incidents_personskill"),
        AddProviderPolicy("incidents_skillneed"),
    ]
