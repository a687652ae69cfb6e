"""The mailbox layer: connections, consents, grants; tables, policies and doors."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.migrations.operations import RunSQL

import tenants.ids
from tenants.rls import AddDoor, AddProviderPolicy, AddTenantForeignKey, AddTenantPolicy
from tenants.tables import CreateTables

SHOWN = "id, tenant_id, kind, state, blind_since, last_ok_at, mailboxes_listed_at, created_at"
# What a link shows: whose it is, what it asks for and how far it is.  NULL: it is no link, or good
# no more; p_browser is the digest of what the browser that opened it keeps, '' for any other.
CONSENT_LINK = """
DECLARE
    link api_bridge_consentlink;
BEGIN
    SELECT * INTO link FROM api_bridge_consentlink WHERE digest = p_digest;
    IF link.id IS NULL OR link.withdrawn_at IS NOT NULL
       OR (link.opened_at IS NULL AND link.open_until <= now())
       OR (link.opened_at IS NOT NULL AND (link.browser <> p_browser OR link.ends_at <= now())) THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT jsonb_build_object(
        'client', t.name, 'provider', p.name, 'made_by', link.made_by,
        'opened_at', link.opened_at, 'ends_at', link.ends_at, 'open_until', link.open_until,
        'steps', (SELECT jsonb_agg(jsonb_build_object(
                'purpose', wanted.purpose,
                'stage', coalesce(done.stage, ''), 'words', coalesce(done.words, ''))
                ORDER BY wanted.place)
            FROM jsonb_array_elements_text(link.purposes) WITH ORDINALITY wanted(purpose, place)
            LEFT JOIN LATERAL (SELECT c.stage, c.words FROM api_bridge_consent c
                WHERE c.tenant_id = link.tenant_id AND c.link_id = link.id
                  AND c.purpose = wanted.purpose AND c.stage <> 'asked'
                ORDER BY c.asked_at DESC LIMIT 1) done ON true))
      FROM tenants_tenant t JOIN tenants_provider p ON p.id = t.provider_id
     WHERE t.id = link.tenant_id);
END
"""
# Opens the link with the first of its registrations; answers where to go.  NULL: nothing is done.
CONSENT_BEGIN = """
DECLARE
    link api_bridge_consentlink;
    registration api_bridge_appregistration;
    made uuid := gen_random_uuid();
BEGIN
    SELECT * INTO link FROM api_bridge_consentlink WHERE digest = p_digest FOR UPDATE;
    IF link.id IS NULL OR link.withdrawn_at IS NOT NULL OR length(p_browser) <> 64
       OR length(p_state) <> 64 OR NOT link.purposes ? p_purpose
       OR (link.opened_at IS NULL AND link.open_until <= now())
       OR (link.opened_at IS NOT NULL AND (link.browser <> p_browser OR link.ends_at <= now()))
       OR EXISTS (SELECT FROM api_bridge_consent c WHERE c.tenant_id = link.tenant_id
            AND c.link_id = link.id AND c.purpose = p_purpose
            AND c.stage IN ('returned', 'granted')) THEN
        RETURN NULL;
    END IF;
    SELECT r.* INTO registration FROM api_bridge_appregistration r
      JOIN tenants_tenant t ON t.provider_id = r.provider_id
     WHERE t.id = link.tenant_id AND r.purpose = p_purpose;
    IF registration.id IS NULL THEN
        RETURN NULL;
    END IF;
    IF link.opened_at IS NULL THEN
        UPDATE api_bridge_consentlink
           SET opened_at = now(), ends_at = now() + interval '10 minutes', browser = p_browser
         WHERE id = link.id RETURNING * INTO link;
    END IF;
    INSERT INTO api_bridge_consent (id, tenant_id, purpose, client_id, state, holder, link_id,
            asked_by, asked_at, ends_at, stage, cloud_tenant_id, words)
    VALUES (made, link.tenant_id, p_purpose, registration.client_id, p_state, p_browser, link.id,
            left('the link of ' || link.made_by, 200), now(), link.ends_at, 'asked', '', '');
    INSERT INTO tenants_auditentry (id, provider_id, tenant_id, at, actor_id, actor_name, action,
            object_kind, object_id, reason, detail)
    SELECT gen_random_uuid(), t.provider_id, t.id, now(), NULL,
            left('the link of ' || link.made_by, 200), 'api_bridge.consent.asked',
            'consent', made::text, '', jsonb_build_object('purpose', p_purpose, 'link', link.id)
      FROM tenants_tenant t WHERE t.id = link.tenant_id;
    RETURN jsonb_build_object('client_id', registration.client_id, 'cloud', registration.cloud,
        'cloud_tenant_id', coalesce((SELECT k.cloud_tenant_id FROM api_bridge_connection k
            WHERE k.tenant_id = link.tenant_id AND k.kind = 'graph' ORDER BY k.created_at LIMIT 1),
            ''));
