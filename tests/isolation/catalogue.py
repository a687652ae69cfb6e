"""What the database itself says about the wall; each check answers with complaints in sentences.

A table, a function, a role or a constraint that is not named here is a complaint: whoever adds one
says here what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db import connection

# Tables whose client's id is not called tenant_id.
CLIENT_COLUMN = {"tenants_tenant": "id"}
# Tables of the provider's own rows, and the column that says whose.
PROVIDER_TABLES = {
    "tenants_provider": "id",
    "tenants_apitoken": "provider_id",
    "tenants_idempotencykey": "provider_id",
    "incidents_tracekey": "provider_id",
    "seg_bridge_gate": "provider_id",
    "incidents_tasktemplate": "provider_id",
    "incidents_savedview": "provider_id",
    "seg_bridge_policytemplate": "provider_id",
    "incidents_personskill": "provider_id",
    "incidents_skillneed": "provider_id",
    "tenants_clientgroup": "provider_id",
    "incidents_campaignlink": "provider_id",
    "seg_bridge_policypush": "provider_id",
    "api_bridge_appregistration": "provider_id",
    "api_bridge_serviceaccount": "provider_id",
    "api_bridge_relationship": "provider_id",
}
# Client tables in which rows without a client belong to the provider's staff.
WITH_PROVIDER_ROWS = {
    *("tenants_person", "tenants_auditentry", "incidents_slaplan"),
    *("seg_bridge_policylayer", "seg_bridge_policychange", "seg_bridge_gatewayrule"),
}
# Tables without anybody's rows; no role of the application has a right on them.
PLAIN_TABLES = {
    *("auth_group", "auth_group_permissions", "auth_permission", "django_content_type"),
    *("django_migrations", "django_session"),
}
SESSIONS = "tenants_session"
# One row of the whole installation, with nobody's data; reached through its doors alone.
INSTALLATION = "tenants_installation"
APPEND_ONLY = {
    *("incidents_observation", "incidents_sighting", "incidents_contentaccess"),
    "tenants_auditentry",
    *("incidents_comment", "incidents_callnote", "incidents_slaplan", "incidents_tasktemplate"),
    *("incidents_edge", "incidents_attachment"),
}
HIDDEN_FROM_PORTAL = {
    *("api_bridge_correspondent", "api_bridge_mailboxsync", "api_bridge_seenitem"),
    *("api_bridge_grant", "api_bridge_consent", "api_bridge_consentlink", "api_bridge_hosttrial"),
    *("api_bridge_mailboxmove", "api_bridge_mailboxday", "api_bridge_tracedmail"),
    *("api_bridge_pushnotice", "api_bridge_scanback"),
    *("api_bridge_scanbackmailbox", "api_bridge_scanbackfinding"),
    *("api_bridge_nightreading", "api_bridge_nightfolder"),
    *("api_bridge_accountterms", "api_bridge_accountlook", "api_bridge_mailboxsnapshot"),
    "api_bridge_signin",
    *("incidents_answer", "incidents_mailtrait", "incidents_finding"),
    *("incidents_backlog", "incidents_groupkey", "incidents_traitcount", "seg_bridge_gateclient"),
    *("incidents_warningmark", "incidents_linkedmail", "incidents_linkedincident"),
    "incidents_recomputation",
    *("incidents_disagreement", "incidents_standingorder", "incidents_lateverdicts"),
    *("incidents_interference", "incidents_allowedcopy", "incidents_releaselook"),
    *("incidents_userreport", "incidents_reportterms", "incidents_herdact"),
    *("seg_bridge_rehearsal", "seg_bridge_policylayer", "seg_bridge_policychange"),
    *("seg_bridge_policypushitem", "seg_bridge_domaincheck", "seg_bridge_trialmail"),
    "seg_bridge_queueitem",
    *("seg_bridge_outboundterms", "seg_bridge_submissionlogin", "seg_bridge_signingkey"),
    *("incidents_campaign", "incidents_edge", "incidents_messagetrait", "incidents_regrouping"),
    "seg_bridge_lesson",
    *("seg_bridge_gatecommand", "tenants_assignment", "tenants_person", "tenants_work"),
    *("incidents_mention", "incidents_callnote", "incidents_task", "incidents_suppression"),
    *("incidents_quiet", "incidents_slaplan", "tenants_auditentry"),
    *("tenants_groupmember", "tenants_outgoingmail"),
    *("tenants_mailboxgroup", "tenants_mailboxgroupmember"),
    *("incidents_layermode", "incidents_pullproposal"),
    *("incidents_renewal", "incidents_renewalcopy"),
    *("seg_bridge_digest", "seg_bridge_legalhold"),
}
# Tables of which the portal reads these columns only.
PORTAL_COLUMNS = {
    "api_bridge_connection": {
        *("id", "tenant_id", "kind", "state", "blind_since", "last_ok_at"),
        *("mailboxes_listed_at", "created_at"),
    },
    "incidents_accountsign": {"id", "tenant_id", "incident_id", "mailbox", "code", "at"},
    "api_bridge_accountstep": {
        *("id", "tenant_id", "incident_id", "mailbox_id", "kind", "state", "asked_by"),
        *("asked_at", "finished_at", "undoes_id"),
    },
    "seg_bridge_senderstop": {
        *("id", "tenant_id", "incident_id", "mailbox", "stopped_at", "lifted_at", "lifted_by"),
    },
}
_NO_DELETE = {"tenants_work": "arw", "tenants_tenant": "rw", "tenants_provider": "r"}

_IDS = (
    "(( SELECT (string_to_array(NULLIF(current_setting('app.tenant_ids'::text, true), ''::text),"
    " ','::text))::bigint[] AS string_to_array)::bigint[])"
)
_ONE = (
    "( SELECT (NULLIF(current_setting('app.tenant_ids'::text, true), ''::text))::bigint"
    ' AS "nullif")'
)
_PROVIDER = (
    "( SELECT (NULLIF(current_setting('app.provider_id'::text, true), ''::text))::bigint"
    ' AS "nullif")'
)
_SCOPES = ("c_analyst", "c_portal", "c_worker")
_STAFF = ("c_analyst", "c_worker")
_LOGINS = ("bailey_console", "bailey_portal", "bailey_worker")

Policy = tuple[str, str, tuple[str, ...], str, str, str]
_OF_SHARED = "incident_id IN ( SELECT incidents_incident.id FROM incidents_incident)"


def _portal_sees(predicate: str) -> set[Policy]:
    """Beyond its own client the portal reads these rows only, and writes none."""
    return {("portal_sees", "RESTRICTIVE", ("c_portal",), "ALL", predicate, "false")}


# Policies beyond the two that every client table has.
MORE_POLICIES: dict[str, set[Policy]] = {
    "incidents_incident": {
        ("portal_shared", "RESTRICTIVE", ("c_portal",), "ALL", "(shared_at IS NOT NULL)", "false")
    },
    "incidents_comment": _portal_sees(f"(((audience)::text = 'client'::text) AND ({_OF_SHARED}))"),
    "incidents_pause": _portal_sees(f"(((cause)::text ~~ 'client_%'::text) AND ({_OF_SHARED}))"),
    "incidents_report": _portal_sees(
        f"(((audience)::text = 'client'::text) AND ((incident_id IS NULL) OR ({_OF_SHARED})))"
    ),
    "incidents_job": _portal_sees(f"({_OF_SHARED})"),
    "incidents_accountsign": _portal_sees(f"({_OF_SHARED})"),
    "api_bridge_accountstep": _portal_sees(f"({_OF_SHARED})"),
    "seg_bridge_senderstop": _portal_sees(f"({_OF_SHARED})"),
    "incidents_attachment": _portal_sees(
        "(comment_id IN ( SELECT incidents_comment.id FROM incidents_comment))"
    ),
    "incidents_evidence": _portal_sees(
        "(((method)::text <> 'upload'::text) OR ((sha256)::text IN"
        " ( SELECT incidents_attachment.sha256 FROM incidents_attachment)))"
    ),
    "incidents_intent": _portal_sees("(job_id IN ( SELECT incidents_job.id FROM incidents_job))"),
    SESSIONS: {
        (f"sessions_{login}", "PERMISSIVE", (login,), "ALL", predicate, predicate)
        for login, predicate in (
            ("bailey_console", "((surface)::text = 'console'::text)"),
            ("bailey_portal", "((surface)::text = 'portal'::text)"),
            ("bailey_owner", "true"),
        )
    },
}

# Questions that are answered before a scope exists, and who may ask them.
DOORS = {
    "door_person(p_email text, p_id uuid)": {"bailey_console", "bailey_portal"},
    "door_api_token(p_digest text)": {"bailey_console"},
    "door_tenants()": {"bailey_worker"},
    "door_claim_work(p_queue text, p_lease_s integer)": {"bailey_worker"},
    "door_installation()": {"bailey_worker", "bailey_console"},
    "door_tick(p_seen bigint)": {"bailey_worker"},
    "door_gate_is_ahead(p_command bigint)": {"bailey_worker"},
    "door_push(p_push_id text)": {"bailey_worker"},
    "door_gate(p_name text)": {"bailey_worker"},
    # Asked inside a scope, about an incident of it: how many others, never who.
    "door_also_seen(p_incident uuid)": {"c_analyst", "c_portal"},
    "door_gateway_spoke()": {"c_portal"},
    # Asked inside a scope: copies of its clients by what row security keeps from an index.
    "door_copies_by_way(p_kind text, p_value text, p_since timestamp with time zone, p_tenants"
    " bigint[], p_most integer)": {"c_analyst"},
    # A client before there is a scope that holds it, for a lead of the scope's provider.
    "door_new_client(p_person uuid, p_slug text, p_name text, p_time_zone text, p_data_key"
    " bytea)": {"c_analyst"},
    # The portal's writes, each one thing by one of the client's own people.
    "door_client_word(p_kind text, p_object uuid, p_person uuid, p_text text)": {"c_portal"},
    "door_held_link(p_link uuid, p_text text)": {"c_portal"},
    # A link for a client's admin, who has no login: by the digest of a secret that only she has.
    "door_consent_link(p_digest text, p_browser text)": {"bailey_portal"},
    "door_consent_begin(p_digest text, p_browser text, p_purpose text, p_state text)": {
        "bailey_portal"
    },
    "door_consent_return(p_state text, p_browser text, p_tenant text, p_stage text, p_words"
    " text)": {"bailey_portal"},
    "door_body_access(p_allowed boolean, p_person uuid, p_reason text)": {"c_portal"},
    "door_downloaded(p_kind text, p_object uuid, p_person uuid, p_name text, p_sha256 text)": {
        "c_portal"
    },
}
# Owned by the tables' owner: only she may add a partition to her table.
OWNERS_FUNCTIONS = {"keep_partitions(months_ahead integer)": {"bailey_worker", "c_worker"}}

# Foreign keys between clients' tables that are not composite, and why.
PLAIN_KEYS = {
    "tenants_assignment.person_id": "staff carry no client; the door compares the providers",
}
# References without any constraint, and why.
NO_KEY = {
    "incidents_observation.tenant_id": "costs a third of intake; the table of work has the key",
    "incidents_backlog.tenant_id": "as the history, which it follows",
    "incidents_mailtrait.tenant_id": "written in the transaction that writes the message",
    "incidents_message.tenant_id": "as the history, of which it is made",
    "incidents_traitcount.tenant_id": "as the history, which it counts",
    "incidents_delivery.tenant_id": "the key to its message compares the clients",
    "incidents_sighting.tenant_id": "the key to its delivery compares the clients",
}
# Unique over all clients on purpose, and why.
UNIQUE_OVER_ALL = {
    "tenants_tenant (slug)": "the client's name in addresses",
    "tenants_domain (name)": "mail is routed by it: one domain, one client",
    "tenants_person (email)": "people sign in by it",
    "api_bridge_connection (cloud_tenant_id)": "a cloud tenant must not be claimed twice",
    "api_bridge_consent (state)": "a digest of chance; the redirect names nothing else",
    "api_bridge_consentlink (digest)": "a digest of chance; the link names nothing else",
    "api_bridge_mailboxsync (push_id)": "given by the mail host; a notification names only this",
    "seg_bridge_policylayer (provider_id)": "of what holds for all clients there is one",
    "seg_bridge_policylayer (group_id)": "of what holds for a group of clients there is one",
    "seg_bridge_gatecommand (seq)": "the order in which a gate of several clients does things",
}


def rows(query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, arguments or None)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def tables() -> dict[str, bool]:
    """Every table of the application; True for a partition of another."""
    found = rows(
        "SELECT relname, relispartition FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p')"
    )
    return dict(found)


def client_tables() -> dict[str, str]:
    """The tables of clients' rows (partitions too), with the column of the client's id."""
    found = rows(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND a.attname = 'tenant_id' AND NOT a.attisdropped"
    )
    return {name: "tenant_id" for (name,) in found} | CLIENT_COLUMN


def unknown_tables() -> list[str]:
    """Tables that are neither a client's, nor the provider's, nor named as nobody's."""
    known = set(client_tables()) | set(PROVIDER_TABLES) | PLAIN_TABLES | {SESSIONS, INSTALLATION}
    unknown = set(tables()) - known
    gone = (set(PROVIDER_TABLES) | PLAIN_TABLES) - set(tables())
    return [f"{name}: whose rows are these?" for name in unknown] + [
        f"{name}: named, and not there" for name in gone
    ]


