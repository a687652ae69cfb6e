"""Clients, people and what they may see: the tables, their policies, the doors before a scope."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.operations import RunSQL

import tenants.ids
from tenants.rls import (
    APPEND_ONLY,
    READ,
    AddDoor,
    AddProviderPolicy,
    AddSessionPolicy,
    AddTenantForeignKey,
    AddTenantPolicy,
)
from tenants.tables import CreateTables

BODY_ACCESS = """
DECLARE
    client bigint := nullif(current_setting('app.tenant_ids', true), '')::bigint;
    someone tenants_person;
BEGIN
    SELECT * INTO someone FROM tenants_person
     WHERE id = p_person AND tenant_id = client AND is_active;
    IF someone.id IS NULL OR p_allowed IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE tenants_tenant SET body_access_allowed = p_allowed WHERE id = client;
    INSERT INTO tenants_auditentry (id, provider_id, tenant_id, at, actor_id, actor_name, action,
            object_kind, object_id, reason, detail)
    VALUES (gen_random_uuid(), someone.provider_id, client, now(), someone.id, someone.name,
            'tenants.client.body_access', 'client', client::text, p_reason,
            jsonb_build_object('after', p_allowed));
    RETURN to_jsonb(p_allowed);
END
"""
NEW_CLIENT = """
DECLARE
    someone tenants_person;
    made bigint;
BEGIN
    SELECT * INTO someone FROM tenants_person
     WHERE id = p_person AND is_active AND role = 'lead'
       AND provider_id = nullif(current_setting('app.provider_id', true), '')::bigint;
    IF someone.id IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO tenants_tenant (provider_id, slug, name, time_zone, contact_name, contact_phone,
            contact_email, contact_hours, contact_language, body_access_allowed, shares_warnings,
            data_key, created_at)
    VALUES (someone.provider_id, p_slug, p_name, p_time_zone, '', '', '', '', '', true, true,
            p_data_key, now())
    ON CONFLICT (slug) DO NOTHING RETURNING id INTO made;
    IF made IS NULL THEN
        RETURN jsonb_build_object('is_taken', true);
    END IF;
    INSERT INTO tenants_auditentry (id, provider_id, tenant_id, at, actor_id, actor_name, action,
            object_kind, object_id, reason, detail)
    VALUES (gen_random_uuid(), someone.provider_id, made, now(), someone.id, someone.name,
            'tenants.client.created', 'client', made::text, '',
            jsonb_build_object('name', p_name, 'slug', p_slug));
    RETURN jsonb_build_object('is_taken', false, 'tenant_id', made);