END
"""
# What the browser brought back, once; a worker proves it.  NULL: it is nobody's, or too late.
CONSENT_RETURN = """
DECLARE
    consent api_bridge_consent;
BEGIN
    IF length(p_tenant) > 64 OR length(p_words) > 1000
       OR p_stage NOT IN ('returned', 'refused', 'failed') THEN
        RETURN NULL;
    END IF;
    UPDATE api_bridge_consent
       SET stage = p_stage, words = p_words, cloud_tenant_id = p_tenant, returned_at = now(),
           settled_at = CASE WHEN p_stage = 'returned' THEN NULL ELSE now() END
     WHERE state = p_state AND holder = p_browser AND link_id IS NOT NULL AND stage = 'asked'
       AND ends_at > now()
    RETURNING * INTO consent;
    IF consent.id IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO tenants_auditentry (id, provider_id, tenant_id, at, actor_id, actor_name, action,
            object_kind, object_id, reason, detail)
    SELECT gen_random_uuid(), t.provider_id, t.id, now(), NULL, consent.asked_by,
            'api_bridge.consent.returned', 'consent', consent.id::text, p_words,
            jsonb_build_object('stage', p_stage, 'cloud_tenant_id', p_tenant)
      FROM tenants_tenant t WHERE t.id = consent.tenant_id;
    INSERT INTO tenants_work (id, tenant_id, queue, wanted_at, fence)
    VALUES (gen_random_uuid(), consent.tenant_id, 'access', now(), 0)
    ON CONFLICT (tenant_id, queue) DO UPDATE
        SET wanted_at = least(tenants_work.wanted_at, excluded.wanted_at);
    RETURN to_jsonb(consent.link_id);
