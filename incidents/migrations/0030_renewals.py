"""What waited for access to mailboxes, looked at together when access came back."""

import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddTenantForeignKey, AddTenantPolicy


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0029_account_signs"),
        ("tenants", "0008_mailbox_groups"),
    ]

    operations = [
        migrations.CreateModel(
            name="RenewalCopy",
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
                    "found",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("there", "Where it was"),
                            ("moved", "Moved meanwhile"),
                            ("gone", "No longer there"),
                            ("done", "Done already"),
                            ("let_be", "Let be by a person meanwhile"),
                            ("unseen", "Not known: it could not be read"),
                            ("new", "Came after it was approved"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "differs",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("new", "Nobody approved this copy"),
                            ("mode", "Its mode allows less now"),
                            ("stopped", "Whatever acts by itself is stopped"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "place",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("hold", "Held at the gateway"),
                            ("inbox", "Inbox"),
                            ("junk", "Junk"),
                            ("deleted", "Deleted items"),
                            ("sent", "Sent items"),
                            ("archive", "Archive"),
                            ("other", "Another folder"),
                            ("quarantine", "Removed (quarantine)"),
                            ("gone", "Gone"),
                            ("nowhere", "Never arrived"),
                            ("unknown", "Not yet seen"),
                        ],
                        max_length=12,
                    ),
                ),
                ("words", models.TextField(blank=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="intent",
            name="asked_place",
            field=models.CharField(
                blank=True,
                choices=[
                    ("hold", "Held at the gateway"),
                    ("inbox", "Inbox"),
                    ("junk", "Junk"),
                    ("deleted", "Deleted items"),
                    ("sent", "Sent items"),
                    ("archive", "Archive"),
                    ("other", "Another folder"),
                    ("quarantine", "Removed (quarantine)"),
                    ("gone", "Gone"),
                    ("nowhere", "Never arrived"),
                    ("unknown", "Not yet seen"),
                ],
                db_default="",
                default="",
                max_length=12,
            ),
        ),
        migrations.AddField(
            model_name="intent",
            name="waits_since",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="Renewal",
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
                            ("looking", "Being looked at"),
                            ("went_on", "Went on by itself"),
                            ("asked", "Waits for a yes"),
                            ("answered", "Answered"),
                            ("replaced", "Replaced by a newer one"),
                        ],
                        default="looking",
                        max_length=10,
                    ),
                ),
                ("waited_since", models.DateTimeField()),
                ("began_at", models.DateTimeField(auto_now_add=True)),
                ("looked_at", models.DateTimeField(null=True)),
                (
                    "answer",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("all", "Yes, all of it"),
                            ("approved", "Only what was approved"),
                            ("none", "None of it"),
                        ],
                        max_length=10,
                    ),
                ),
                ("answered_by_id", models.UUIDField(null=True)),
                ("answered_by", models.CharField(blank=True, max_length=200)),
                ("answered_at", models.DateTimeField(null=True)),
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
        migrations.AddField(
            model_name="intent",
            name="renewal",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="intents",
                to="incidents.renewal",
            ),
        ),
        migrations.AddIndex(
            model_name="intent",
            index=models.Index(
                condition=models.Q(("waits_since__isnull", False)),
                fields=["tenant", "due_at"],
                name="intent_waits",
            ),
        ),
        migrations.AddField(
            model_name="renewalcopy",
            name="delivery",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="incidents.delivery",
            ),
        ),
        migrations.AddField(
            model_name="renewalcopy",
            name="intent",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="incidents.intent",
            ),
        ),
        migrations.AddField(
            model_name="renewalcopy",
            name="job",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="incidents.job",
            ),
        ),
        migrations.AddField(
            model_name="renewalcopy",
            name="renewal",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="copies",
                to="incidents.renewal",
            ),
        ),
        migrations.AddField(
            model_name="renewalcopy",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddIndex(
            model_name="renewal",
            index=models.Index(fields=["tenant", "-began_at"], name="renewal_newest"),
        ),
        migrations.AddConstraint(
            model_name="renewal",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "looking")),
                fields=("tenant",),
                name="renewal_one_looks",
            ),
        ),
        migrations.AddConstraint(
            model_name="renewalcopy",
            constraint=models.UniqueConstraint(
                fields=("tenant", "renewal", "job", "delivery"), name="renewal_copy_once"
            ),
        ),
        AddTenantForeignKey("incidents_intent", "renewal_id", "incidents_renewal"),
        AddTenantForeignKey("incidents_renewalcopy", "renewal_id", "incidents_renewal"),
        AddTenantForeignKey("incidents_renewalcopy", "job_id", "incidents_job"),
        AddTenantForeignKey("incidents_renewalcopy", "intent_id", "incidents_intent"),
        AddTenantForeignKey("incidents_renewalcopy", "delivery_id", "incidents_delivery"),
        AddTenantPolicy("incidents_renewal", portal=()),
        AddTenantPolicy("incidents_renewalcopy", portal=()),
    ]
