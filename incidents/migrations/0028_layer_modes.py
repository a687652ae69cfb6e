"""How far Bailey goes in a client's mailboxes; of no use to the client's own people.

What a client's late verdicts did by themselves in mailboxes becomes the mode of the client.
"""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy

# As it was: late verdicts of a client were proposed or acted on.
TO_MODES = """
INSERT INTO incidents_layermode
    (id, tenant_id, mode, effective_from, reason, set_by, set_at)
SELECT gen_random_uuid(), tenant_id, pull_mode, changed_at,
       'As it was set for late verdicts', changed_by, changed_at
  FROM incidents_lateverdicts
 WHERE changed_by <> '' AND pull_mode IN ('ask', 'auto')
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("incidents", "0027_found_in_mailboxes"),
        ("tenants", "0008_mailbox_groups"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="LayerMode",
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
                        blank=True,
                        choices=[
                            ("monitor", "Only tell"),
                            ("ask", "Ask before each pull"),
                            ("auto", "Act by itself"),
                        ],
                        max_length=10,
                    ),
                ),
                ("effective_from", models.DateTimeField()),
                ("reason", models.TextField(blank=True)),
                ("set_by_id", models.UUIDField(null=True)),
                ("set_by", models.CharField(max_length=200)),
                ("set_at", models.DateTimeField(auto_now_add=True)),
                ("dropped_at", models.DateTimeField(null=True)),
                (
                    "group",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.mailboxgroup",
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
                        fields=["tenant", "group", "-effective_from"], name="layer_mode_scope"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PullProposal",
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
                            ("open", "Open"),
                            ("approved", "Approved"),
                            ("declined", "Declined"),
                            ("settled", "Nothing is left to pull"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
                ("why", models.TextField(blank=True)),
                ("is_whole", models.BooleanField(default=False)),
                ("seen", models.PositiveIntegerField(default=0)),
                ("waiting", models.PositiveIntegerField(default=0)),
                ("left", models.TextField(blank=True)),
                ("looked_at", models.DateTimeField(null=True)),
                ("asked_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("decided_by_id", models.UUIDField(null=True)),
                ("decided_by", models.CharField(blank=True, max_length=200)),
                ("decided_at", models.DateTimeField(null=True)),
                ("reason", models.TextField(blank=True)),
                (
                    "incident",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="pull_proposals",
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
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "open")),
                        fields=["tenant", "-asked_at"],
                        name="pull_proposal_open",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "incident"), name="pull_proposal_once"
                    )
                ],
            },
        ),
        AddTenantForeignKey("incidents_layermode", "group_id", "tenants_mailboxgroup"),
        AddTenantForeignKey("incidents_pullproposal", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_pullproposal", "job_id", "incidents_job"),
        AddTenantPolicy("incidents_layermode", portal=()),
        AddTenantPolicy("incidents_pullproposal", portal=()),
        migrations.RunSQL(
            ["SET LOCAL ROLE janitor", TO_MODES, "RESET ROLE", "SET CONSTRAINTS ALL IMMEDIATE"],
            migrations.RunSQL.noop,
        ),
        migrations.RemoveField(model_name="lateverdicts", name="pull_mode"),
    ]