END
"""


class Migration(migrations.Migration):
    initial = True
    replaces: ClassVar = [
        ("tenants", "0001_initial"),
        ("tenants", "0002_warnings"),
        ("tenants", "0003_audit_behind_the_portal"),
        ("tenants", "0004_body_access"),
        ("tenants", "0005_client_groups"),
        ("tenants", "0006_outbox"),
        ("tenants", "0007_domains_and_new_clients"),
    ]
    dependencies: ClassVar = []
    operations: ClassVar = [
        CreateTables(
            migrations.CreateModel(
                name="Person",
                fields=[
                    ("password", models.CharField(max_length=128, verbose_name="password")),
                    (
                        "id",
                        models.UUIDField(
                            default=tenants.ids.new_id,
                            editable=False,
                            primary_key=True,
                            serialize=False,
                        ),
                    ),
                    ("email", models.EmailField(max_length=254, unique=True)),
                    ("name", models.CharField(max_length=200)),
                    (
                        "role",
                        models.CharField(
                            choices=[
                                ("lead", "Lead"),
                                ("analyst", "Analyst"),
                                ("client_reader", "Client reader"),
                            ],
                            max_length=20,
                        ),
                    ),
                    ("is_active", models.BooleanField(default=True)),
                    ("may_open_content", models.BooleanField(default=False)),
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
                            blank=True,
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
                    "indexes": [],
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("role", "client_reader"), ("tenant__isnull", False)),
                                models.Q(
                                    ("role__in", ("lead", "analyst")), ("tenant__isnull", True)
                                ),
                                _connector="OR",
                            ),
                            name="person_client_fits_role",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Provider",
                fields=[
                    ("id", models.BigAutoField(primary_key=True, serialize=False)),
                    ("slug", models.SlugField(unique=True)),
                    ("name", models.CharField(max_length=200)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="Session",
                fields=[
                    (
                        "session_key",
                        models.CharField(
                            max_length=40,
                            primary_key=True,
                            serialize=False,
                            verbose_name="session key",
                        ),
                    ),
                    ("session_data", models.TextField(verbose_name="session data")),
                    (
                        "expire_date",
                        models.DateTimeField(db_index=True, verbose_name="expire date"),
                    ),
                    ("surface", models.CharField(max_length=10)),
                ],
                options={
                    "verbose_name": "session",
                    "verbose_name_plural": "sessions",
                    "db_table": "tenants_session",
                    "abstract": False,
                    "indexes": [],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="ApiToken",
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
                    ("digest", models.CharField(max_length=64, unique=True)),
                    ("expires_at", models.DateTimeField()),
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
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="Tenant",
                fields=[
                    ("id", models.BigAutoField(primary_key=True, serialize=False)),
                    ("slug", models.SlugField(unique=True)),
                    ("name", models.CharField(max_length=200)),
                    ("time_zone", models.CharField(default="UTC", max_length=64)),
                    ("contact_name", models.CharField(blank=True, max_length=200)),
                    ("contact_phone", models.CharField(blank=True, max_length=64)),
                    ("contact_email", models.EmailField(blank=True, max_length=254)),
                    ("contact_hours", models.CharField(blank=True, max_length=200)),
                    ("contact_language", models.CharField(blank=True, max_length=64)),
                    ("protected_since", models.DateTimeField(blank=True, null=True)),
                    ("body_access_allowed", models.BooleanField(default=True)),
                    ("data_key", models.BinaryField(default=bytes)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    (
                        "provider",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="tenants.provider",
                        ),
                    ),
                    ("shares_warnings", models.BooleanField(default=True)),
                ],
                options={
                    "ordering": ("name",),
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="Domain",
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
                    ("name", models.CharField(max_length=255, unique=True)),
                    ("next_hop_host", models.CharField(max_length=255)),
                    ("next_hop_port", models.PositiveIntegerField(default=25)),
                    ("is_active", models.BooleanField(default=True)),
                    (
                        "tenant",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="tenants.tenant",
                        ),
                    ),
                    ("backup_hop_host", models.CharField(blank=True, max_length=255)),
                    ("backup_hop_port", models.PositiveIntegerField(default=25)),
                    (
                        "hop_tls",
                        models.CharField(
                            choices=[
                                ("may", "Where the mail host offers it"),
                                ("must", "Always: no mail goes without"),
                                (
                                    "verify",
                                    "Always, with a certificate that is good for the host's name",
                                ),
                            ],
                            default="may",
                            max_length=10,
                        ),
                    ),
                    ("asks_hop", models.BooleanField(default=False)),
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [models.Index(fields=["tenant", "name"], name="domain_tenant_name")],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="AuditEntry",
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
                    ("at", models.DateTimeField(auto_now_add=True)),
                    ("actor_id", models.UUIDField(null=True)),
                    ("actor_name", models.CharField(max_length=200)),
                    ("action", models.CharField(max_length=100)),
                    ("object_kind", models.CharField(blank=True, max_length=50)),
                    ("object_id", models.CharField(blank=True, max_length=64)),
                    ("reason", models.TextField(blank=True)),
                    ("detail", models.JSONField(default=dict)),
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
                        models.Index(fields=["tenant", "-at"], name="audit_tenant_at"),
                        models.Index(fields=["tenant", "object_id"], name="audit_tenant_object"),
                    ],
                    "constraints": [],
                },
            ),
            migrations.CreateModel(
                name="Assignment",
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
                        models.UniqueConstraint(fields=("tenant", "person"), name="assignment_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="Work",
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
                    ("queue", models.CharField(max_length=20)),
                    ("wanted_at", models.DateTimeField(null=True)),
                    ("served_at", models.DateTimeField(null=True)),
                    ("leased_until", models.DateTimeField(null=True)),
                    ("fence", models.BigIntegerField(default=0)),
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
                            condition=models.Q(("wanted_at__isnull", False)),
                            fields=["queue", "wanted_at"],
                            name="work_waiting",
                        )
                    ],
                    "constraints": [
                        models.UniqueConstraint(fields=("tenant", "queue"), name="work_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="IdempotencyKey",
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
                    ("key", models.CharField(max_length=200)),
                    ("request_digest", models.CharField(max_length=64)),
                    ("status", models.PositiveSmallIntegerField(null=True)),
                    ("body", models.JSONField(null=True)),
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
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("provider", "person", "key"), name="idempotency_key_once"
                        )
                    ],
                    "indexes": [],
                },
            ),
            migrations.CreateModel(
                name="Mailbox",
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
                    ("address", models.CharField(max_length=320)),
                    ("aliases", models.JSONField(blank=True, default=list)),
                    ("display_name", models.CharField(blank=True, max_length=200)),
                    ("job_title", models.CharField(blank=True, max_length=200)),
                    ("is_vip", models.BooleanField(default=False)),
                    ("external_id", models.CharField(blank=True, max_length=200)),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("active", "Active"),
                                ("no_mailbox", "No mailbox behind this user"),
                                ("blind", "Cannot be read now"),
                                ("gone", "Removed at the mail host"),
                            ],
                            default="active",
                            max_length=20,
                        ),
                    ),
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
                ],
                options={
                    "abstract": False,
                    "base_manager_name": "objects",
                    "indexes": [models.Index(fields=["tenant", "domain"], name="mailbox_domain")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "address"), name="mailbox_tenant_address"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="ClientGroup",
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
                            models.F("provider"),
                            django.db.models.functions.text.Lower("name"),
                            name="client_group_name_once",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="GroupMember",
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
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    (
                        "group",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="members",
                            to="tenants.clientgroup",
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
                            fields=("tenant", "group"), name="group_member_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="OutgoingMail",
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
                    ("event", models.CharField(max_length=200)),
                    ("kind", models.CharField(max_length=20)),
                    ("to_address", models.CharField(max_length=320)),
                    ("message_id", models.CharField(max_length=200)),
                    ("sealed", models.BinaryField(default=bytes)),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("waiting", "Waits"),
                                ("sending", "Being sent"),
                                ("sent", "Sent"),
                                ("unknown", "Not known whether it was sent"),
                                ("failed", "Not sent"),
                            ],
                            default="waiting",
                            max_length=10,
                        ),
                    ),
                    ("attempts", models.PositiveSmallIntegerField(default=0)),
                    ("due_at", models.DateTimeField(null=True)),
                    ("created_at", models.DateTimeField(auto_now_add=True)),
                    ("tried_at", models.DateTimeField(null=True)),
                    ("sent_at", models.DateTimeField(null=True)),
                    ("error", models.CharField(blank=True, max_length=500)),
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
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["tenant", "due_at"],
                            name="outgoing_mail_due",
                        ),
                        models.Index(
                            fields=["tenant", "-created_at"], name="outgoing_mail_created"
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("tenant", "event"), name="outgoing_mail_once"
                        )
                    ],
                },
            ),
        ),
        RunSQL("GRANT CREATE, USAGE ON SCHEMA public TO janitor", RunSQL.noop),
        RunSQL(
            "GRANT USAGE ON SCHEMA public TO c_analyst, c_portal, c_worker, bailey_console,"
            " bailey_portal, bailey_worker",
            RunSQL.noop,
        ),
        AddProviderPolicy("tenants_provider", column="id", staff=READ),
        AddTenantPolicy("tenants_tenant", column="id", staff=("SELECT", "UPDATE")),
        AddTenantPolicy("tenants_domain"),
        AddTenantPolicy("tenants_mailbox"),
        AddTenantPolicy("tenants_person", provider_column="provider_id", portal=()),
        AddTenantPolicy("tenants_assignment", portal=()),
        AddProviderPolicy("tenants_apitoken"),
        AddProviderPolicy("tenants_idempotencykey"),
        AddTenantPolicy("tenants_auditentry", provider_column="provider_id", staff=APPEND_ONLY),
        AddTenantPolicy("tenants_work", staff=("SELECT", "INSERT", "UPDATE"), portal=()),
        AddTenantForeignKey("tenants_mailbox", "domain_id", "tenants_domain"),
        AddSessionPolicy("tenants_session"),
        AddDoor(
            "door_person(p_email text, p_id uuid)",
            "jsonb",
            """
