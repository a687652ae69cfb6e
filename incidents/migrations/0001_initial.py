import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations import RunSQL

import tenants.ids
from tenants.rls import (
    APPEND_ONLY,
    AddProviderPolicy,
    AddTenantForeignKey,
    AddTenantPolicy,
)

KEEP_PARTITIONS = """
CREATE FUNCTION keep_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $body$
DECLARE
    first_day date;
    part text;
    made integer := 0;
BEGIN
    -- From two months back (late observations) to the wanted number of months ahead.
    FOR step IN -2 .. months_ahead LOOP
        first_day := (date_trunc('month', now() AT TIME ZONE 'UTC') + step * interval '1 month')::date;
        part := 'incidents_observation_' || to_char(first_day, 'YYYYMM');
        IF to_regclass(part) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF incidents_observation FOR VALUES FROM (%L) TO (%L)',
                part, first_day::text || ' 00:00:00+00',
                (first_day + interval '1 month')::date::text || ' 00:00:00+00');
            -- Partitions do not inherit row security, and nobody is granted anything on them.
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', part);
            EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', part);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$body$;
REVOKE ALL ON FUNCTION keep_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_partitions(integer) TO bailey_worker, c_worker;
"""

OBSERVATION = """
CREATE TABLE incidents_observation (
    id uuid NOT NULL,
    tenant_id bigint NOT NULL REFERENCES tenants_tenant (id),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    observed_at timestamptz NOT NULL,
    layer text NOT NULL,
    source text NOT NULL,
    source_key text NOT NULL,
    recipient text NOT NULL,
    direction text NOT NULL,
    internet_message_id text NOT NULL,
    fingerprint text NOT NULL,
    trace_ulid text NOT NULL,
    trace_state text NOT NULL,
    mailbox_item_id text NOT NULL,
    verdict text,
    score double precision,
    score_limit double precision,
    confidence double precision,
    reasons jsonb NOT NULL,
    engine text NOT NULL,
    engine_version text NOT NULL,
    policy_version text NOT NULL,
    action text,
    rule text NOT NULL,
    place text,
    is_read boolean,
    mail jsonb NOT NULL,
    evidence text NOT NULL,
    detail jsonb NOT NULL,
    PRIMARY KEY (tenant_id, id, observed_at),
    CONSTRAINT observation_once UNIQUE (tenant_id, source, source_key, observed_at)
) PARTITION BY RANGE (observed_at);
CREATE TABLE incidents_observation_other PARTITION OF incidents_observation DEFAULT;
ALTER TABLE incidents_observation_other ENABLE ROW LEVEL SECURITY;
ALTER TABLE incidents_observation_other FORCE ROW LEVEL SECURITY;
CREATE INDEX observation_tenant_observed ON incidents_observation (tenant_id, observed_at DESC);
CREATE INDEX observation_trace ON incidents_observation (tenant_id, trace_ulid)
    WHERE trace_ulid <> '';
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Delivery",
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
                ("recipient", models.CharField(max_length=320)),
                (
                    "direction",
                    models.CharField(
                        choices=[
                            ("inbound", "Inbound"),
                            ("internal", "Internal"),
                            ("outbound", "Outbound"),
                        ],
                        default="inbound",
                        max_length=10,
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("delivered", "Delivered"),
                            ("held", "Held"),
                            ("rejected", "Rejected"),
                            ("deferred", "Deferred"),
                            ("unknown", "Not known"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "place",
                    models.CharField(
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
                        default="unknown",
                        max_length=12,
                    ),
                ),
                (
                    "first_place",
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
                ("is_read", models.BooleanField(null=True)),
                ("was_exposed", models.BooleanField(default=False)),
                ("is_bypass", models.BooleanField(default=False)),
                ("was_released", models.BooleanField(default=False)),
                (
                    "match",
                    models.CharField(
                        choices=[
                            ("strong", "The same mail, proven by the gateway's trace"),
                            ("weak", "The same mail by id, sender and time"),
                            ("pending", "A trace that the gateway has not confirmed yet"),
                            ("ambiguous", "Several mails fit"),
                            ("one_layer", "Seen by one layer only"),
                        ],
                        default="one_layer",
                        max_length=10,
                    ),
                ),
                ("match_reason", models.TextField(blank=True)),
                ("mailbox_item_id", models.CharField(blank=True, max_length=500)),
                (
                    "gateway_verdict",
                    models.CharField(
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
                        max_length=12,
                    ),
                ),
                (
                    "mailbox_verdict",
                    models.CharField(
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
                        max_length=12,
                    ),
                ),
                ("gateway_at", models.DateTimeField(null=True)),
                ("mailbox_at", models.DateTimeField(null=True)),
                ("received_at", models.DateTimeField()),
                ("verified_at", models.DateTimeField(null=True)),
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
            },
        ),
        migrations.CreateModel(
            name="Incident",
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
                (
                    "severity",
                    models.CharField(
                        choices=[
                            ("critical", "Critical"),
                            ("high", "High"),
                            ("medium", "Medium"),
                            ("low", "Low"),
                        ],
                        max_length=10,
                    ),
                ),
                ("severity_rank", models.PositiveSmallIntegerField(default=0)),
                ("severity_parts", models.JSONField(default=list)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("new", "New"),
                            ("triaged", "Triaged"),
                            ("contained", "Contained"),
                            ("resolved", "Resolved"),
                        ],
                        default="new",
                        max_length=10,
                    ),
                ),
                (
                    "classification",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("true_positive", "True positive"),
                            ("benign", "Benign"),
                            ("false_positive", "False positive"),
                        ],
                        max_length=20,
                    ),
                ),
                ("cause", models.TextField(blank=True)),
                ("sender", models.CharField(blank=True, max_length=320)),
                (
                    "gateway_verdict",
                    models.CharField(
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
                        max_length=12,
                    ),
                ),
                (
                    "mailbox_verdict",
                    models.CharField(
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
                        max_length=12,
                    ),
                ),
                (
                    "cross_layer",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=40), default=list, size=None
                    ),
                ),
                ("counts", models.JSONField(default=dict)),
                ("owner_id", models.UUIDField(null=True)),
                ("owner_name", models.CharField(blank=True, max_length=200)),
                ("shared_at", models.DateTimeField(null=True)),
                ("shared_by", models.CharField(blank=True, max_length=200)),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("opened_at", models.DateTimeField(auto_now_add=True)),
                ("resolved_at", models.DateTimeField(null=True)),
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
            name="Job",
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
                            ("pull", "Pull from mailboxes"),
                            ("restore", "Restore to mailboxes"),
                            ("release", "Release held mail"),
                            ("block", "Block at the gateway"),
                            ("report", "Make a report"),
                            ("acquire", "Fetch the original"),
                            ("replay", "Replay mail"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("partly", "Partly done"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("requested_by_id", models.UUIDField(null=True)),
                ("requested_by", models.CharField(max_length=200)),
                ("reason", models.TextField(blank=True)),
                ("counts", models.JSONField(default=dict)),
                ("detail", models.JSONField(default=dict)),
                ("error", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "incident",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="jobs",
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
            },
        ),
        migrations.CreateModel(
            name="Intent",
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
                ("action", models.CharField(max_length=12)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Waiting"),
                            ("calling", "Under way"),
                            ("unknown", "Not known, being read"),
                            ("verified", "Done and read back"),
                            ("already", "Was already so"),
                            ("gone", "No longer there"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("undo", models.JSONField(default=dict)),
                ("fence", models.BigIntegerField(default=0)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("due_at", models.DateTimeField()),
                ("checks_left", models.JSONField(default=list)),
                ("error", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "delivery",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="intents",
                        to="incidents.delivery",
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
                    "job",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="intents",
                        to="incidents.job",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Message",
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
                ("internet_message_id", models.CharField(blank=True, max_length=1000)),
                ("trace_ulid", models.CharField(blank=True, max_length=26)),
                ("fingerprint", models.CharField(blank=True, max_length=64)),
                ("subject", models.TextField(blank=True)),
                ("sender_address", models.CharField(blank=True, max_length=320)),
                ("sender_name", models.CharField(blank=True, max_length=400)),
                ("sender_domain", models.CharField(blank=True, max_length=255)),
                (
                    "direction",
                    models.CharField(
                        choices=[
                            ("inbound", "Inbound"),
                            ("internal", "Internal"),
                            ("outbound", "Outbound"),
                        ],
                        default="inbound",
                        max_length=10,
                    ),
                ),
                ("size_bytes", models.PositiveBigIntegerField(default=0)),
                ("facts", models.JSONField(default=dict)),
                ("evidence", models.CharField(blank=True, max_length=64)),
                ("sent_at", models.DateTimeField(null=True)),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
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
            name="IncidentMessage",
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
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "incident",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="memberships",
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
                (
                    "message",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="memberships",
                        to="incidents.message",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="GroupKey",
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
                ("kind", models.CharField(max_length=12)),
                ("value", models.CharField(max_length=64)),
                ("last_seen_at", models.DateTimeField()),
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
                    "incident",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="group_keys",
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
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="delivery",
            name="message",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="deliveries",
                to="incidents.message",
            ),
        ),
        migrations.CreateModel(
            name="ContentAccess",
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
                (
                    "what",
                    models.CharField(
                        choices=[
                            ("text", "text of the mail"),
                            ("html", "HTML view"),
                            ("picture", "picture"),
                            ("attachment", "attachment"),
                            ("original", "original mail"),
                        ],
                        max_length=12,
                    ),
                ),
                ("detail", models.CharField(blank=True, max_length=300)),
                ("reason", models.TextField()),
                ("at", models.DateTimeField(auto_now_add=True)),
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
                    "message",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="accesses",
                        to="incidents.message",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[RunSQL(OBSERVATION, "DROP TABLE incidents_observation")],
            state_operations=[
                migrations.CreateModel(
                    name="Observation",
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
                        ("recorded_at", models.DateTimeField(auto_now_add=True)),
                        ("observed_at", models.DateTimeField()),
                        (
                            "layer",
                            models.CharField(
                                choices=[
                                    ("gateway", "Gateway"),
                                    ("mailbox", "Mailbox"),
                                    ("person", "Person"),
                                    ("vendor", "Mail host"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("source", models.TextField()),
                        ("source_key", models.TextField()),
                        ("recipient", models.TextField()),
                        (
                            "direction",
                            models.CharField(
                                choices=[
                                    ("inbound", "Inbound"),
                                    ("internal", "Internal"),
                                    ("outbound", "Outbound"),
                                ],
                                max_length=10,
                            ),
                        ),
                        ("internet_message_id", models.TextField()),
                        ("fingerprint", models.TextField()),
                        ("trace_ulid", models.TextField()),
                        ("trace_state", models.TextField()),
                        ("mailbox_item_id", models.TextField()),
                        (
                            "verdict",
                            models.CharField(
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
                                max_length=12,
                                null=True,
                            ),
                        ),
                        ("score", models.FloatField(null=True)),
                        ("score_limit", models.FloatField(null=True)),
                        ("confidence", models.FloatField(null=True)),
                        ("reasons", models.JSONField(default=list)),
                        ("engine", models.TextField()),
                        ("engine_version", models.TextField()),
                        ("policy_version", models.TextField()),
                        (
                            "action",
                            models.CharField(
                                choices=[
                                    ("delivered", "Delivered"),
                                    ("held", "Held"),
                                    ("rejected", "Rejected"),
                                    ("deferred", "Deferred"),
                                    ("unknown", "Not known"),
                                ],
                                max_length=10,
                                null=True,
                            ),
                        ),
                        ("rule", models.TextField()),
                        (
                            "place",
                            models.CharField(
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
                                null=True,
                            ),
                        ),
                        ("is_read", models.BooleanField(null=True)),
                        ("mail", models.JSONField(default=dict)),
                        ("evidence", models.TextField()),
                        ("detail", models.JSONField(default=dict)),
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
            ],
        ),
        migrations.CreateModel(
            name="Report",
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
                ("audience", models.CharField(default="internal", max_length=10)),
                ("document", models.JSONField()),
                ("pdf_sha256", models.CharField(blank=True, max_length=64)),
                ("csv_sha256", models.CharField(blank=True, max_length=64)),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "incident",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="reports",
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
            },
        ),
        migrations.CreateModel(
            name="Sighting",
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
                ("observation_id", models.UUIDField()),
                ("observed_at", models.DateTimeField()),
                (
                    "delivery",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="sightings",
                        to="incidents.delivery",
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
            name="TraceKey",
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
                ("key_id", models.CharField(max_length=26, unique=True)),
                ("sealed_key", models.BinaryField()),
                ("is_active", models.BooleanField(default=True)),
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
            },
        ),
        migrations.CreateModel(
            name="Backlog",
            fields=[
                ("observation_id", models.UUIDField(primary_key=True, serialize=False)),
                ("observed_at", models.DateTimeField()),
                ("wait_until", models.DateTimeField(null=True)),
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
                "indexes": [models.Index(fields=["tenant", "observation_id"], name="backlog_next")],
            },
        ),
        migrations.CreateModel(
            name="Evidence",
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
                ("sha256", models.CharField(max_length=64)),
                ("size_bytes", models.PositiveBigIntegerField()),
                ("source", models.CharField(max_length=200)),
                ("method", models.CharField(max_length=20)),
                ("stored_at", models.DateTimeField(auto_now_add=True)),
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
                    models.UniqueConstraint(fields=("tenant", "sha256"), name="evidence_once")
                ],
            },
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("state", "resolved"), _negated=True),
                fields=["tenant", "-severity_rank", "-last_seen_at"],
                name="incident_open_tenant",
            ),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("state", "resolved"), _negated=True),
                fields=["-severity_rank", "-last_seen_at", "-id"],
                name="incident_open_queue",
            ),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(fields=["tenant", "-last_seen_at"], name="incident_tenant_seen"),
        ),
        migrations.AddConstraint(
            model_name="incident",
            constraint=models.UniqueConstraint(
                fields=("tenant", "number"), name="incident_number_once"
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["tenant", "-created_at"], name="job_tenant_created"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["tenant", "incident"], name="job_incident"),
        ),
        migrations.AddIndex(
            model_name="intent",
            index=models.Index(fields=["tenant", "state", "due_at"], name="intent_due"),
        ),
        migrations.AddIndex(
            model_name="intent",
            index=models.Index(fields=["tenant", "delivery"], name="intent_delivery"),
        ),
        migrations.AddConstraint(
            model_name="intent",
            constraint=models.UniqueConstraint(
                fields=("tenant", "job", "delivery"), name="intent_once"
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["tenant", "-first_seen_at"], name="message_tenant_seen"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                fields=["tenant", "internet_message_id"], name="message_tenant_message_id"
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["tenant", "fingerprint"], name="message_tenant_fingerprint"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["tenant", "sender_address"], name="message_tenant_sender"),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                condition=models.Q(("trace_ulid", ""), _negated=True),
                fields=("tenant", "trace_ulid"),
                name="message_trace_once",
            ),
        ),
        migrations.AddIndex(
            model_name="incidentmessage",
            index=models.Index(fields=["tenant", "incident"], name="incident_messages"),
        ),
        migrations.AddConstraint(
            model_name="incidentmessage",
            constraint=models.UniqueConstraint(
                fields=("tenant", "message"), name="message_in_one_incident"
            ),
        ),
        migrations.AddIndex(
            model_name="groupkey",
            index=models.Index(fields=["tenant", "incident"], name="group_key_incident"),
        ),
        migrations.AddConstraint(
            model_name="groupkey",
            constraint=models.UniqueConstraint(
                fields=("tenant", "kind", "value", "message"), name="group_key_once"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["tenant", "-received_at"], name="delivery_tenant_received"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["tenant", "recipient", "-received_at"], name="delivery_recipient"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["tenant", "mailbox_item_id"], name="delivery_item"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("place", "hold")),
                fields=["tenant", "-received_at"],
                name="delivery_held",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(
                fields=("tenant", "message", "recipient"), name="delivery_once"
            ),
        ),
        migrations.AddIndex(
            model_name="contentaccess",
            index=models.Index(fields=["tenant", "-at"], name="access_tenant_at"),
        ),
        migrations.AddIndex(
            model_name="contentaccess",
            index=models.Index(fields=["tenant", "message"], name="access_message"),
        ),
        migrations.AddIndex(
            model_name="report",
            index=models.Index(
                fields=["tenant", "incident", "-created_at"], name="report_incident"
            ),
        ),
        migrations.AddIndex(
            model_name="sighting",
            index=models.Index(fields=["tenant", "delivery"], name="sighting_delivery"),
        ),
        migrations.AddConstraint(
            model_name="sighting",
            constraint=models.UniqueConstraint(
                fields=("tenant", "observation_id"), name="sighting_once"
            ),
        ),
        AddTenantPolicy("incidents_message"),
        AddTenantPolicy("incidents_delivery"),
        AddTenantPolicy("incidents_observation", staff=APPEND_ONLY),
        AddTenantPolicy("incidents_sighting", staff=APPEND_ONLY),
        AddTenantPolicy("incidents_backlog", portal=()),
        AddProviderPolicy("incidents_tracekey"),
        AddTenantPolicy("incidents_incident"),
        RunSQL(
            "CREATE POLICY portal_shared ON incidents_incident AS RESTRICTIVE FOR ALL TO c_portal"
            " USING (shared_at IS NOT NULL) WITH CHECK (false)",
            "DROP POLICY portal_shared ON incidents_incident",
        ),
        AddTenantPolicy("incidents_incidentmessage"),
        AddTenantPolicy("incidents_groupkey", portal=()),
        AddTenantPolicy("incidents_job"),
        AddTenantPolicy("incidents_intent"),
        AddTenantPolicy("incidents_evidence"),
        AddTenantPolicy("incidents_contentaccess", staff=APPEND_ONLY),
        AddTenantPolicy("incidents_report"),
        AddTenantForeignKey("incidents_delivery", "message_id", "incidents_message"),
        AddTenantForeignKey("incidents_delivery", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("incidents_sighting", "delivery_id", "incidents_delivery"),
        AddTenantForeignKey("incidents_incidentmessage", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_incidentmessage", "message_id", "incidents_message"),
        AddTenantForeignKey("incidents_groupkey", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_groupkey", "message_id", "incidents_message"),
        AddTenantForeignKey("incidents_job", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_intent", "job_id", "incidents_job"),
        AddTenantForeignKey("incidents_intent", "delivery_id", "incidents_delivery"),
        AddTenantForeignKey("incidents_contentaccess", "message_id", "incidents_message"),
        AddTenantForeignKey("incidents_report", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_report", "job_id", "incidents_job"),
        RunSQL(KEEP_PARTITIONS, "DROP FUNCTION keep_partitions(integer)"),
        RunSQL("SELECT keep_partitions(3)", RunSQL.noop),
    ]
