"""The gateway's side: gates, policies, rules, queues; tables, policies and doors."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations import RunSQL

import tenants.ids
from tenants.rls import AddDoor, AddProviderPolicy, AddTenantForeignKey, AddTenantPolicy
from tenants.tables import CreateTables

# What a link of a digest does, once: the mailbox's wish for the mail that the link names.  Whether
# the mail is then released is for the worker to say, by the policy.
HELD_LINK = """
DECLARE
    client bigint := nullif(current_setting('app.tenant_ids', true), '')::bigint;
    link seg_bridge_heldlink;
    box tenants_mailbox;
    made uuid := gen_random_uuid();
BEGIN
    IF length(p_text) NOT BETWEEN 1 AND 2000 THEN
        RETURN NULL;
    END IF;
    UPDATE seg_bridge_heldlink SET used_at = clock_timestamp()
     WHERE id = p_link AND tenant_id = client AND used_at IS NULL AND expires_at > now()
       AND EXISTS (SELECT FROM incidents_delivery d
            WHERE d.tenant_id = client AND d.id = delivery_id AND d.place IN ('hold', 'quarantine'))
    RETURNING * INTO link;
    IF link.id IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT * INTO box FROM tenants_mailbox WHERE tenant_id = client AND id = link.mailbox_id;
    INSERT INTO incidents_clientword (id, tenant_id, kind, delivery_id, text, person_id, person_name,
            created_at, settled_by, outcome, source)
    VALUES (made, client, 'release', link.delivery_id, p_text, box.id, left(box.address, 200),
            clock_timestamp(), '', '', 'digest')
    ON CONFLICT DO NOTHING;
    INSERT INTO tenants_auditentry (id, provider_id, tenant_id, at, actor_id, actor_name, action,
            object_kind, object_id, reason, detail)
    SELECT gen_random_uuid(), t.provider_id, client, now(), NULL, left(box.address, 200),
            'incidents.client.release', 'delivery', link.delivery_id::text, p_text,
            jsonb_build_object('by', 'digest', 'link', link.id)
      FROM tenants_tenant t WHERE t.id = client;
    INSERT INTO tenants_work (id, tenant_id, queue, wanted_at, fence)
    VALUES (gen_random_uuid(), client, 'held', now(), 0)
    ON CONFLICT (tenant_id, queue) DO UPDATE
        SET wanted_at = least(tenants_work.wanted_at, excluded.wanted_at);
    RETURN to_jsonb(made);
