import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import (
    APPEND_ONLY,
    AddPortalSees,
    AddProviderPolicy,
    AddTenantForeignKey,
    AddTenantPolicy,
)

# The portal reads incidents through a policy of its own: only shared ones are in this list.
OF_SHARED = "incident_id IN (SELECT id FROM incidents_incident)"


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0006_ledger"),
        ("tenants", "0002_warnings"),
    ]

    operations = [
        migrations.CreateModel(
            name="CallNote",
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
                ("whom", models.CharField(max_length=200)),
                ("phone", models.CharField(blank=True, max_length=64)),
                ("said", models.TextField()),
                ("called_at", models.DateTimeField()),
                ("author_id", models.UUIDField(null=True)),
                ("author_name", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Comment",
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
                    "audience",
                    models.CharField(
                        choices=[("internal", "Internal"), ("client", "The client sees this")],
                        default="internal",
                        max_length=10,
                    ),
                ),
                ("text", models.TextField()),
                ("author_id", models.UUIDField(null=True)),
                ("author_name", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Mention",
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
                ("person_id", models.UUIDField()),
                ("person_name", models.CharField(max_length=200)),
                ("seen_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Pause",
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
                    "cause",
                    models.CharField(
                        choices=[
                            ("client_answer", "Waiting for the client's answer"),
                            ("client_approval", "Waiting for the client's approval"),
                            ("client_access", "Waiting for access at the client"),
                            ("vendor", "Waiting for the mail host"),
                        ],
                        max_length=20,
                    ),
                ),
                ("asked", models.TextField()),
                ("started_at", models.DateTimeField()),
                ("started_by", models.CharField(max_length=200)),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.CharField(blank=True, max_length=200)),
                ("answer", models.TextField(blank=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Quiet",
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
                            ("snoozed", "Snoozed"),
                            ("muted", "Muted"),
                            ("suppressed", "Suppressed by a rule"),
                        ],
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField()),
                ("until", models.DateTimeField()),
                ("copies", models.PositiveIntegerField()),
                ("exposed", models.PositiveIntegerField()),
                ("started_at", models.DateTimeField()),
                ("started_by", models.CharField(max_length=200)),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_why", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="SavedView",
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
                ("name", models.CharField(max_length=80)),
                ("filters", models.JSONField()),
                ("is_shared", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="SlaPlan",
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
                ("time_zone", models.CharField(max_length=64)),
                ("weekly", models.JSONField()),
                ("holidays", models.JSONField(default=list)),
                ("targets", models.JSONField()),
                ("valid_from", models.DateTimeField()),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Suppression",
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
                    "match",
                    models.CharField(
                        choices=[
                            ("sender", "Sender"),
                            ("domain", "Domain of the sender"),
                            ("kind", "Kind of incident"),
                        ],
                        max_length=10,
                    ),
                ),
                ("value", models.CharField(max_length=320)),
                ("reason", models.TextField()),
                ("ends_at", models.DateTimeField()),
                ("created_by_id", models.UUIDField(null=True)),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("removed_at", models.DateTimeField(null=True)),
                ("removed_by", models.CharField(blank=True, max_length=200)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Task",
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
                ("position", models.PositiveSmallIntegerField()),
                ("title", models.CharField(max_length=300)),
                ("template", models.CharField(blank=True, max_length=40)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("done", "Done"), ("skipped", "Not needed")],
                        default="open",
                        max_length=10,
                    ),
                ),
                ("done_at", models.DateTimeField(null=True)),
                ("done_by", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="TaskTemplate",
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
                        blank=True,
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
                ("version", models.PositiveIntegerField()),
                ("steps", models.JSONField()),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="incident",
            name="acted_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="incident",
            name="cause_code",
            field=models.CharField(
                blank=True,
                choices=[
                    ("gateway_missed", "The gateway did not recognise it"),
                    ("allowed", "An allow entry or a lenient policy let it through"),
                    ("released", "It was released from the gateway by mistake"),
                    ("bypass", "It came around the gateway"),
                    ("late", "It became harmful, or known, after delivery"),
                    ("account", "An account was in other hands"),
                    ("partner", "A partner's account was in other hands"),
                    ("wrong_verdict", "A layer judged harmless mail wrongly"),
                    ("expected", "Expected mail: a newsletter, a test, an exercise"),
                    ("other", "Something else"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="incident",
            name="contained_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="incident",
            name="due_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="incident",
            name="due_for",
            field=models.CharField(blank=True, max_length=10),
        ),
        migrations.AddField(
            model_name="incident",
            name="quiet",
            field=models.CharField(
                blank=True,
                choices=[
                    ("snoozed", "Snoozed"),
                    ("muted", "Muted"),
                    ("suppressed", "Suppressed by a rule"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="incident",
            name="quiet_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="incident",
            name="revision",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="incident",
            name="triaged_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="incident",
            name="waiting_for",
            field=models.CharField(blank=True, max_length=20),
        ),
        migrations.AddField(
            model_name="incident",
            name="waiting_since",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("due_at__isnull", False)),
                fields=["due_at"],
                name="incident_due",
            ),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(fields=["tenant", "opened_at"], name="incident_tenant_opened"),
        ),
        migrations.AddField(
            model_name="callnote",
            name="incident",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="calls",
                to="incidents.incident",
            ),
        ),
        migrations.AddField(
            model_name="callnote",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="comment",
            name="incident",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="comments",
                to="incidents.incident",
            ),
        ),
        migrations.AddField(
            model_name="comment",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="mention",
            name="comment",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="mentions",
                to="incidents.comment",
            ),
        ),
        migrations.AddField(
            model_name="mention",
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
            model_name="mention",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="pause",
            name="incident",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="pauses",
                to="incidents.incident",
            ),
        ),
        migrations.AddField(
            model_name="pause",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="quiet",
            name="incident",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="quiets",
                to="incidents.incident",
            ),
        ),
        migrations.AddField(
            model_name="quiet",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="savedview",
            name="person",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="tenants.person",
            ),
        ),
        migrations.AddField(
            model_name="savedview",
            name="provider",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenants.provider"
            ),
        ),
        migrations.AddField(
            model_name="slaplan",
            name="provider",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenants.provider"
            ),
        ),
        migrations.AddField(
            model_name="slaplan",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="suppression",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="quiet",
            name="suppression",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="quiets",
                to="incidents.suppression",
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="incident",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="tasks",
                to="incidents.incident",
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="tasktemplate",
            name="provider",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenants.provider"
            ),
        ),
        migrations.AddIndex(
            model_name="callnote",
            index=models.Index(fields=["tenant", "incident", "called_at"], name="call_incident"),
        ),
        migrations.AddIndex(
            model_name="comment",
            index=models.Index(
                fields=["tenant", "incident", "created_at"], name="comment_incident"
            ),
        ),
        migrations.AddIndex(
            model_name="mention",
            index=models.Index(fields=["tenant", "incident"], name="mention_incident"),
        ),
        migrations.AddIndex(
            model_name="mention",
            index=models.Index(
                condition=models.Q(("seen_at", None)),
                fields=["person_id", "-created_at"],
                name="mention_unseen",
            ),
        ),
        migrations.AddConstraint(
            model_name="mention",
            constraint=models.UniqueConstraint(
                fields=("tenant", "comment", "person_id"), name="mention_once"
            ),
        ),
        migrations.AddIndex(
            model_name="pause",
            index=models.Index(fields=["tenant", "incident", "started_at"], name="pause_incident"),
        ),
        migrations.AddConstraint(
            model_name="pause",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)),
                fields=("tenant", "incident"),
                name="pause_one_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="savedview",
            constraint=models.UniqueConstraint(
                fields=("person", "name"), name="saved_view_name_once"
            ),
        ),
        migrations.AddIndex(
            model_name="slaplan",
            index=models.Index(fields=["tenant", "-valid_from"], name="sla_plan_tenant"),
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(fields=["tenant", "-created_at"], name="suppression_tenant"),
        ),
        migrations.AddIndex(
            model_name="quiet",
            index=models.Index(fields=["tenant", "incident"], name="quiet_incident"),
        ),
        migrations.AddIndex(
            model_name="quiet",
            index=models.Index(fields=["tenant", "suppression"], name="quiet_suppression"),
        ),
        migrations.AddConstraint(
            model_name="quiet",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)),
                fields=("tenant", "incident"),
                name="quiet_one_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.UniqueConstraint(
                fields=("tenant", "incident", "position"), name="task_position_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="tasktemplate",
            constraint=models.UniqueConstraint(
                fields=("provider", "kind", "version"), name="task_template_version"
            ),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(fields=["sender", "-last_seen_at"], name="incident_sender"),
        ),
        AddTenantPolicy(
            "incidents_slaplan", provider_column="provider_id", staff=APPEND_ONLY, portal=()
        ),
        AddTenantPolicy("incidents_pause"),
        AddTenantPolicy("incidents_comment", staff=APPEND_ONLY),
        AddTenantPolicy("incidents_mention", portal=()),
        AddTenantPolicy("incidents_callnote", staff=APPEND_ONLY, portal=()),
        AddTenantPolicy("incidents_task", portal=()),
        AddTenantPolicy("incidents_suppression", portal=()),
        AddTenantPolicy("incidents_quiet", portal=()),
        AddProviderPolicy("incidents_tasktemplate", staff=APPEND_ONLY),
        AddProviderPolicy("incidents_savedview"),
        *(
            AddTenantForeignKey(f"incidents_{table}", "incident_id", "incidents_incident")
            for table in ("pause", "comment", "mention", "callnote", "task", "quiet")
        ),
        AddTenantForeignKey("incidents_mention", "comment_id", "incidents_comment"),
        AddTenantForeignKey("incidents_quiet", "suppression_id", "incidents_suppression"),
        AddPortalSees("incidents_comment", f"audience = 'client' AND {OF_SHARED}"),
        AddPortalSees("incidents_pause", f"cause LIKE 'client_%' AND {OF_SHARED}"),
        AddPortalSees("incidents_report", f"audience = 'client' AND {OF_SHARED}"),
        AddPortalSees("incidents_job", OF_SHARED),
        AddPortalSees("incidents_intent", "job_id IN (SELECT id FROM incidents_job)"),
    ]
