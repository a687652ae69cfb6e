"""Mail, what was seen of it, and the work on it: the tables, their policies and doors."""

from __future__ import annotations

from typing import ClassVar

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.operations import RunSQL

import tenants.ids
from tenants.rls import (
    APPEND_ONLY,
    AddDoor,
    AddPortalSees,
    AddProviderPolicy,
    AddTenantForeignKey,
    AddTenantPolicy,
)
from tenants.tables import CreateTables

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
    tenant_id bigint NOT NULL,
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
# A foreign key is checked row by row, which cost a third of intake.  The key to a message, or to a
# delivery, of the same client holds the client as well; and every batch writes its client's row in
# the table of work, which has the key: observations and what is made of them need none.
IMPLIED = (
    ("incidents_delivery", "incidents_delivery_tenant_id_75e97662_fk_tenants_tenant_id"),
    ("incidents_sighting", "incidents_sighting_tenant_id_a70bb665_fk_tenants_tenant_id"),
    ("incidents_message", "incidents_message_tenant_id_e98a8168_fk_tenants_tenant_id"),
    ("incidents_traitcount", "incidents_traitcount_tenant_id_d46797a5_fk_tenants_tenant_id"),
)
# "Also seen at n other organisations": how many other clients of the same provider had the same
# threat in the last 30 days, 0 below three, and never more than all that take part but two: where
# all of them had it, a number would name them all.  Only for an incident of the asking scope, and
# for the portal only for a shared one; who they are is never said.  An own word for the asking
# client: "found" is taken in plpgsql.
ALSO_SEEN = """
DECLARE
    asking bigint;
    provider bigint;
    others integer;
    everybody integer;
BEGIN
    SELECT i.tenant_id, t.provider_id INTO asking, provider
    FROM incidents_incident i JOIN tenants_tenant t ON t.id = i.tenant_id
    WHERE i.id = p_incident AND t.shares_warnings
        AND i.tenant_id = ANY (
            string_to_array(nullif(current_setting('app.tenant_ids', true), ''), ',')::bigint[])
        AND (i.shared_at IS NOT NULL OR current_setting('role') <> 'c_portal');
    IF asking IS NULL THEN
        RETURN 0;
    END IF;
    SELECT count(DISTINCT theirs.tenant_id) INTO others
    FROM incidents_incidentmessage m
    JOIN incidents_warningmark ours ON ours.tenant_id = m.tenant_id
        AND ours.message_id = m.message_id
    JOIN incidents_warningmark theirs ON theirs.mark = ours.mark
        AND theirs.tenant_id <> asking AND theirs.last_seen_at > now() - interval '30 days'
    -- What turned out harmless there is no warning.
    JOIN incidents_ledgerentry e ON e.message_id = theirs.message_id
        AND e.counted_as NOT LIKE 'false%' AND e.counted_as <> 'benign'
    JOIN tenants_tenant t ON t.id = theirs.tenant_id AND t.shares_warnings
        AND t.provider_id = provider
    WHERE m.tenant_id = asking AND m.incident_id = p_incident;
    SELECT count(*) INTO everybody FROM tenants_tenant t
    WHERE t.provider_id = provider AND t.shares_warnings AND t.id <> asking;
    others := least(others, everybody - 2);
    RETURN CASE WHEN others >= 3 THEN others ELSE 0 END;
END
"""
# The portal reads incidents through a policy of its own: only shared ones are in this list.
OF_SHARED = "incident_id IN (SELECT id FROM incidents_incident)"
# The portal's role writes nothing itself: this door takes a client's word, about a held mail of its
# own or about a shared incident, from somebody who may sign in to its portal.  A wish wakes the
# worker that looks at the mail again.  One of the client's people may want a digest sent, three an
# hour to a mailbox.
CLIENT_WORD = """
DECLARE
    client bigint := nullif(current_setting('app.tenant_ids', true), '')::bigint;
    someone tenants_person;
    fits boolean;
    made uuid := gen_random_uuid();
BEGIN
    SELECT * INTO someone FROM tenants_person
     WHERE id = p_person AND tenant_id = client AND is_active;
    IF someone.id IS NULL OR length(p_text) NOT BETWEEN 1 AND 2000 THEN
        RETURN NULL;
    END IF;
    fits := CASE p_kind
        WHEN 'release' THEN EXISTS (SELECT FROM incidents_delivery
            WHERE id = p_object AND tenant_id = client AND place = 'hold')
        WHEN 'answer' THEN EXISTS (SELECT FROM incidents_incident
            WHERE id = p_object AND tenant_id = client AND shared_at IS NOT NULL)
        WHEN 'digest' THEN EXISTS (SELECT FROM tenants_mailbox
            WHERE id = p_object AND tenant_id = client AND address = p_text AND state <> 'gone')
        ELSE false END;
    IF NOT fits THEN
        RETURN NULL;
    END IF;
    IF p_kind = 'digest' AND 3 <= (SELECT count(*) FROM incidents_clientword
            WHERE tenant_id = client AND kind = 'digest' AND text = p_text
              AND created_at > now() - interval '1 hour') THEN
        RETURN to_jsonb('too_many'::text);
    END IF;
    INSERT INTO incidents_clientword (id, tenant_id, kind, incident_id, delivery_id, text,
            person_id, person_name, created_at, settled_by, outcome)
    VALUES (made, client, p_kind, CASE p_kind WHEN 'answer' THEN p_object END,
            CASE p_kind WHEN 'release' THEN p_object END, p_text,
            someone.id, someone.name, clock_timestamp(), '', '')
    ON CONFLICT DO NOTHING;
    INSERT INTO tenants_auditentry (id, provider_id, tenant_id, at, actor_id, actor_name, action,
            object_kind, object_id, reason, detail)
    VALUES (gen_random_uuid(), someone.provider_id, client, now(), someone.id, someone.name,
            'incidents.client.' || p_kind, CASE p_kind WHEN 'answer' THEN 'incident'
            WHEN 'digest' THEN 'mailbox' ELSE 'delivery' END, p_object::text, p_text, '{}');
    IF p_kind IN ('release', 'digest') THEN
        INSERT INTO tenants_work (id, tenant_id, queue, wanted_at, fence)
        VALUES (gen_random_uuid(), client, CASE p_kind WHEN 'release' THEN 'held' ELSE p_kind END,
                now(), 0)
        ON CONFLICT (tenant_id, queue) DO UPDATE
            SET wanted_at = least(tenants_work.wanted_at, excluded.wanted_at);
    END IF;
    RETURN to_jsonb(made);
END
"""
_SIGNATURE = "door_client_word(p_kind text, p_object uuid, p_person uuid, p_text text)"
# Row security keeps JSON operators from an index for whoever it holds for: this door filters by the
# scope's clients itself, and names copies of theirs only.
COPIES_BY_WAY = """
DECLARE
    ours bigint[] := string_to_array(
        nullif(current_setting('app.tenant_ids', true), ''), ',')::bigint[];
    ids bigint[] := ARRAY(SELECT unnest(p_tenants) INTERSECT SELECT unnest(ours));
BEGIN
    IF p_kind = 'client_ip' THEN
        RETURN (SELECT jsonb_agg(found.delivery_id) FROM (
            SELECT s.delivery_id FROM incidents_observation o
              JOIN incidents_sighting s ON s.tenant_id = o.tenant_id AND s.observation_id = o.id
             WHERE o.tenant_id = ANY(ids) AND o.detail ->> 'client_ip' = p_value
               AND o.observed_at >= p_since
             ORDER BY o.observed_at DESC LIMIT p_most) AS found);
    ELSIF p_kind = 'queue_id' THEN
        RETURN (SELECT jsonb_agg(found.delivery_id) FROM (
            SELECT s.delivery_id FROM incidents_observation o
              JOIN incidents_sighting s ON s.tenant_id = o.tenant_id AND s.observation_id = o.id
             WHERE o.tenant_id = ANY(ids) AND o.detail ->> 'queue_id' = p_value
               AND o.detail ->> 'queue_id' <> '' AND o.observed_at >= p_since
             ORDER BY o.observed_at DESC LIMIT p_most) AS found);
    END IF;
    RETURN NULL;
END
"""