END
"""


class Migration(migrations.Migration):
    initial = True
    replaces: ClassVar = [
        ("api_bridge", "0001_initial"),
        ("api_bridge", "0002_sync"),
        ("api_bridge", "0003_quick_looks"),
        ("api_bridge", "0004_watch"),
        ("api_bridge", "0005_portal_columns"),
        ("api_bridge", "0006_other_hosts"),
        ("api_bridge", "0007_access"),
    ]
    dependencies: ClassVar = [("tenants", "0001_squashed_0007_domains_and_new_clients")]
    operations: ClassVar = [
        CreateTables(
            migrations.CreateModel(
                name="Connection",
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
                                ("graph", "Microsoft 365"),
                                ("google", "Google Workspace"),
                                ("imap", "IMAP"),
                            ],
                            default="graph",
                            max_length=10,
                        ),
                    ),
                    ("cloud_tenant_id", models.CharField(max_length=64, unique=True)),
                    ("client_id", models.CharField(blank=True, max_length=64)),
                    ("sealed_secret", models.BinaryField(default=bytes)),
                    ("sealed_certificate", models.BinaryField(default=bytes)),
                    ("authority_url", models.URLField()),
                    ("ca_file", models.CharField(blank=True, max_length=500)),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("active", "Connected"),
                                ("needs_consent", "Consent is missing"),
                                ("credentials_expired", "Secret or certificate is not accepted"),
                                ("gone", "The cloud tenant does not exist"),
                            ],
                            default="active",
                            max_length=20,
                        ),
                    ),
                    ("blind_since", models.DateTimeField(null=True)),
                    ("last_ok_at", models.DateTimeField(null=True)),
                    ("last_error", models.TextField(blank=True)),
                    ("mailboxes_listed_at", models.DateTimeField(null=True)),
                    (
                        "quarantine_folder",
                        models.CharField(default="Bailey Quarantine", max_length=100),
                    ),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    (
                        "tenant",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="tenants.tenant",
                        ),
                    ),
                    ("list_due_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ("watch_due_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ("api_url", models.URLField()),
                    ("settings", models.JSONField(blank=True, default=dict)),
                    ("by_registrations", models.BooleanField(db_default=False, default=False)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [models.Index(fields=["tenant", "kind"], name="connection_tenant")],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="Correspondent",
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
                    ("sender", models.CharField(max_length=320)),
                    ("recipient", models.CharField(blank=True, max_length=320)),
                    ("mails", models.PositiveIntegerField(default=0)),
                    ("replies", models.PositiveIntegerField(default=0)),
                    ("features", models.JSONField(default=dict)),
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
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "sender", "recipient"), name="correspondent_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="MailboxSync",
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
                    ("dirty_at", models.DateTimeField(null=True)),
                    ("synced_at", models.DateTimeField(null=True)),
                    ("due_at", models.DateTimeField()),
                    ("failures", models.PositiveIntegerField(default=0)),
                    ("last_error", models.TextField(blank=True)),
                    ("push_id", models.CharField(blank=True, max_length=100)),
                    ("sealed_client_state", models.BinaryField(default=bytes)),
                    ("push_expires_at", models.DateTimeField(null=True)),
                    (
                        "connection",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="api_bridge.connection",
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
                    ("cursor", models.TextField(blank=True, default="")),
                    ("push_due_at", models.DateTimeField(default=django.utils.timezone.now)),
                    ("push_error", models.TextField(blank=True)),
                    ("whole_due_at", models.DateTimeField(default=django.utils.timezone.now)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [models.Index(fields=["tenant", "due_at"], name="sync_due")],
                    "constraints": [
                        models.UniqueConstraint(fields=("tenant", "mailbox"), name="sync_once"),
                        models.UniqueConstraint(
                            condition=models.Q(("push_id", ""), _negated=True),
                            fields=("push_id",),
                            name="push_once",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="SeenItem",
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
                    ("item_id", models.CharField(max_length=500)),
                    ("place", models.CharField(max_length=12)),
                    ("is_read", models.BooleanField()),
                    ("received_at", models.DateTimeField()),
                    ("failures", models.PositiveSmallIntegerField(default=0)),
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
                    ("is_judged", models.BooleanField(default=True)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "mailbox", "item_id"), name="item_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="ConsentLink",
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
                    ("purposes", models.JSONField(default=list)),
                    ("digest", models.CharField(max_length=64, unique=True)),
                    ("made_by", models.CharField(max_length=200)),
                    ("made_at", models.DateTimeField(auto_now_add=True)),
                    ("open_until", models.DateTimeField()),
                    ("opened_at", models.DateTimeField(null=True)),
                    ("ends_at", models.DateTimeField(null=True)),
                    ("browser", models.CharField(blank=True, max_length=64)),
                    ("withdrawn_at", models.DateTimeField(null=True)),
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
                        models.Index(fields=["tenant", "-made_at"], name="consent_link_new")
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="Consent",
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
                        "purpose",
                        models.CharField(
                            choices=[
                                ("detect", "Detect"),
                                ("remediate", "Remediate"),
                                ("respond", "Account response"),
                                ("partner", "Partner relationships"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("client_id", models.CharField(max_length=64)),
                    ("state", models.CharField(max_length=64, unique=True)),
                    ("holder", models.CharField(max_length=64)),
                    ("asked_by", models.CharField(max_length=200)),
                    ("asked_at", models.DateTimeField(auto_now_add=True)),
                    ("ends_at", models.DateTimeField()),
                    (
                        "stage",
                        models.CharField(
                            choices=[
                                ("asked", "At Microsoft"),
                                ("returned", "Being proven"),
                                ("granted", "Granted"),
                                ("refused", "Refused by the client"),
                                ("failed", "Not granted"),
                            ],
                            default="asked",
                            max_length=10,
                        ),
                    ),
                    ("cloud_tenant_id", models.CharField(blank=True, max_length=64)),
                    ("returned_at", models.DateTimeField(null=True)),
                    ("words", models.TextField(blank=True)),
                    ("settled_at", models.DateTimeField(null=True)),
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
                        "link",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="api_bridge.consentlink",
                        ),
                    ),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [
                        models.Index(fields=["tenant", "-asked_at"], name="consent_newest")
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="Grant",
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
                        "purpose",
                        models.CharField(
                            choices=[
                                ("detect", "Detect"),
                                ("remediate", "Remediate"),
                                ("respond", "Account response"),
                                ("partner", "Partner relationships"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("client_id", models.CharField(max_length=64)),
                    ("roles", models.JSONField(default=list)),
                    ("granted_by", models.CharField(blank=True, max_length=200)),
                    ("granted_at", models.DateTimeField()),
                    ("checked_at", models.DateTimeField()),
                    ("lost_at", models.DateTimeField(null=True)),
                    ("trouble", models.TextField(blank=True)),
                    (
                        "connection",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="api_bridge.connection",
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
                            fields=("tenant", "connection", "purpose"), name="grant_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="HostTrial",
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
                    ("kind", models.CharField(max_length=10)),
                    ("sealed", models.BinaryField(default=bytes)),
                    (
                        "stage",
                        models.CharField(
                            choices=[
                                ("waiting", "Being tried out"),
                                ("connected", "Connected"),
                                ("failed", "Not connected"),
                            ],
                            default="waiting",
                            max_length=10,
                        ),
                    ),
                    ("checks", models.JSONField(default=list)),
                    ("words", models.TextField(blank=True)),
                    ("asked_by_id", models.UUIDField(null=True)),
                    ("asked_by", models.CharField(max_length=200)),
                    ("asked_at", models.DateTimeField(auto_now_add=True)),
                    ("settled_at", models.DateTimeField(null=True)),
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
                        models.Index(fields=["tenant", "-asked_at"], name="host_trial_new")
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="MailboxDay",
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
                    ("mailboxes", models.PositiveIntegerField()),
                    ("licensed", models.PositiveIntegerField(null=True)),
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
                        models.UniqueConstraint(fields=("tenant", "day"), name="mailbox_day_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="MailboxMove",
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
                            choices=[("joined", "Joined"), ("left", "Left")], max_length=6
                        ),
                    ),
                    ("address", models.CharField(max_length=320)),
                    ("display_name", models.CharField(blank=True, max_length=200)),
                    ("seen_at", models.DateTimeField()),
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
                        models.Index(fields=["tenant", "-seen_at"], name="mailbox_move_new")
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="Relationship",
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
                    ("external_id", models.CharField(max_length=120)),
                    ("cloud_tenant_id", models.CharField(max_length=64)),
                    ("name", models.CharField(max_length=300)),
                    ("status", models.CharField(max_length=40)),
                    ("roles", models.JSONField(default=list)),
                    ("ends_at", models.DateTimeField(null=True)),
                    ("renews_itself", models.BooleanField(default=False)),
                    ("seen_at", models.DateTimeField()),
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
                            fields=("provider", "external_id"), name="relationship_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="AppRegistration",
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
                        "purpose",
                        models.CharField(
                            choices=[
                                ("detect", "Detect"),
                                ("remediate", "Remediate"),
                                ("respond", "Account response"),
                                ("partner", "Partner relationships"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("client_id", models.CharField(max_length=64)),
                    ("home_tenant_id", models.CharField(blank=True, max_length=64)),
                    ("cloud", models.CharField(max_length=20)),
                    ("sealed_secret", models.BinaryField(default=bytes)),
                    ("sealed_certificate", models.BinaryField(default=bytes)),
                    ("expires_at", models.DateTimeField()),
                    ("trouble", models.TextField(blank=True)),
                    ("looked_at", models.DateTimeField(null=True)),
                    ("changed_by", models.CharField(max_length=200)),
                    ("changed_at", models.DateTimeField(auto_now_add=True)),
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
                            fields=("provider", "purpose"), name="registration_once"
                        )
                    ],
                    "indexes": [],
                },
            ),
        ),
        AddTenantPolicy("api_bridge_connection"),
        AddTenantPolicy("api_bridge_mailboxsync", portal=()),
        AddTenantPolicy("api_bridge_seenitem", portal=()),
        AddTenantPolicy("api_bridge_correspondent", portal=()),
        AddTenantForeignKey("api_bridge_mailboxsync", "mailbox_id", "tenants_mailbox"),
        AddTenantForeignKey("api_bridge_mailboxsync", "connection_id", "api_bridge_connection"),
        AddTenantForeignKey("api_bridge_seenitem", "mailbox_id", "tenants_mailbox"),
        AddDoor(
            "door_push(p_push_id text)",
            "jsonb",
            """