END
"""


class Migration(migrations.Migration):
    initial = True
    replaces: ClassVar = [
        ("seg_bridge", "0001_initial"),
        ("seg_bridge", "0002_rehearsal"),
        ("seg_bridge", "0003_gateway_sight"),
        ("seg_bridge", "0004_policy_layers"),
        ("seg_bridge", "0005_policies_to_layers"),
        ("seg_bridge", "0006_policy_push"),
        ("seg_bridge", "0007_rule_scopes"),
        ("seg_bridge", "0008_rules_have_a_provider"),
        ("seg_bridge", "0009_gate_policy_trouble"),
        ("seg_bridge", "0010_group_policies"),
        ("seg_bridge", "0011_held_mail"),
        ("seg_bridge", "0012_onboarding"),
        ("seg_bridge", "0013_queues"),
        ("seg_bridge", "0014_outbound"),
        ("seg_bridge", "0015_lessons"),
        ("seg_bridge", "0016_queue_batches"),
        ("seg_bridge", "0017_group_entries"),
        ("seg_bridge", "0018_release_that_sticks"),
        ("seg_bridge", "0019_standing_records"),
    ]
    dependencies: ClassVar = [
        ("tenants", "0001_squashed_0007_domains_and_new_clients"),
        ("incidents", "0001_squashed_0024_user_reports"),
    ]
    operations: ClassVar = [
        CreateTables(
            migrations.CreateModel(
                name="Gate",
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
                    ("name", models.SlugField(unique=True)),
                    ("hostname", models.CharField(max_length=255)),
                    ("sealed_secret", models.BinaryField()),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("last_seen_at", models.DateTimeField(null=True)),
                    ("snapshot_version", models.CharField(blank=True, max_length=64)),
                    (
                        "provider",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="tenants.provider",
                        ),
                    ),
                    ("offered_version", models.CharField(blank=True, max_length=64)),
                    ("offered_at", models.DateTimeField(null=True)),
                    ("policy_trouble", models.CharField(blank=True, max_length=20)),
                    ("policy_trouble_since", models.DateTimeField(null=True)),
                    ("queue_at", models.DateTimeField(null=True)),
                    ("queue_left_out", models.PositiveIntegerField(default=0)),
                    ("queue_others", models.PositiveIntegerField(default=0)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="GateClient",
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
                        "gate",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="seg_bridge.gate",
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
                    ("in_force", models.CharField(blank=True, max_length=32)),
                    ("in_force_at", models.DateTimeField(null=True)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "constraints": [
                        models.UniqueConstraint(fields=("tenant", "gate"), name="gate_client_once")
                    ],
                    "indexes": [],
                },
            ),
            migrations.CreateModel(
                name="GateCommand",
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
                    ("seq", models.BigIntegerField(unique=True)),
                    (
                        "kind",
                        models.CharField(
                            choices=[
                                ("release", "Release held mail"),
                                ("drop", "Drop held mail"),
                                ("q_retry", "Try again"),
                                ("q_hold", "Put on hold"),
                                ("q_free", "Let it go on"),
                                ("q_remove", "Take out of the queue"),
                                ("q_return", "Return to its sender"),
                                ("lift", "Let a stopped sender send again"),
                                ("learn", "Learn from a mail"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("trace_ulid", models.CharField(max_length=26)),
                    ("recipients", models.JSONField(default=list)),
                    ("evidence", models.CharField(max_length=64)),
                    ("released_by", models.CharField(blank=True, max_length=200)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("done_at", models.DateTimeField(null=True)),
                    ("ok", models.BooleanField(null=True)),
                    ("detail", models.TextField(blank=True)),
                    (
                        "gate",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="seg_bridge.gate",
                        ),
                    ),
                    (
                        "intent",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
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
                    ("queue_id", models.CharField(blank=True, max_length=64)),
                    (
                        "direction",
                        models.CharField(
                            choices=[
                                ("inbound", "inbound"),
                                ("internal", "internal"),
                                ("outbound", "outbound"),
                            ],
                            db_default="inbound",
                            default="inbound",
                            max_length=10,
                        ),
                    ),
                    ("terms", models.JSONField(default=dict)),
                    ("batch", models.UUIDField(null=True)),
                    (
                        "stopped_by",
                        models.CharField(blank=True, db_default="", default="", max_length=200),
                    ),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(
                            condition=models.Q(("ok__isnull", True)),
                            fields=["tenant", "gate", "seq"],
                            name="command_waiting",
                        ),
                        models.Index(
                            condition=models.Q(("queue_id__gt", "")),
                            fields=["tenant", "queue_id"],
                            name="command_of_queue",
                        ),
                        models.Index(
                            condition=models.Q(("batch__isnull", False)),
                            fields=["tenant", "batch"],
                            name="command_of_batch",
                        ),
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="GatewayRule",
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
                            choices=[("allow", "Allow"), ("block", "Block")], max_length=10
                        ),
                    ),
                    (
                        "match",
                        models.CharField(
                            choices=[
                                ("sender", "Sender"),
                                ("sender_domain", "Sender's domain"),
                                ("dkim_domain", "Domain that signed it (DKIM)"),
                                ("client_ip", "Sending host"),
                                ("url_host", "Host of a link"),
                                ("attachment_sha256", "Attachment"),
                                ("mail", "This one mail"),
                            ],
                            max_length=20,
                        ),
                    ),
                    ("value", models.CharField(max_length=320)),
                    ("recipient", models.CharField(blank=True, max_length=320)),
                    ("action", models.CharField(default="hold", max_length=10)),
                    ("beats_threats", models.BooleanField(default=False)),
                    ("owner_id", models.UUIDField(null=True)),
                    ("owner_name", models.CharField(max_length=200)),
                    ("reason", models.TextField()),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("expires_at", models.DateTimeField(null=True)),
                    ("removed_at", models.DateTimeField(null=True)),
                    (
                        "incident",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="gateway_rules",
                            to="incidents.incident",
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
                    (
                        "provider",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="tenants.provider",
                        ),
                    ),
                    ("no_end_because", models.CharField(blank=True, max_length=500)),
                    (
                        "group",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="tenants.clientgroup",
                        ),
                    ),
                    ("in_mailboxes", models.BooleanField(db_default=False, default=False)),
                    (
                        "release",
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
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(
                            condition=models.Q(("removed_at__isnull", True)),
                            fields=["tenant", "kind", "value"],
                            name="rule_in_force",
                        )
                    ],
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                ("group__isnull", True), ("tenant__isnull", True), _connector="OR"
                            ),
                            name="rule_of_one_owner",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Rehearsal",
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
                    ("batch", models.UUIDField()),
                    ("change", models.JSONField()),
                    ("days", models.PositiveSmallIntegerField()),
                    ("since", models.DateTimeField()),
                    ("counts", models.JSONField(default=dict)),
                    ("lists", models.JSONField(default=dict)),
                    ("stops", models.JSONField(default=list)),
                    ("asked_by_id", models.UUIDField(null=True)),
                    ("asked_by", models.CharField(max_length=200)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("saved_at", models.DateTimeField(null=True)),
                    ("saved_by", models.CharField(blank=True, max_length=200)),
                    (
                        "rule",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="seg_bridge.gatewayrule",
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
                        models.Index(fields=["tenant", "batch"], name="rehearsal_batch"),
                        models.Index(
                            fields=["tenant", "-created_at"], name="rehearsal_tenant_created"
                        ),
                    ],
                    "constraints": [],
                },
            ),
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
                                ("group", "Group of clients"),
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
                    (
                        "group",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="tenants.clientgroup",
                        ),
                    ),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(fields=["tenant", "-created_at"], name="policy_change_tenant"),
                        models.Index(
                            fields=["provider", "-created_at"], name="policy_change_provider"
                        ),
                    ],
                    "constraints": [],
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
                                ("group", "Group of clients"),
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
                    (
                        "group",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="tenants.clientgroup",
                        ),
                    ),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(fields=["tenant", "level"], name="policy_layer_tenant")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("level", "provider")),
                            fields=("provider",),
                            name="policy_layer_provider_once",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("level", "client")),
                            fields=("tenant",),
                            name="policy_layer_client_once",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("level", "domain")),
                            fields=("tenant", "domain"),
                            name="policy_layer_domain_once",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("level", "mailbox")),
                            fields=("tenant", "mailbox"),
                            name="policy_layer_mailbox_once",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(
                                    ("domain__isnull", True),
                                    ("group__isnull", True),
                                    ("level", "provider"),
                                    ("mailbox__isnull", True),
                                    ("tenant__isnull", True),
                                ),
                                models.Q(
                                    ("domain__isnull", True),
                                    ("group__isnull", False),
                                    ("level", "group"),
                                    ("mailbox__isnull", True),
                                    ("tenant__isnull", True),
                                ),
                                models.Q(
                                    ("domain__isnull", True),
                                    ("group__isnull", True),
                                    ("level", "client"),
                                    ("mailbox__isnull", True),
                                    ("tenant__isnull", False),
                                ),
                                models.Q(
                                    ("domain__isnull", False),
                                    ("group__isnull", True),
                                    ("level", "domain"),
                                    ("mailbox__isnull", True),
                                    ("tenant__isnull", False),
                                ),
                                models.Q(
                                    ("domain__isnull", True),
                                    ("group__isnull", True),
                                    ("level", "mailbox"),
                                    ("mailbox__isnull", False),
                                    ("tenant__isnull", False),
                                ),
                                _connector="OR",
                            ),
                            name="policy_layer_fits_level",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("level", "group")),
                            fields=("group",),
                            name="policy_layer_group_once",
                        ),
                    ],
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
                    "indexes": [],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("provider", "name"), name="policy_template_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="PolicyPush",
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
                    ("states", models.JSONField(default=dict)),
                    ("inherits", models.JSONField(default=list)),
                    ("template", models.CharField(blank=True, max_length=100)),
                    ("asked_by_id", models.UUIDField(null=True)),
                    ("asked_by", models.CharField(max_length=200)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("approved_by_id", models.UUIDField(null=True)),
                    ("approved_by", models.CharField(blank=True, max_length=200)),
                    ("approved_at", models.DateTimeField(null=True)),
                    ("reason", models.TextField(blank=True)),
                    ("despite", models.BooleanField(default=False)),
                    ("stopped_by", models.CharField(blank=True, max_length=200)),
                    ("stopped_at", models.DateTimeField(null=True)),
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
                        models.Index(
                            fields=["provider", "-created_at"], name="policy_push_provider"
                        )
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="PolicyPushItem",
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
                                ("waiting", "Waiting for its rehearsal"),
                                ("rehearsed", "Rehearsed"),
                                ("objected", "The rehearsal objects"),
                                ("made", "Made"),
                                ("unchanged", "Stated so already"),
                                ("failed", "Failed"),
                                ("stopped", "Stopped"),
                            ],
                            default="waiting",
                            max_length=10,
                        ),
                    ),
                    ("is_approved", models.BooleanField(default=False)),
                    ("cause", models.TextField(blank=True)),
                    ("tries", models.PositiveSmallIntegerField(default=1)),
                    ("changed_at", models.DateTimeField(auto_now=True)),
                    (
                        "change",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="seg_bridge.policychange",
                        ),
                    ),
                    (
                        "push",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="items",
                            to="seg_bridge.policypush",
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
                            fields=("tenant", "push"), name="policy_push_item_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Digest",
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
                    ("slot", models.CharField(max_length=80)),
                    ("items", models.PositiveIntegerField()),
                    ("asked_by", models.CharField(blank=True, max_length=200)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
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
                    "indexes": [],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "mailbox", "slot"), name="digest_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="HeldLink",
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
                    ("expires_at", models.DateTimeField()),
                    ("used_at", models.DateTimeField(null=True)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
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
                        "digest",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="links",
                            to="seg_bridge.digest",
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
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(
                            fields=["tenant", "mailbox", "delivery"], name="held_link_told"
                        )
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "digest", "delivery"), name="held_link_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="LegalHold",
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
                    ("set_by", models.CharField(max_length=200)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("ended_at", models.DateTimeField(null=True)),
                    ("ended_by", models.CharField(blank=True, max_length=200)),
                    (
                        "message",
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
                            condition=models.Q(("ended_at", None)),
                            fields=("tenant", "message"),
                            name="legal_hold_once",
                            nulls_distinct=False,
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="DomainCheck",
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
                    ("token", models.CharField(max_length=64)),
                    ("found", models.JSONField(default=dict)),
                    ("wanted_at", models.DateTimeField(null=True)),
                    ("looked_at", models.DateTimeField(null=True)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    (
                        "domain",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="tenants.domain",
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
                    ("standing", models.JSONField(default=dict)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "domain"), name="domain_check_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="TrialMail",
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
                    ("recipient", models.CharField(max_length=400)),
                    ("internet_message_id", models.CharField(max_length=200)),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("waiting", "Waits for a worker"),
                                ("sending", "Being sent"),
                                ("taken", "Taken by the gate"),
                                ("refused", "Refused by the gate"),
                                ("failed", "The gate could not be reached"),
                            ],
                            default="waiting",
                            max_length=10,
                        ),
                    ),
                    ("reply", models.TextField(blank=True)),
                    ("asked_by_id", models.UUIDField(null=True)),
                    ("asked_by", models.CharField(max_length=200)),
                    ("asked_at", models.DateTimeField(auto_now_add=True)),
                    ("sent_at", models.DateTimeField(null=True)),
                    (
                        "gate",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="seg_bridge.gate",
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
                        models.Index(fields=["tenant", "-asked_at"], name="trial_mail_newest")
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="QueueItem",
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
                    ("queue_id", models.CharField(max_length=64)),
                    (
                        "where",
                        models.CharField(
                            choices=[
                                ("deferred", "Waits for its next try"),
                                ("active", "Is being tried"),
                                ("incoming", "Has just come in"),
                                ("hold", "On hold"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("recipient", models.CharField(max_length=400)),
                    ("sender", models.CharField(blank=True, max_length=400)),
                    ("next_hop", models.CharField(blank=True, max_length=600)),
                    ("reason", models.TextField(blank=True)),
                    ("reason_kind", models.CharField(blank=True, max_length=20)),
                    ("size_bytes", models.BigIntegerField()),
                    ("arrived_at", models.DateTimeField()),
                    ("trace_ulid", models.CharField(blank=True, max_length=26)),
                    ("may_return", models.BooleanField(default=False)),
                    (
                        "gate",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="seg_bridge.gate",
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
                        models.Index(fields=["tenant", "-arrived_at"], name="queue_item_arrived"),
                        models.Index(
                            fields=["tenant", "gate", "queue_id"], name="queue_item_queue"
                        ),
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="OutboundTerms",
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
                    ("is_on", models.BooleanField(default=True)),
                    ("next_hop_host", models.CharField(blank=True, max_length=255)),
                    ("next_hop_port", models.PositiveIntegerField(default=25)),
                    ("hosts", models.JSONField(default=list)),
                    ("messages_per_hour", models.PositiveIntegerField(default=100)),
                    ("recipients_per_hour", models.PositiveIntegerField(default=500)),
                    ("stop_threats", models.PositiveSmallIntegerField(default=5)),
                    ("stop_minutes", models.PositiveSmallIntegerField(default=10)),
                    ("stop_refusals", models.PositiveSmallIntegerField(default=50)),
                    ("changed_by", models.CharField(max_length=200)),
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
                        models.UniqueConstraint(fields=("tenant",), name="outbound_terms_once")
                    ],
                    "indexes": [],
                },
            ),
            migrations.CreateModel(
                name="SenderStop",
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
                    ("stop_ulid", models.CharField(max_length=26)),
                    ("gate_name", models.CharField(max_length=100)),
                    ("mailbox", models.CharField(max_length=320)),
                    (
                        "cause",
                        models.CharField(
                            choices=[
                                ("threats", "Its mails were held to be threats"),
                                ("limits", "It sent more than it may"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("words", models.CharField(max_length=300)),
                    ("evidence", models.JSONField(default=list)),
                    ("stopped_at", models.DateTimeField()),
                    ("recorded_at", models.DateTimeField(auto_now_add=True)),
                    ("lifted_at", models.DateTimeField(null=True)),
                    ("lifted_by", models.CharField(blank=True, max_length=200)),
                    ("lift_reason", models.TextField(blank=True)),
                    (
                        "incident",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="sender_stops",
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
                        models.Index(fields=["tenant", "-stopped_at"], name="sender_stop_tenant")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "stop_ulid"), name="sender_stop_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="SigningKey",
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
                    ("selector", models.CharField(max_length=63)),
                    ("sealed_private", models.BinaryField()),
                    ("public", models.TextField()),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("waiting", "Waiting for its DNS record"),
                                ("signing", "Signing"),
                                ("retired", "Retired"),
                            ],
                            default="waiting",
                            max_length=10,
                        ),
                    ),
                    ("created_by", models.CharField(max_length=200)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("check_wanted_at", models.DateTimeField(null=True)),
                    ("checked_at", models.DateTimeField(null=True)),
                    ("check_words", models.CharField(blank=True, max_length=300)),
                    (
                        "domain",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="tenants.domain",
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
                            fields=("tenant", "domain", "selector"), name="signing_key_once"
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("state", "signing")),
                            fields=("tenant", "domain"),
                            name="signing_key_one_signs",
                        ),
                    ],
                    "indexes": [],
                },
            ),
            migrations.CreateModel(
                name="SubmissionLogin",
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
                    ("purpose", models.CharField(max_length=200)),
                    ("hashed", models.CharField(max_length=200)),
                    ("created_by", models.CharField(max_length=200)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("ended_by", models.CharField(blank=True, max_length=200)),
                    ("ended_at", models.DateTimeField(null=True)),
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
                            fields=("tenant", "name"), name="submission_login_once"
                        )
                    ],
                    "indexes": [],
                },
            ),
            migrations.CreateModel(
                name="Lesson",
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
                    ("as_spam", models.BooleanField(null=True)),
                    (
                        "share",
                        models.CharField(
                            blank=True,
                            choices=[("spam", "Spam"), ("phish", "Phishing")],
                            max_length=10,
                        ),
                    ),
                    (
                        "unshare",
                        models.CharField(
                            blank=True,
                            choices=[("spam", "Spam"), ("phish", "Phishing")],
                            max_length=10,
                        ),
                    ),
                    ("takes_back", models.BooleanField(default=False)),
                    ("because", models.CharField(max_length=300)),
                    ("decided_by_id", models.UUIDField(null=True)),
                    ("decided_by", models.CharField(max_length=200)),
                    ("refusal", models.TextField(blank=True)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    (
                        "command",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="seg_bridge.gatecommand",
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
                            related_name="+",
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
                        models.Index(fields=["tenant", "message", "id"], name="lesson_message"),
                        models.Index(fields=["tenant", "incident"], name="lesson_incident"),
                        models.Index(fields=["tenant", "command"], name="lesson_command"),
                    ],
                    "constraints": [],
                },
            ),
        ),
        AddProviderPolicy("seg_bridge_gate"),
        AddTenantPolicy("seg_bridge_gateclient", portal=()),
        AddTenantPolicy("seg_bridge_gatewayrule", provider_column="provider_id"),
        AddTenantPolicy("seg_bridge_gatecommand", portal=()),
        AddTenantForeignKey("seg_bridge_gatewayrule", "incident_id", "incidents_incident"),
        AddTenantForeignKey("seg_bridge_gatecommand", "intent_id", "incidents_intent"),
        RunSQL(
            "CREATE SEQUENCE seg_bridge_command_seq;"
            " GRANT USAGE ON SEQUENCE seg_bridge_command_seq TO c_analyst, c_worker",
            "DROP SEQUENCE seg_bridge_command_seq",
        ),
        AddDoor(
            "door_gate(p_name text)",
            "jsonb",
            """