DECLARE
    one tenants_person;
    ids bigint[];
BEGIN
    SELECT * INTO one FROM tenants_person
     WHERE (email = p_email OR id = p_id) AND is_active;
    IF NOT FOUND OR (session_user = 'bailey_portal') <> (one.role = 'client_reader')
       AND session_user IN ('bailey_portal', 'bailey_console') THEN
        RETURN NULL;
    END IF;
    IF one.role = 'client_reader' THEN
        ids := ARRAY[one.tenant_id];
    ELSIF one.role = 'lead' THEN
        SELECT array_agg(id) INTO ids FROM tenants_tenant WHERE provider_id = one.provider_id;
    ELSE
        SELECT array_agg(a.tenant_id) INTO ids
          FROM tenants_assignment a JOIN tenants_tenant t ON t.id = a.tenant_id
         WHERE a.person_id = one.id AND t.provider_id = one.provider_id;
    END IF;
    RETURN jsonb_build_object(
        'person', to_jsonb(one), 'tenant_ids', coalesce(to_jsonb(ids), '[]'::jsonb));
END
""",
            callers="bailey_console, bailey_portal",
        ),
        AddDoor(
            "door_api_token(p_digest text)",
            "jsonb",
            """
DECLARE
    owner_id uuid;
BEGIN
    SELECT person_id INTO owner_id FROM tenants_apitoken
     WHERE digest = p_digest AND expires_at > now();
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN door_person(NULL, owner_id);
END
""",
            callers="bailey_console",
        ),
        AddDoor(
            "door_tenants()",
            "jsonb",
            """