BEGIN
    RETURN (SELECT jsonb_build_object(
                'tenant_id', tenant_id, 'sync_id', id,
                'sealed_client_state', encode(sealed_client_state, 'hex'))
              FROM api_bridge_mailboxsync WHERE push_id = p_push_id AND p_push_id <> '');
END
""",
            callers="bailey_worker",
        ),
        # The portal says how a connection stands; its secrets and addresses are not its own.
        RunSQL(
            [
                "REVOKE SELECT ON api_bridge_connection FROM c_portal",
                f"GRANT SELECT ({SHOWN}) ON api_bridge_connection TO c_portal",
            ],
            [
                f"REVOKE SELECT ({SHOWN}) ON api_bridge_connection FROM c_portal",
                "GRANT SELECT ON api_bridge_connection TO c_portal",
            ],
        ),
        AddProviderPolicy("api_bridge_appregistration"),
        AddProviderPolicy("api_bridge_relationship"),
        AddTenantPolicy("api_bridge_grant", portal=()),
        AddTenantPolicy("api_bridge_consentlink", portal=()),
        AddTenantPolicy("api_bridge_consent", portal=()),
        AddTenantPolicy("api_bridge_hosttrial", portal=()),
        AddTenantPolicy("api_bridge_mailboxmove", portal=()),
        AddTenantPolicy("api_bridge_mailboxday", portal=()),
        AddTenantForeignKey("api_bridge_grant", "connection_id", "api_bridge_connection"),
        AddTenantForeignKey("api_bridge_consent", "link_id", "api_bridge_consentlink"),
        AddDoor(
            "door_consent_link(p_digest text, p_browser text)",
            "jsonb",
            CONSENT_LINK,
            callers="bailey_portal",
        ),
        AddDoor(
            "door_consent_begin(p_digest text, p_browser text, p_purpose text, p_state text)",
            "jsonb",
            CONSENT_BEGIN,
            callers="bailey_portal",
        ),
        AddDoor(
            "door_consent_return(p_state text, p_browser text, p_tenant text, p_stage text,"
            " p_words text)",
            "jsonb",
            CONSENT_RETURN,
            callers="bailey_portal",
        ),
    ]