DECLARE
    gate seg_bridge_gate;
BEGIN
    SELECT * INTO gate FROM seg_bridge_gate WHERE name = p_name;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN jsonb_build_object(
        'gate_id', gate.id, 'provider_id', gate.provider_id, 'name', gate.name,
        'hostname', gate.hostname, 'sealed_secret', encode(gate.sealed_secret, 'hex'),
        'tenant_ids', (SELECT coalesce(jsonb_agg(tenant_id ORDER BY tenant_id), '[]'::jsonb)
                         FROM seg_bridge_gateclient WHERE gate_id = gate.id));
END
""",
            callers="bailey_worker",
        ),
        AddTenantPolicy("seg_bridge_rehearsal", portal=()),
        AddTenantForeignKey("seg_bridge_rehearsal", "rule_id", "seg_bridge_gatewayrule"),
        AddDoor(
            "door_gateway_spoke()",
            "jsonb",
            """
BEGIN
    RETURN (SELECT to_jsonb(max(coalesce(gate.last_seen_at, gate.created_at)))
              FROM seg_bridge_gateclient AS link
              JOIN seg_bridge_gate AS gate ON gate.id = link.gate_id
             WHERE link.tenant_id = nullif(current_setting('app.tenant_ids', true), '')::bigint);
END
""",
            callers="c_portal",
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
        AddProviderPolicy("seg_bridge_policypush"),
        AddTenantPolicy("seg_bridge_policypushitem", portal=()),
        AddTenantForeignKey("seg_bridge_policypushitem", "change_id", "seg_bridge_policychange"),
        AddTenantPolicy("seg_bridge_digest", portal=()),
        AddTenantPolicy("seg_bridge_heldlink"),
        AddTenantPolicy("seg_bridge_legalhold", portal=()),
        AddTenantForeignKey("seg_bridge_digest", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("seg_bridge_heldlink", "digest_id", "seg_bridge_digest"),
        AddTenantForeignKey("seg_bridge_heldlink", "delivery_id", "incidents_delivery"),
        AddTenantForeignKey("seg_bridge_heldlink", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("seg_bridge_legalhold", "message_id", "incidents_message"),
        AddDoor("door_held_link(p_link uuid, p_text text)", "jsonb", HELD_LINK, callers="c_portal"),
        AddTenantPolicy("seg_bridge_domaincheck", portal=()),
        AddTenantPolicy("seg_bridge_trialmail", portal=()),
        AddTenantForeignKey("seg_bridge_domaincheck", "domain_id", "tenants_domain"),
        AddTenantPolicy("seg_bridge_queueitem", portal=()),
        AddTenantPolicy("seg_bridge_outboundterms", portal=()),
        AddTenantPolicy("seg_bridge_submissionlogin", portal=()),
        AddTenantPolicy("seg_bridge_signingkey", portal=()),
        AddTenantForeignKey("seg_bridge_signingkey", "domain_id", "tenants_domain"),
        AddTenantPolicy("seg_bridge_senderstop", portal=()),
        AddTenantForeignKey("seg_bridge_senderstop", "incident_id", "incidents_incident"),
        AddTenantPolicy("seg_bridge_lesson", portal=()),
        AddTenantForeignKey("seg_bridge_lesson", "message_id", "incidents_message"),
        AddTenantForeignKey("seg_bridge_lesson", "incident_id", "incidents_incident"),
        AddTenantForeignKey("seg_bridge_lesson", "command_id", "seg_bridge_gatecommand"),
        AddTenantForeignKey("seg_bridge_gatewayrule", "release_id", "incidents_job"),
    ]