class Migration(migrations.Migration):
    initial = True
    replaces: ClassVar = [
        ("incidents", "0001_initial"),
        ("incidents", "0002_bulk_rows_without_lookups"),
        ("incidents", "0003_correlation"),
        ("incidents", "0004_campaigns"),
        ("incidents", "0005_disagreements"),
        ("incidents", "0006_ledger"),
        ("incidents", "0007_work"),
        ("incidents", "0008_queue"),
        ("incidents", "0009_attachments_skills"),
        ("incidents", "0010_passed"),
        ("incidents", "0011_answers"),
        ("incidents", "0012_mail_traits"),
        ("incidents", "0013_statements"),
        ("incidents", "0014_campaign_links"),
        ("incidents", "0015_warnings_name_nobody"),
        ("incidents", "0016_messages_without_lookups"),
        ("incidents", "0017_wishes"),
        ("incidents", "0018_found_by_its_way"),
        ("incidents", "0019_interference"),
        ("incidents", "0020_waiting_for_in_the_queue"),
        ("incidents", "0021_digest_wishes"),
        ("incidents", "0022_release_that_sticks"),
        ("incidents", "0023_findings"),
        ("incidents", "0024_user_reports"),
    ]
    dependencies: ClassVar = [("tenants", "0001_squashed_0007_domains_and_new_clients")]
    operations: ClassVar = [
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
                                    ("passed", "Passed on"),
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
                        "indexes": [],
                        "constraints": [],
                    },
                ),
            ],
        ),
        CreateTables(
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
                                ("passed", "Passed on"),
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
                    (
                        "message",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="deliveries",
                            to="incidents.message",
                        ),
                    ),
                    ("person_at", models.DateTimeField(null=True)),
                    (
                        "person_verdict",
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
                            db_default="",
                            default="",
                            max_length=12,
                        ),
                    ),
                    ("vendor_at", models.DateTimeField(null=True)),
                    (
                        "vendor_verdict",
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
                            db_default="",
                            default="",
                            max_length=12,
                        ),
                    ),
                    ("replied_at", models.DateTimeField(null=True)),
                    (
                        "conversation",
                        models.CharField(blank=True, db_default="", default="", max_length=32),
                    ),
                    ("forwarded_at", models.DateTimeField(null=True)),
                    ("forwarded_by", models.UUIDField(null=True)),
                    ("replied_by", models.UUIDField(null=True)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(
                            fields=["tenant", "recipient", "-received_at"],
                            name="delivery_recipient",
                        ),
                        models.Index(fields=["tenant", "mailbox_item_id"], name="delivery_item"),
                        models.Index(
                            condition=models.Q(("place", "hold")),
                            fields=["tenant", "-received_at"],
                            name="delivery_held",
                        ),
                        models.Index(
                            condition=models.Q(
                                ("gateway_at__isnull", False), ("mailbox_item_id", "")
                            ),
                            fields=["tenant", "recipient", "received_at"],
                            name="delivery_unclaimed",
                        ),
                        models.Index(
                            condition=models.Q(
                                ("direction", "inbound"),
                                ("gateway_at__isnull", True),
                                ("match", "one_layer"),
                            ),
                            fields=["tenant", "recipient", "received_at"],
                            name="delivery_alone",
                        ),
                        models.Index(
                            condition=models.Q(("match__in", ["weak", "ambiguous"])),
                            fields=["tenant", "recipient", "received_at"],
                            name="delivery_doubtful",
                        ),
                        models.Index(
                            fields=["tenant", "-received_at"],
                            include=("outcome",),
                            name="delivery_tenant_received",
                        ),
                        models.Index(fields=["-received_at", "-id"], name="delivery_received"),
                        models.Index(
                            condition=models.Q(("conversation", ""), _negated=True),
                            fields=["tenant", "conversation"],
                            name="delivery_conversation",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "message", "recipient"), name="delivery_once"
                        )
                    ],
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
                    (
                        "merged_into",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="incidents.incident",
                        ),
                    ),
                    (
                        "campaign",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="incidents",
                            to="incidents.campaign",
                        ),
                    ),
                    ("acted_at", models.DateTimeField(null=True)),
                    (
                        "cause_code",
                        models.CharField(
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
                    ("contained_at", models.DateTimeField(null=True)),
                    ("due_at", models.DateTimeField(null=True)),
                    ("due_for", models.CharField(blank=True, max_length=10)),
                    (
                        "quiet",
                        models.CharField(
                            blank=True,
                            choices=[
                                ("snoozed", "Snoozed"),
                                ("muted", "Muted"),
                                ("suppressed", "Suppressed by a rule"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("quiet_until", models.DateTimeField(null=True)),
                    ("revision", models.PositiveIntegerField(default=0)),
                    ("triaged_at", models.DateTimeField(null=True)),
                    ("waiting_for", models.CharField(blank=True, max_length=20)),
                    ("waiting_since", models.DateTimeField(null=True)),
                    ("queue_rank", models.PositiveSmallIntegerField(default=0)),
                    (
                        "subject",
                        models.CharField(blank=True, db_default="", default="", max_length=300),
                    ),
                    (
                        "finding",
                        models.CharField(blank=True, db_default="", default="", max_length=20),
                    ),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(
                            fields=["tenant", "-last_seen_at"], name="incident_tenant_seen"
                        ),
                        models.Index(
                            condition=models.Q(("campaign__isnull", False)),
                            fields=["tenant", "campaign"],
                            name="incident_campaign",
                        ),
                        models.Index(
                            condition=models.Q(("merged_into__isnull", False)),
                            fields=["tenant", "merged_into"],
                            name="incident_merged_into",
                        ),
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="incident_due",
                        ),
                        models.Index(fields=["tenant", "opened_at"], name="incident_tenant_opened"),
                        models.Index(fields=["sender", "-last_seen_at"], name="incident_sender"),
                        models.Index(
                            condition=models.Q(("state", "resolved"), _negated=True),
                            fields=["-queue_rank", "due_at", "opened_at", "id"],
                            include=(
                                "tenant",
                                "owner_id",
                                "state",
                                "waiting_since",
                                "waiting_for",
                                "quiet",
                                "quiet_until",
                                "severity",
                                "kind",
                            ),
                            name="incident_open_queue",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "number"), name="incident_number_once"
                        )
                    ],
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
                                ("look", "Look again"),
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
                    ("group_id", models.UUIDField(null=True)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(fields=["tenant", "-created_at"], name="job_tenant_created"),
                        models.Index(fields=["tenant", "incident"], name="job_incident"),
                        models.Index(
                            condition=models.Q(("group_id__isnull", False)),
                            fields=["group_id"],
                            name="job_group",
                        ),
                    ],
                    "constraints": [],
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
                    "indexes": [
                        models.Index(fields=["tenant", "state", "due_at"], name="intent_due"),
                        models.Index(fields=["tenant", "delivery"], name="intent_delivery"),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "job", "delivery"), name="intent_once"
                        )
                    ],
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
                    (
                        "same_as",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="incidents.message",
                        ),
                    ),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(
                            fields=["tenant", "-first_seen_at"], name="message_tenant_seen"
                        ),
                        models.Index(
                            fields=["tenant", "fingerprint"], name="message_tenant_fingerprint"
                        ),
                        models.Index(
                            fields=["tenant", "sender_address"], name="message_tenant_sender"
                        ),
                        models.Index(
                            fields=["tenant", "internet_message_id", "first_seen_at"],
                            name="message_by_id",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("trace_ulid", ""), _negated=True),
                            fields=("tenant", "trace_ulid"),
                            name="message_trace_once",
                        )
                    ],
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
                    "indexes": [
                        models.Index(fields=["tenant", "incident"], name="incident_messages")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "message"), name="message_in_one_incident"
                        )
                    ],
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
                    "indexes": [
                        models.Index(fields=["tenant", "incident"], name="group_key_incident"),
                        models.Index(
                            fields=["value"],
                            include=("kind", "tenant", "incident"),
                            name="group_key_value",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "kind", "value", "message"), name="group_key_once"
                        )
                    ],
                },
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
                    "indexes": [
                        models.Index(fields=["tenant", "-at"], name="access_tenant_at"),
                        models.Index(fields=["tenant", "message"], name="access_message"),
                    ],
                    "constraints": [],
                },
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
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
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
                    (
                        "kind",
                        models.CharField(
                            choices=[("incident", "Incident"), ("agreed_times", "Agreed times")],
                            default="incident",
                            max_length=20,
                        ),
                    ),
                    ("since", models.DateTimeField(null=True)),
                    ("until", models.DateTimeField(null=True)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(
                            fields=["tenant", "incident", "-created_at"], name="report_incident"
                        ),
                        models.Index(fields=["tenant", "kind", "-created_at"], name="report_kind"),
                    ],
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("incident__isnull", False), ("kind", "incident")),
                                models.Q(
                                    ("incident", None),
                                    ("kind", "agreed_times"),
                                    ("since__lt", models.F("until")),
                                ),
                                _connector="OR",
                            ),
                            name="report_of_one_thing",
                        )
                    ],
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
                    "indexes": [
                        models.Index(fields=["tenant", "delivery"], name="sighting_delivery")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "observation_id"), name="sighting_once"
                        )
                    ],
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
                    "indexes": [],
                    "constraints": [],
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
                            db_constraint=False,
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
                        models.Index(fields=["tenant", "observation_id"], name="backlog_next")
                    ],
                    "constraints": [],
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
                    "indexes": [],
                },
            ),
            migrations.CreateModel(
                name="TraitCount",
                fields=[
                    (
                        "pk",
                        models.CompositePrimaryKey(
                            "tenant_id",
                            "kind",
                            "value",
                            blank=True,
                            editable=False,
                            primary_key=True,
                            serialize=False,
                        ),
                    ),
                    ("kind", models.CharField(max_length=20)),
                    ("value", models.CharField(blank=True, max_length=64)),
                    ("messages", models.PositiveBigIntegerField()),
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
                    "indexes": [],
                    "constraints": [],
                },
            ),
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
                    (
                        "a",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="incidents.message",
                        ),
                    ),
                    (
                        "b",
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
                        models.Index(fields=["tenant", "a"], name="edge_a"),
                        models.Index(fields=["tenant", "b"], name="edge_b"),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("withdraws__isnull", False)),
                            fields=("tenant", "withdraws"),
                            name="edge_withdrawn_once",
                        )
                    ],
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
                    (
                        "message",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="traits",
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
                            fields=["tenant", "kind", "value", "seen_at"], name="trait_value"
                        ),
                        models.Index(fields=["tenant", "seen_at"], name="trait_seen"),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "message", "kind", "value"), name="trait_once"
                        )
                    ],
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
                        "other",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
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
                    "indexes": [
                        models.Index(fields=["tenant", "incident"], name="regrouping_incident"),
                        models.Index(fields=["tenant", "other"], name="regrouping_other"),
                    ],
                    "constraints": [],
                },
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
                    "indexes": [
                        models.Index(
                            fields=["tenant", "-last_seen_at"], name="campaign_tenant_seen"
                        )
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "number"), name="campaign_number_once"
                        )
                    ],
                },
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
                                (
                                    "gateway_condemned_late",
                                    "Condemned by the gateway after delivery",
                                ),
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
                    "indexes": [],
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
                    "indexes": [
                        models.Index(fields=["tenant", "-created_at"], name="order_tenant")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("withdrawn_at__isnull", True)),
                            fields=("tenant", "incident"),
                            name="one_standing_order",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="LedgerDay",
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
                    ("day", models.DateField()),
                    ("counted_as", models.CharField(max_length=40)),
                    ("mails", models.IntegerField()),
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
                            fields=["tenant", "day", "counted_as"],
                            include=("mails",),
                            name="ledger_day_sums",
                        )
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="LedgerEntry",
                fields=[
                    (
                        "message",
                        models.OneToOneField(
                            db_constraint=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            primary_key=True,
                            related_name="ledger_entry",
                            serialize=False,
                            to="incidents.message",
                        ),
                    ),
                    ("counted_as", models.CharField(max_length=40)),
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
                        ),
                    ),
                    ("seen_at", models.DateTimeField()),
                    ("gateway_at", models.DateTimeField(null=True)),
                    ("mailbox_at", models.DateTimeField(null=True)),
                    ("person_at", models.DateTimeField(null=True)),
                    ("vendor_at", models.DateTimeField(null=True)),
                    ("lag_s", models.FloatField(null=True)),
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
                        models.Index(fields=["tenant", "-seen_at"], name="ledger_tenant_seen"),
                        models.Index(fields=["counted_as", "-message"], name="ledger_figure_list"),
                        models.Index(
                            condition=models.Q(("lag_s__isnull", False)),
                            fields=["seen_at"],
                            include=("tenant", "counted_as", "lag_s"),
                            name="ledger_lags",
                        ),
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="WarningMark",
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
                    ("last_seen_at", models.DateTimeField()),
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
                        models.Index(fields=["mark", "-last_seen_at"], name="warning_mark_seen")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "message", "mark"), name="warning_mark_once"
                        )
                    ],
                },
            ),
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
                    (
                        "incident",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="calls",
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
                    "indexes": [
                        models.Index(
                            fields=["tenant", "incident", "called_at"], name="call_incident"
                        )
                    ],
                    "constraints": [],
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
                    (
                        "incident",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="comments",
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
                    "indexes": [
                        models.Index(
                            fields=["tenant", "incident", "created_at"], name="comment_incident"
                        )
                    ],
                    "constraints": [],
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
                    (
                        "comment",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="mentions",
                            to="incidents.comment",
                        ),
                    ),
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
                        models.Index(fields=["tenant", "incident"], name="mention_incident"),
                        models.Index(
                            condition=models.Q(("seen_at", None)),
                            fields=["person_id", "-created_at"],
                            name="mention_unseen",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "comment", "person_id"), name="mention_once"
                        )
                    ],
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
                    (
                        "incident",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="pauses",
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
                    "indexes": [
                        models.Index(
                            fields=["tenant", "incident", "started_at"], name="pause_incident"
                        )
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("ended_at", None)),
                            fields=("tenant", "incident"),
                            name="pause_one_at_a_time",
                        )
                    ],
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
                    (
                        "incident",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="quiets",
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
                        "suppression",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="quiets",
                            to="incidents.suppression",
                        ),
                    ),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(fields=["tenant", "incident"], name="quiet_incident"),
                        models.Index(fields=["tenant", "suppression"], name="quiet_suppression"),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("ended_at", None)),
                            fields=("tenant", "incident"),
                            name="quiet_one_at_a_time",
                        )
                    ],
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
                    (
                        "person",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
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
                    "indexes": [],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("person", "name"), name="saved_view_name_once"
                        )
                    ],
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
                    "indexes": [
                        models.Index(fields=["tenant", "-valid_from"], name="sla_plan_tenant")
                    ],
                    "constraints": [],
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
                        models.Index(fields=["tenant", "-created_at"], name="suppression_tenant")
                    ],
                    "constraints": [],
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
                    (
                        "incident",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="tasks",
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
                    "indexes": [],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "incident", "position"), name="task_position_once"
                        )
                    ],
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
                    "indexes": [],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("provider", "kind", "version"), name="task_template_version"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="ClientWord",
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
                                ("answer", "Answer"),
                                ("release", "Wish for a release"),
                                ("digest", "Wish for a digest"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("text", models.TextField()),
                    ("person_id", models.UUIDField()),
                    ("person_name", models.CharField(max_length=200)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("settled_at", models.DateTimeField(null=True)),
                    ("settled_by", models.CharField(blank=True, max_length=200)),
                    ("outcome", models.CharField(blank=True, max_length=300)),
                    (
                        "delivery",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="client_words",
                            to="incidents.delivery",
                        ),
                    ),
                    (
                        "incident",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="client_words",
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
                    ("scan", models.JSONField(db_default={}, default=dict)),
                    ("scanned_at", models.DateTimeField(null=True)),
                    (
                        "source",
                        models.CharField(
                            choices=[
                                ("portal", "Portal"),
                                ("digest", "Digest"),
                                ("report", "Report of a mail as not junk"),
                            ],
                            db_default="portal",
                            default="portal",
                            max_length=10,
                        ),
                    ),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(fields=["tenant", "incident"], name="client_word_incident"),
                        models.Index(
                            condition=models.Q(("settled_at", None)),
                            fields=["tenant", "-created_at"],
                            name="client_word_open",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("kind", "release"), ("settled_at", None)),
                            fields=("tenant", "delivery"),
                            name="one_wish_at_a_time",
                        )
                    ],
                },
            ),
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
                    "indexes": [],
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
                        models.UniqueConstraint(
                            fields=("person", "skill"), name="person_skill_once"
                        )
                    ],
                    "indexes": [],
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
                    "indexes": [],
                },
            ),
            migrations.CreateModel(
                name="Answer",
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
                    ("mailbox", models.CharField(max_length=320)),
                    ("key", models.CharField(max_length=32)),
                    (
                        "names",
                        models.CharField(
                            choices=[
                                ("parent", "It answers that mail"),
                                ("ancestor", "It answers an answer to it"),
                                ("conversation", "It is of the same conversation"),
                            ],
                            max_length=12,
                        ),
                    ),
                    ("observation_id", models.UUIDField()),
                    ("sent_at", models.DateTimeField()),
                    ("is_forward", models.BooleanField()),
                    ("recipients", models.JSONField(default=list)),
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
                    "indexes": [models.Index(fields=["tenant", "sent_at"], name="answer_sent")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "key", "observation_id"), name="answer_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="MailTrait",
                fields=[
                    (
                        "pk",
                        models.CompositePrimaryKey(
                            "tenant_id",
                            "key",
                            "seen_at",
                            "message_id",
                            blank=True,
                            editable=False,
                            primary_key=True,
                            serialize=False,
                        ),
                    ),
                    ("key", models.BigIntegerField()),
                    ("seen_at", models.DateTimeField()),
                    ("message_id", models.UUIDField()),
                    (
                        "tenant",
                        models.ForeignKey(
                            db_constraint=False,
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
                        django.contrib.postgres.indexes.BrinIndex(
                            fields=["seen_at"], name="mail_trait_seen"
                        )
                    ],
                    "constraints": [],
                },
            ),
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
                    "indexes": [
                        models.Index(fields=["provider", "root"], name="campaign_link_root")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("is_current", True)),
                            fields=("provider", "mark"),
                            name="campaign_link_mark_once",
                        )
                    ],
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
                    "indexes": [
                        models.Index(
                            fields=["link"], include=("tenant", "incident"), name="linked_incident"
                        )
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "incident", "link"), name="linked_incident_once"
                        )
                    ],
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
                    "indexes": [],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "message"), name="linked_mail_once"
                        )
                    ],
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
                    "indexes": [
                        models.Index(fields=["tenant", "-asked_at"], name="recomputation_tenant")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("decided_at", None)),
                            fields=("tenant",),
                            name="recomputation_one_open",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Interference",
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
                                ("header", "The gateway's mark"),
                                ("connector", "Whom the mail host takes for the sender"),
                                ("links", "Rewritten links"),
                                ("double_quarantine", "Filtered a second time"),
                            ],
                            max_length=20,
                        ),
                    ),
                    ("copies", models.PositiveIntegerField()),
                    ("findings", models.JSONField(default=list)),
                    ("is_cut", models.BooleanField(default=False)),
                    ("since", models.DateTimeField()),
                    ("looked_at", models.DateTimeField()),
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
                        models.UniqueConstraint(fields=("tenant", "kind"), name="interference_once")
                    ],
                    "indexes": [],
                },
            ),
            migrations.CreateModel(
                name="AllowedCopy",
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
                    ("rule_id", models.UUIDField()),
                    ("owner", models.CharField(max_length=200)),
                    ("words", models.TextField(blank=True)),
                    ("beats_threats", models.BooleanField(default=False)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("ended_at", models.DateTimeField(null=True)),
                    ("ended_by", models.CharField(blank=True, max_length=200)),
                    (
                        "delivery",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
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
                    "indexes": [
                        models.Index(fields=["tenant", "rule_id"], name="allowed_copy_rule")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "delivery", "rule_id"), name="allowed_copy_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="ReleaseLook",
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
                    ("rule_id", models.UUIDField(null=True)),
                    ("released_by_id", models.UUIDField(null=True)),
                    ("released_by", models.CharField(max_length=200)),
                    ("delivered_at", models.DateTimeField()),
                    (
                        "put_in",
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
                        ),
                    ),
                    ("due_at", models.DateTimeField()),
                    ("fence", models.BigIntegerField(default=0)),
                    ("tries", models.PositiveSmallIntegerField(default=0)),
                    (
                        "outcome",
                        models.CharField(
                            blank=True,
                            choices=[
                                ("kept", "Still there"),
                                ("moved", "Moved to another folder"),
                                ("pulled", "Pulled again by Bailey"),
                                ("junked", "In the junk folder"),
                                ("deleted", "Deleted"),
                                ("not_seen", "Not seen in the mailbox"),
                                ("blind", "Nobody could look"),
                                ("no_layer", "No mailbox layer there"),
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
                    (
                        "proof",
                        models.CharField(
                            blank=True,
                            choices=[
                                ("bytes", "The original, byte for byte"),
                                ("content", "The same content, written anew on its way"),
                                ("differs", "Not the content of the original"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("looked_at", models.DateTimeField(null=True)),
                    ("done_at", models.DateTimeField(null=True)),
                    (
                        "delivery",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="looks",
                            to="incidents.delivery",
                        ),
                    ),
                    (
                        "intent",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="incidents.intent",
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
                            condition=models.Q(("done_at__isnull", True)),
                            fields=["tenant", "due_at"],
                            name="release_look_due",
                        ),
                        models.Index(fields=["tenant", "delivery"], name="release_look_delivery"),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "intent"), name="release_look_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Finding",
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
                    ("code", models.CharField(max_length=20)),
                    ("key", models.CharField(max_length=120)),
                    ("words", models.TextField()),
                    ("ends_at", models.DateTimeField(null=True)),
                    ("since", models.DateTimeField()),
                    ("settled_at", models.DateTimeField(null=True)),
                    (
                        "incident",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="findings",
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
                    "indexes": [
                        models.Index(fields=["tenant", "incident"], name="finding_incident")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("settled_at__isnull", True)),
                            fields=("tenant", "code", "key"),
                            name="finding_stands_once",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="HerdAct",
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
                            choices=[
                                ("off", "Nothing"),
                                ("dry_run", "Dry run: note what would have been pulled"),
                                ("pull", "Pull all copies"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("reporters", models.PositiveIntegerField()),
                    ("copies", models.PositiveIntegerField()),
                    ("at", models.DateTimeField(default=django.utils.timezone.now)),
                    (
                        "incident",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="herd_acts",
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
                    "indexes": [models.Index(fields=["tenant", "-at"], name="herd_act_tenant")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "incident", "mode"), name="herd_act_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="ReportTerms",
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
                    ("answers", models.BooleanField(default=True)),
                    (
                        "herd_mode",
                        models.CharField(
                            choices=[
                                ("off", "Nothing"),
                                ("dry_run", "Dry run: note what would have been pulled"),
                                ("pull", "Pull all copies"),
                            ],
                            default="off",
                            max_length=10,
                        ),
                    ),
                    ("herd_reporters", models.PositiveSmallIntegerField(default=5)),
                    ("changed_by", models.CharField(blank=True, max_length=200)),
                    ("changed_at", models.DateTimeField(auto_now=True)),
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
                    "constraints": [
                        models.UniqueConstraint(fields=("tenant",), name="report_terms_once")
                    ],
                    "indexes": [],
                },
            ),
            migrations.CreateModel(
                name="UserReport",
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
                        "way",
                        models.CharField(
                            choices=[
                                ("abuse_mailbox", "Mail to the report mailbox"),
                                ("microsoft", "Report button of Outlook"),
                                ("gmail", "Report button of Gmail"),
                            ],
                            max_length=20,
                        ),
                    ),
                    ("source_key", models.CharField(max_length=600)),
                    ("reporter", models.CharField(max_length=320)),
                    ("reported_at", models.DateTimeField()),
                    ("taken_at", models.DateTimeField(default=django.utils.timezone.now)),
                    (
                        "said",
                        models.CharField(
                            choices=[
                                ("phish", "Phishing"),
                                ("junk", "Junk"),
                                ("not_junk", "Not junk"),
                                ("unsure", "Looks odd"),
                            ],
                            max_length=10,
                        ),
                    ),
                    (
                        "trust",
                        models.CharField(
                            choices=[
                                ("own", "From one of the client's people"),
                                ("outside", "Not from one of ours"),
                                ("forged", "Says it is from one of ours, not proven"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("trust_why", models.CharField(blank=True, max_length=300)),
                    ("is_automatic", models.BooleanField(default=False)),
                    ("subject", models.CharField(blank=True, max_length=300)),
                    ("words", models.CharField(blank=True, max_length=500)),
                    ("original_id", models.CharField(blank=True, max_length=1000)),
                    ("original_fingerprint", models.CharField(blank=True, max_length=64)),
                    ("original_subject", models.CharField(blank=True, max_length=300)),
                    ("original_sender", models.CharField(blank=True, max_length=320)),
                    ("original", models.JSONField(default=dict)),
                    ("evidence", models.CharField(blank=True, max_length=64)),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("new", "Just came"),
                                ("said", "Being matched"),
                                ("placed", "Original found"),
                                ("missing", "Original not found"),
                                ("ignored", "Does not count"),
                            ],
                            default="new",
                            max_length=10,
                        ),
                    ),
                    (
                        "found",
                        models.CharField(
                            blank=True,
                            choices=[
                                ("", "Not yet"),
                                ("message_id", "By its Message-ID"),
                                ("fingerprint", "By its content"),
                                ("subject", "By its subject, the only one"),
                                ("attached", "From the report alone"),
                                ("nowhere", "Not found"),
                            ],
                            max_length=12,
                        ),
                    ),
                    ("found_why", models.CharField(blank=True, max_length=300)),
                    ("receipt_at", models.DateTimeField(null=True)),
                    ("outcome_at", models.DateTimeField(null=True)),
                    ("outcome", models.CharField(blank=True, max_length=40)),
                    ("owes_outcome", models.BooleanField(default=False)),
                    ("unanswered", models.CharField(blank=True, max_length=200)),
                    (
                        "delivery",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="user_reports",
                            to="incidents.delivery",
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
                        models.Index(fields=["tenant", "-reported_at"], name="user_report_tenant"),
                        models.Index(fields=["-reported_at", "-id"], name="user_report_newest"),
                        models.Index(
                            condition=models.Q(("delivery__isnull", False)),
                            fields=["tenant", "delivery"],
                            name="user_report_delivery",
                        ),
                        models.Index(
                            condition=models.Q(("state__in", ["new", "said"])),
                            fields=["tenant", "state"],
                            name="user_report_waiting",
                        ),
                        models.Index(
                            condition=models.Q(("owes_outcome", True)),
                            fields=["tenant"],
                            name="user_report_owing",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "source_key"), name="user_report_once"
                        )
                    ],
                },
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
        *(
            RunSQL(
                f"ALTER TABLE {table} DROP CONSTRAINT {name}",
                f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (tenant_id)"
                " REFERENCES tenants_tenant (id) DEFERRABLE INITIALLY DEFERRED",
            )
            for table, name in IMPLIED
        ),
        # Counts of common values are written with every batch: room for them on their own page.
        RunSQL(
            "ALTER TABLE incidents_traitcount SET (fillfactor = 80)",
            "ALTER TABLE incidents_traitcount RESET (fillfactor)",
        ),
        AddTenantPolicy("incidents_traitcount", portal=()),
        AddTenantForeignKey("incidents_message", "same_as_id", "incidents_message"),
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
        AddTenantPolicy("incidents_ledgerentry"),
        AddTenantPolicy("incidents_ledgerday"),
        AddTenantPolicy("incidents_warningmark", portal=()),
        AddTenantForeignKey("incidents_ledgerentry", "message_id", "incidents_message"),
        AddTenantForeignKey("incidents_warningmark", "message_id", "incidents_message"),
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
        AddPortalSees("incidents_job", OF_SHARED),
        AddPortalSees("incidents_intent", "job_id IN (SELECT id FROM incidents_job)"),
        AddTenantPolicy("incidents_clientword"),
        AddTenantForeignKey("incidents_clientword", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_clientword", "delivery_id", "incidents_delivery"),
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
        AddTenantPolicy("incidents_answer", portal=()),
        AddTenantPolicy("incidents_mailtrait", portal=()),
        AddPortalSees(
            "incidents_report", f"audience = 'client' AND (incident_id IS NULL OR {OF_SHARED})"
        ),
        AddProviderPolicy("incidents_campaignlink"),
        AddTenantPolicy("incidents_linkedmail", portal=()),
        AddTenantPolicy("incidents_linkedincident", portal=()),
        AddTenantPolicy("incidents_recomputation", portal=()),
        AddTenantForeignKey("incidents_linkedmail", "message_id", "incidents_message"),
        AddTenantForeignKey("incidents_linkedincident", "incident_id", "incidents_incident"),
        AddDoor(
            "door_also_seen(p_incident uuid)",
            "integer",
            ALSO_SEEN,
            callers="c_analyst, c_portal",
        ),
        RunSQL(
            [
                "CREATE INDEX observation_client_ip ON incidents_observation"
                " (tenant_id, (detail ->> 'client_ip'), observed_at DESC)"
                " WHERE detail ->> 'client_ip' IS NOT NULL",
                "CREATE INDEX observation_queue_id ON incidents_observation"
                " (tenant_id, (detail ->> 'queue_id'), observed_at DESC)"
                " WHERE detail ->> 'queue_id' <> ''",
            ],
            ["DROP INDEX observation_client_ip", "DROP INDEX observation_queue_id"],
        ),
        AddDoor(
            "door_copies_by_way(p_kind text, p_value text, p_since timestamptz,"
            " p_tenants bigint[], p_most integer)",
            "jsonb",
            COPIES_BY_WAY,
            callers="c_analyst",
        ),
        AddTenantPolicy("incidents_interference", portal=()),
        AddDoor(_SIGNATURE, "jsonb", CLIENT_WORD, callers="c_portal"),
        AddTenantPolicy("incidents_allowedcopy", portal=()),
        AddTenantForeignKey("incidents_allowedcopy", "delivery_id", "incidents_delivery"),
        AddTenantPolicy("incidents_releaselook", portal=()),
        AddTenantForeignKey("incidents_releaselook", "delivery_id", "incidents_delivery"),
        AddTenantForeignKey("incidents_releaselook", "intent_id", "incidents_intent"),
        AddTenantForeignKey("incidents_finding", "incident_id", "incidents_incident"),
        AddTenantPolicy("incidents_finding", portal=()),
        AddTenantPolicy("incidents_userreport", portal=()),
        AddTenantPolicy("incidents_reportterms", portal=()),
        AddTenantPolicy("incidents_herdact", portal=()),
        AddTenantForeignKey("incidents_userreport", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("incidents_userreport", "delivery_id", "incidents_delivery"),
        AddTenantForeignKey("incidents_reportterms", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("incidents_herdact", "incident_id", "incidents_incident"),
        AddTenantForeignKey("incidents_herdact", "job_id", "incidents_job"),
    ]