BEGIN
    RETURN (SELECT jsonb_agg(jsonb_build_object(
                'tenant_id', id, 'provider_id', provider_id, 'slug', slug) ORDER BY id)
              FROM tenants_tenant);
END
""",
            callers="bailey_worker",
        ),
        AddDoor(
            "door_claim_work(p_queue text, p_lease_s integer)",
            "jsonb",
            """
DECLARE
    claimed tenants_work;
BEGIN
    SELECT * INTO claimed FROM tenants_work
     WHERE queue = p_queue
       AND ((wanted_at <= now() AND leased_until IS NULL) OR leased_until < now())
     ORDER BY served_at NULLS FIRST
     LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE tenants_work
       SET wanted_at = NULL, served_at = now(), fence = fence + 1,
           leased_until = now() + make_interval(secs => p_lease_s)
     WHERE id = claimed.id;
    RETURN jsonb_build_object(
        'tenant_id', claimed.tenant_id, 'fence', claimed.fence + 1,
        'provider_id', (SELECT provider_id FROM tenants_tenant WHERE id = claimed.tenant_id));
END
""",
            callers="bailey_worker",
        ),
        # The log tells what the provider's people said and did among themselves.  What a client may
        # know of it stands elsewhere: who opened its mail, shared incidents, reports.
        RunSQL(
            "REVOKE SELECT ON tenants_auditentry FROM c_portal",
            "GRANT SELECT ON tenants_auditentry TO c_portal",
        ),
        AddDoor(
            "door_body_access(p_allowed boolean, p_person uuid, p_reason text)",
            "jsonb",
            BODY_ACCESS,
            callers="c_portal",
        ),
        AddProviderPolicy("tenants_clientgroup"),
        AddTenantPolicy("tenants_groupmember", portal=()),
        AddTenantPolicy("tenants_outgoingmail", portal=()),
        AddDoor(
            "door_new_client(p_person uuid, p_slug text, p_name text, p_time_zone text,"
            " p_data_key bytea)",
            "jsonb",
            NEW_CLIENT,
            callers="c_analyst",
        ),
    ]