def open_tables() -> list[str]:
    """Tables with somebody's rows that lack ENABLE or FORCE."""
    guarded = set(tables()) - PLAIN_TABLES
    found = rows(
        "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    )
    return [
        f"{name}: row security is {'not forced' if on else 'off'}"
        for name, on, forced in found
        if name in guarded and not (on and forced)
    ]


def expected_policies(table: str, clients: dict[str, str], *, is_partition: bool) -> set[Policy]:
    """``clients``: the client tables, which are asked for once and not for each table."""
    more = MORE_POLICIES.get(table, set())
    if is_partition or table in PLAIN_TABLES:
        return set()  # a partition is reached through its parent; directly nobody has a right
    if table in PROVIDER_TABLES:
        mine = f"({PROVIDER_TABLES[table]} = {_PROVIDER})"
        return {("provider_scope", "PERMISSIVE", _STAFF, "ALL", mine, mine)}
    column = clients.get(table)
    if column is None:
        return more
    ours, one = f"({column} = ANY {_IDS})", f"({column} = {_ONE})"
    if table in WITH_PROVIDER_ROWS:
        ours = f"({ours} OR (({column} IS NULL) AND (provider_id = {_PROVIDER})))"
    return more | {
        ("tenant_scope", "PERMISSIVE", _SCOPES, "ALL", ours, ours),
        ("portal_one", "RESTRICTIVE", ("c_portal",), "ALL", one, one),
    }


def wrong_policies() -> list[str]:
    found: dict[str, set[Policy]] = {}
    for table, name, kind, roles, command, using, check in rows(
        "SELECT tablename, policyname, permissive, roles::text[], cmd,"
        r" regexp_replace(qual, '\s+', ' ', 'g'), regexp_replace(with_check, '\s+', ' ', 'g')"
        " FROM pg_policies WHERE schemaname = 'public'"
    ):
        policy = (name, kind, tuple(sorted(roles)), command, using, check)
        found.setdefault(table, set()).add(policy)
    complaints, clients = [], client_tables()
    for table, is_partition in tables().items():
        expected = expected_policies(table, clients, is_partition=is_partition)
        actual = found.get(table, set())
        complaints += [f"{table}: lacks or changes policy {each[0]}" for each in expected - actual]
        complaints += [f"{table}: has policy {each[0]} of its own" for each in actual - expected]
    return complaints


def expected_rights(
    table: str, clients: dict[str, str], *, is_partition: bool
) -> dict[str, set[str]]:
    """Letters as in PostgreSQL's ACL: a insert, r select, w update, d delete."""
    if is_partition or table in PLAIN_TABLES:
        return {}
    if table == SESSIONS:
        return {"bailey_console": set("arwd"), "bailey_portal": set("arwd")}
    if table == INSTALLATION:
        return {"janitor": set("arwdDxtm")}
    staff = set(_NO_DELETE.get(table, "ar" if table in APPEND_ONLY else "arwd"))
    rights = {"c_analyst": staff, "c_worker": staff, "janitor": set("arwdDxtm")}
    if table in clients and table not in HIDDEN_FROM_PORTAL | set(PORTAL_COLUMNS):
        rights["c_portal"] = {"r"}
    return rights


def wrong_rights() -> list[str]:
    """Rights on tables and columns that are not exactly the expected ones."""
    complaints, clients = [], client_tables()
    found = rows(
        "SELECT c.relname, c.relispartition, coalesce(c.relacl::text[], '{}'),"
        " (SELECT coalesce(array_agg(a.attname || ' ' || a.attacl::text), '{}')"
        "  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)"
        " FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    )
    for table, is_partition, entries, columns in found:
        actual = {name: set(letters) for name, letters in _acl(entries).items()}
        actual.pop("bailey_owner", None)
        expected = expected_rights(table, clients, is_partition=is_partition)
        if actual not in (expected, _before_maintain(expected)):
            complaints.append(f"{table}: rights are {actual}")
        shown = {f"{name} {{c_portal=r/bailey_owner}}" for name in PORTAL_COLUMNS.get(table, ())}
        if set(columns) != shown:
            complaints.append(f"{table}: rights on single columns")
    return complaints


def _before_maintain(expected: dict[str, set[str]]) -> dict[str, set[str]]:
    """``m`` (MAINTAIN) is new in PostgreSQL 17: ALL had no such letter before."""
    return {name: letters - {"m"} for name, letters in expected.items()}


def _acl(entries: list[str]) -> dict[str, str]:
    """``who=letters/grantor`` as a dict; PUBLIC is the empty name."""
    pairs = (entry.rpartition("/")[0].partition("=") for entry in entries)
    return {who: letters for who, _, letters in pairs}


def wrong_roles() -> list[str]:
    """Roles that are more than they should be, or may become more."""
    complaints = []
    for name, is_super, bypass, may_login, inherits, may_make in rows(
        "SELECT rolname, rolsuper, rolbypassrls, rolcanlogin, rolinherit, rolcreaterole"
        " FROM pg_roles WHERE rolname LIKE 'c\\_%%' OR rolname LIKE 'bailey%%' OR rolname = %s",
        "janitor",
    ):
        is_login = name.startswith("bailey")
        if is_super or may_make or bypass != (name == "janitor") or may_login != is_login:
            complaints.append(f"{name}: superuser, BYPASSRLS, CREATEROLE or LOGIN is wrong")
        if is_login and inherits:
            complaints.append(f"{name}: inherits the rights of what it may become")
    members = set(rows("SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members"))
    ours = {pair for pair in members if pair[0].startswith(("bailey", "c_", "janitor"))}
    expected = {
        *(("bailey_console", "c_analyst"), ("bailey_portal", "c_portal")),
        ("bailey_worker", "c_worker"),
        *(("bailey_owner", role) for role in (*_SCOPES, "janitor")),
    }
    complaints += [f"{who} may become {what}" for who, what in ours - expected]
    complaints += [f"{who} may not become {what}" for who, what in expected - ours]
    owners = rows(
        "SELECT relname, relowner::regrole::text FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')"
    )
    complaints += [f"{name}: owned by {who}" for name, who in owners if who != "bailey_owner"]
    return complaints


def wrong_functions() -> list[str]:
    """Functions that are not the named doors, or open to more than their callers."""
    complaints, seen = [], set()
    for name, arguments, definer, settings, owner, entries in rows(
        "SELECT proname, pg_get_function_identity_arguments(oid), prosecdef,"
        " coalesce(proconfig, '{}'), proowner::regrole::text, coalesce(proacl::text[], '{=X/}')"
        " FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    ):
        signature = f"{name}({arguments})"
        seen.add(signature)
        callers = DOORS.get(signature) or OWNERS_FUNCTIONS.get(signature)
        if callers is None:
            complaints.append(f"{signature}: a function that nobody named")
            continue
        should_own = "janitor" if signature in DOORS else "bailey_owner"
        allowed = callers | {should_own, "bailey_owner"}
        if not definer or owner != should_own:
            complaints.append(f"{signature}: SECURITY DEFINER or its owner is wrong")
        if settings != ["search_path=public, pg_temp"]:
            complaints.append(f"{signature}: its search path is not pinned")
        if set(_acl(entries)) != allowed:
            who = sorted(name or "PUBLIC" for name in _acl(entries))
            complaints.append(f"{signature}: may be called by {', '.join(who)}")
    missing = (set(DOORS) | set(OWNERS_FUNCTIONS)) - seen
    return complaints + [f"{signature}: named, and not there" for signature in missing]


def open_views() -> list[str]:
    """Views run with the rights of their owner unless told not to; materialised ones always."""
    return [
        f"{name}: a view without security_invoker"
        for name, kind, options in rows(
            "SELECT relname, relkind, coalesce(reloptions, '{}') FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')"
        )
        if kind == "m" or "security_invoker=true" not in options
    ]


def loose_keys() -> list[str]:
    """Foreign keys between clients' tables that do not hold the client on both sides."""
    ours = set(client_tables())
    complaints, constrained = [], set()
    for table, target, columns, target_columns in rows(
        "SELECT conrelid::regclass::text, confrelid::regclass::text,"
        " (SELECT array_agg(attname::text ORDER BY i) FROM unnest(conkey) WITH ORDINALITY k(n, i)"
        "  JOIN pg_attribute ON attrelid = conrelid AND attnum = n),"
        " (SELECT array_agg(attname::text ORDER BY i) FROM unnest(confkey) WITH ORDINALITY k(n, i)"
        "  JOIN pg_attribute ON attrelid = confrelid AND attnum = n)"
        " FROM pg_constraint WHERE contype = 'f'"
    ):
        pairs = list(zip(columns, target_columns, strict=True))
        constrained |= {f"{table}.{column}" for column in columns}
        if table not in ours or target not in ours:
            continue
        is_to_client = target == "tenants_tenant" and pairs == [("tenant_id", "id")]
        name = f"{table}.{columns[-1]}"
        if not is_to_client and ("tenant_id", "tenant_id") not in pairs and name not in PLAIN_KEYS:
            complaints.append(f"{name}: points at {target} without the client")
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            name = f"{model._meta.db_table}.{field.column}"
            is_ours = field.is_relation and model._meta.db_table in ours
            if is_ours and name not in constrained and name not in NO_KEY:
                complaints.append(f"{name}: a reference without a constraint")
    return complaints


def loose_uniques() -> list[str]:
    """Unique keys of clients' tables without the client: what exists elsewhere would show."""
    ours = client_tables()
    complaints = []
    for table, is_primary, columns in rows(
        "SELECT c.relname, i.indisprimary, array_agg(a.attname::text ORDER BY a.attnum)"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)"
        " WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace"
        " GROUP BY i.indexrelid, c.relname, i.indisprimary"
    ):
        name = f"{table} ({', '.join(columns)})"
        if table not in ours or "tenant_id" in columns or name in UNIQUE_OVER_ALL:
            continue
        if not (is_primary and len(columns) == 1):  # a random id tells nothing
            complaints.append(f"{name}: unique over all clients")
    return complaints


def shy_indexes() -> list[str]:
    """Client tables that no index leads to by the client."""
    clients = client_tables()
    led = {
        table
        for table, first in rows(
            "SELECT c.relname, pg_get_indexdef(i.indexrelid, 1, true) FROM pg_index i"
            " JOIN pg_class c ON c.oid = i.indrelid"
        )
        if first == clients.get(table)
    }
    return [f"{table}: no index begins with the client" for table in set(clients) - led]


def sequences_of_others() -> list[str]:
    allowed = {"seg_bridge_command_seq": {"c_analyst", "c_worker"}}
    complaints = []
    for name, entries in rows(
        "SELECT relname, coalesce(relacl::text[], '{}') FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'"
    ):
        if set(_acl(entries)) - {"bailey_owner"} != allowed.get(name, set()):
            complaints.append(f"{name}: its rights are {entries}")
    return complaints


CHECKS: dict[str, Callable[[], list[str]]] = {
    "every table is known": unknown_tables,
    "row security is on and forced": open_tables,
    "the policies are the expected ones": wrong_policies,
    "rights are the expected ones": wrong_rights,
    "roles are no more than they should be": wrong_roles,
    "functions are the named doors": wrong_functions,
    "views see with their reader's eyes": open_views,
    "keys between clients' tables hold the client": loose_keys,
    "unique keys hold the client": loose_uniques,
    "the client leads an index": shy_indexes,
    "sequences have the expected rights": sequences_of_others,
}


def complaints() -> list[str]:
    """All of them."""
    return [each for check in CHECKS.values() for each in check()]
