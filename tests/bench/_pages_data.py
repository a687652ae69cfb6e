"""An installation of the size that the pages are measured at, made inside the database.

One mail goes through intake and correlation as in life; its rows are then multiplied by SQL, so
that columns that are not named here hold what the code itself wrote.  Foreign keys are taken away
first: nothing here breaks one, and reading does not ask them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

CLIENTS = 300
MAILS = 800_000
INCIDENTS = MAILS // 4  # every fourth mail is a threat, for two recipients
OBSERVATIONS = 2 * (MAILS + INCIDENTS)  # one by each layer for every copy
OPEN = 10_000
DAYS = 90
MAILBOXES = 20
KEYS = 5

# Each mail's client, time and id, from its number alone.  The largest client has about a twelfth of
# all mail, as the square of an even distribution gives.
_MAILS = """
CREATE UNLOGGED TABLE bench_mail AS
SELECT i, n.id AS client, i % 4 = 0 AS is_threat, at,
    bench_id(at, i, 'mail') AS message_id, i / 4 AS incident,
    'bench' || i AS word, 'host' || i % 5000 || '.example' AS host,
    'sender' || i % 20000 || '@host' || i % 5000 || '.example' AS sender
FROM (
    SELECT i, now() - interval '1 hour' - ({mails} - i) * ({days} * interval '1 day')
        / {mails} AS at,
        1 + floor({clients} * power(((i * 7919) % 10007) / 10007.0, 2))::int AS client
    FROM generate_series(1::bigint, {mails}) AS i
) mails JOIN bench_client n ON n.n = mails.client
"""
_ID = """
CREATE FUNCTION bench_id(at timestamptz, i bigint, salt text) RETURNS uuid LANGUAGE sql IMMUTABLE
AS $$ SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
    || substr(md5(salt || i), 1, 20))::uuid $$
"""


def make_data() -> list[int]:
    """Answers the clients' ids.  Needs a migrated, empty database and the owner's login."""
    from django.db import connection

    from tenants.scope import maintenance_scope

    template = _template_rows()
    _drop_foreign_keys()
    with connection.cursor() as cursor:
        cursor.execute(_ID)
        cursor.execute("CREATE TABLE bench_client (n int, id bigint)")
        cursor.execute("GRANT ALL ON bench_client TO janitor")
    with maintenance_scope():
        ids = _make_clients(template)
    with connection.cursor() as cursor:
        cursor.execute(_MAILS.format(mails=MAILS, days=DAYS, clients=CLIENTS))
        cursor.execute("GRANT ALL ON bench_mail TO janitor")
        cursor.execute("ANALYZE bench_mail")
    with maintenance_scope():
        for table, source, columns in _copies():
            _multiply(table, template[table], source, columns)
        _rest(template)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_mail, bench_client")
        cursor.execute("VACUUM ANALYZE")
    return ids


def _template_rows() -> dict[str, Any]:
    """The key of the row of each table that is multiplied: of one mail in two mailboxes."""
    from incidents.correlation import make_sense_of_backlog
    from incidents.intake import record
    from incidents.models import (
        Delivery,
        GroupKey,
        Incident,
        IncidentMessage,
        LedgerDay,
        Message,
        Observation,
        Sighting,
    )
    from incidents.words import Verdict
    from tenants.models import Mailbox, Tenant
    from tenants.scope import Role, tenant_scope
    from tests.factories import gateway_saw, mailbox_saw, make_cast

    cast = make_cast()
    acme, whom = cast.acme, "info@acme.example"
    with tenant_scope(Role.WORKER, [acme.id], provider_id=acme.provider_id):
        record([gateway_saw(acme, whom), mailbox_saw(acme, whom, verdict=Verdict.PHISH)])
        make_sense_of_backlog(acme)
        by_layer = dict(Observation.objects.values_list("layer", "id"))
        rows = {
            "tenants_tenant": Tenant.objects.get(id=acme.id).pk,
            "tenants_mailbox": Mailbox.objects.order_by("id")[0].pk,
            "incidents_message": Message.objects.get().pk,
            "incidents_delivery": Delivery.objects.get().pk,
            "incidents_observation gateway": by_layer["gateway"],
            "incidents_observation mailbox": by_layer["mailbox"],
            "incidents_sighting": Sighting.objects.order_by("id")[0].pk,
            "incidents_incident": Incident.objects.get().pk,
            "incidents_incidentmessage": IncidentMessage.objects.get().pk,
            "incidents_groupkey": GroupKey.objects.order_by("id")[0].pk,
            "incidents_ledgerentry": Message.objects.get().pk,
            "incidents_ledgerday": LedgerDay.objects.get().pk,
        }
    return {**rows, "cast": cast}


def _drop_foreign_keys() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint"
            " WHERE contype = 'f' AND conparentid = 0"
            " AND connamespace = 'public'::regnamespace"
        )
        for table, name in cursor.fetchall():
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')


def _make_clients(template: dict[str, Any]) -> list[int]:
    """Clients with their mailboxes; Ana works for all of them."""
    from django.db import connection

    from tenants.models import Assignment, Domain, Mailbox, Tenant

    cast = template["cast"]
    clients = Tenant.objects.bulk_create(
        Tenant(
            provider=cast.provider,
            slug=f"client-{n}",
            name=f"Client {n}",
            data_key=b"",
            protected_since=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for n in range(1, CLIENTS + 1)
    )
    domains = Domain.objects.bulk_create(
        Domain(tenant=each, name=f"{each.slug}.example", next_hop_host="192.0.2.1")
        for each in clients
    )
    Mailbox.objects.bulk_create(
        Mailbox(tenant=each.tenant, domain=each, address=f"m{m}@{each.name}")
        for each in domains
        for m in range(MAILBOXES)
    )
    Assignment.objects.bulk_create(Assignment(tenant=each, person=cast.ana) for each in clients)
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO bench_client VALUES (%s, %s)",
            [(n, each.id) for n, each in enumerate(clients, start=1)],
        )
    return [each.id for each in clients]


_COPY = "(SELECT b.*, c FROM bench_mail b, generate_series(0, b.is_threat::int) AS c)"
_DELIVERY_ID = "bench_id(g.at, g.i * 2 + g.c, 'copy')"
_RECIPIENT = (
    "'m' || (g.i + g.c) % 20 || '@client-' || (SELECT n FROM bench_client k WHERE k.id = g.client)"
    " || '.example'"
)
# Most that is open is new; a fifth of it has been open for long.
_IS_OPEN = (
    f"(g.incident > {INCIDENTS - OPEN * 4 // 5} OR g.incident % {INCIDENTS // (OPEN // 5)} = 0)"
)


def _copies() -> list[tuple[str, str, dict[str, str]]]:
    """Table, where its rows come from (``g``), and its columns that differ from the template."""
    threats = "(SELECT * FROM bench_mail WHERE is_threat)"
    seen = {"tenant_id": "g.client", "recipient": _RECIPIENT}
    return [
        (
            "incidents_message",
            "bench_mail",
            {
                "id": "g.message_id",
                "tenant_id": "g.client",
                "internet_message_id": "'<' || g.word || '@host.example>'",
                "trace_ulid": "'B' || lpad(g.i::text, 25, '0')",
                "fingerprint": "md5((g.i / 3)::text)",
                "subject": "'Invoice ' || g.word",
                "sender_address": "g.sender",
                "sender_domain": "g.host",
                "first_seen_at": "g.at",
                "last_seen_at": "g.at",
            },
        ),
        (
            "incidents_delivery",
            _COPY,
            {
                **seen,
                "id": _DELIVERY_ID,
                "message_id": "g.message_id",
                "mailbox_id": "NULL",
                "mailbox_item_id": "'item' || g.i || '-' || g.c",
                "gateway_verdict": "'clean'",
                "mailbox_verdict": "CASE WHEN g.is_threat THEN 'phish' ELSE 'clean' END",
                "outcome": "CASE WHEN g.i % 10 = 1 THEN 'held' ELSE 'delivered' END",
                # Held mail is kept for two weeks.
                "place": "CASE WHEN g.i % 10 <> 1 THEN 'inbox'"
                " WHEN g.at > now() - interval '14 days' THEN 'hold' ELSE 'gone' END",
                "received_at": "g.at",
                "gateway_at": "g.at",
                "mailbox_at": "g.at + interval '20 seconds'",
                "verified_at": "g.at + interval '20 seconds'",
            },
        ),
        *(
            (
                f"incidents_observation {layer}",
                _COPY,
                {
                    **seen,
                    "id": f"bench_id(g.at, g.i * 2 + g.c, '{layer}')",
                    "observed_at": at,
                    "recorded_at": at,
                    "source_key": "g.word || '/' || g.c",
                    "trace_ulid": "'B' || lpad(g.i::text, 25, '0')",
                    "internet_message_id": "'<' || g.word || '@host.example>'",
                    "mailbox_item_id": "''",
                    "verdict": verdict,
                },
            )
            for layer, at, verdict in (
                ("gateway", "g.at", "'clean'"),
                (
                    "mailbox",
                    "g.at + interval '20 seconds'",
                    "CASE WHEN g.is_threat THEN 'phish' ELSE 'clean' END",
                ),
            )
        ),
        (
            "incidents_sighting",
            f"(SELECT b.*, layer FROM {_COPY} b, unnest('{{gateway,mailbox}}'::text[]) AS layer)",
            {
                "id": "bench_id(g.at, g.i * 2 + g.c, 'sighting' || g.layer)",
                "tenant_id": "g.client",
                "delivery_id": _DELIVERY_ID,
                "observation_id": "bench_id(g.at, g.i * 2 + g.c, g.layer)",
                "observed_at": "g.at + CASE g.layer WHEN 'mailbox' THEN interval '20 seconds'"
                " ELSE interval '0' END",
            },
        ),
        (
            "incidents_incident",
            f"(SELECT *, row_number() OVER (PARTITION BY client ORDER BY i) AS number"
            f" FROM {threats} t)",
            {
                "id": "bench_id(g.at, g.i, 'incident')",
                "tenant_id": "g.client",
                "number": "g.number",
                "title": "'Phishing: Invoice ' || g.word",
                "kind": "('{phish,bec,malware,spam}'::text[])[1 + g.incident % 4]",
                "severity": "('{critical,high,medium,low}'::text[])[1 + g.incident % 4]",
                "severity_rank": "4 - g.incident % 4",
                "queue_rank": "g.incident % 4",
                "sender": "g.sender",
                "state": f"CASE WHEN {_IS_OPEN} THEN 'new' ELSE 'resolved' END",
                "classification": f"CASE WHEN {_IS_OPEN} THEN '' WHEN g.incident % 9 = 0"
                " THEN 'false_positive' ELSE 'true_positive' END",
                "resolved_at": f"CASE WHEN {_IS_OPEN} THEN NULL ELSE g.at + interval '2 hours' END",
                "first_seen_at": "g.at",
                "last_seen_at": "g.at",
                "opened_at": "g.at",
                "due_at": f"CASE WHEN {_IS_OPEN} THEN g.at + interval '8 hours' END",
            },
        ),
        (
            "incidents_incidentmessage",
            threats,
            {
                "id": "bench_id(g.at, g.i, 'member')",
                "tenant_id": "g.client",
                "incident_id": "bench_id(g.at, g.i, 'incident')",
                "message_id": "g.message_id",
                "created_at": "g.at",
            },
        ),
        (
            "incidents_groupkey",
            f"(SELECT t.*, k FROM {threats} t, generate_series(1, {KEYS}) AS k)",
            {
                "id": "bench_id(g.at, g.i * 8 + g.k, 'key')",
                "tenant_id": "g.client",
                "incident_id": "bench_id(g.at, g.i, 'incident')",
                "message_id": "g.message_id",
                "kind": "CASE g.k WHEN 1 THEN 'content' ELSE 'text' END",
                # Three mails, mostly of different clients, have the same content.
                "value": "md5(g.k || '/' || g.incident / 3)",
                "last_seen_at": "g.at",
            },
        ),
        (
            "incidents_ledgerentry",
            threats,
            {
                "message_id": "g.message_id",
                "tenant_id": "g.client",
                "counted_as": "('{mailbox_only_passed,both_gateway_first,gateway_only_unseen,"
                "both_mailbox_first,person_only,false_mailbox_only_passed,gateway_only_passed}'"
                "::text[])[1 + g.incident % 7]",
                "seen_at": "g.at",
                "lag_s": "CASE WHEN g.incident % 7 IN (1, 3, 4) THEN g.incident % 7200 END",
            },
        ),
    ]


def _multiply(name: str, key: Any, source: str, columns: dict[str, str]) -> None:
    """INSERT … SELECT: every column from the template row, but for those that are given."""
    from django.db import connection

    table = name.partition(" ")[0]
    primary = "message_id" if table == "incidents_ledgerentry" else "id"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
        )
        names = [row[0] for row in cursor.fetchall()]
        assert columns.keys() <= set(names), sorted(columns.keys() - set(names))
        listed = ", ".join(f'"{each}"' for each in names)
        values = ", ".join(columns.get(each, f't."{each}"') for each in names)
        rows = f"SELECT {values} FROM {source} g".replace("%", "%%")
        cursor.execute(
            f"INSERT INTO {table} ({listed}) {rows},"
            f" (SELECT * FROM {table} WHERE {primary} = %s LIMIT 1) t",
            [key],
        )


def _rest(template: dict[str, Any]) -> None:
    """What follows from the rows: the ledger's days, and how common hosts and senders are."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM incidents_ledgerday")
        cursor.execute(
            "INSERT INTO incidents_ledgerday (id, tenant_id, day, counted_as, mails)"
            " SELECT gen_random_uuid(), tenant_id, (seen_at AT TIME ZONE 'UTC')::date, counted_as,"
            " count(*) FROM incidents_ledgerentry GROUP BY 2, 3, 4"
        )
        for kind, column in (("sender_domain", "host"), ("sender", "sender"), ("url_host", "host")):
            _traits(cursor, kind, column)


def _traits(cursor: Any, kind: str, column: str) -> None:
    """As if each mail had been counted, and each threat's been noted, by its ``column``."""
    from incidents.campaigns.traits import make_trait
    from incidents.prevalence import trait_key

    cursor.execute(f"SELECT DISTINCT {column} FROM bench_mail")
    traits = [make_trait(kind, text) for (text,) in cursor.fetchall()]
    cursor.execute("CREATE TEMPORARY TABLE bench_trait (text text, value text, key bigint)")
    with cursor.copy("COPY bench_trait FROM STDIN") as copy:
        for trait in traits:
            copy.write_row((trait.label, trait.value, trait_key(trait)))
    of_mails = f"FROM bench_mail b JOIN bench_trait t ON t.text = b.{column}"
    cursor.execute(
        "INSERT INTO incidents_traitcount"
        " (tenant_id, kind, value, messages, first_seen_at, last_seen_at)"
        f" SELECT client, %s, t.value, count(*), min(at), max(at) {of_mails}"
        " GROUP BY client, t.value",
        [kind],
    )
    cursor.execute(
        "INSERT INTO incidents_mailtrait (tenant_id, key, seen_at, message_id)"
        f" SELECT client, t.key, at, message_id {of_mails}"
    )
    cursor.execute(
        "INSERT INTO incidents_messagetrait"
        " (id, tenant_id, message_id, kind, value, label, seen_at)"
        f" SELECT gen_random_uuid(), client, message_id, %s, t.value, t.text, at {of_mails}"
        " WHERE b.is_threat",
        [kind],
    )
    cursor.execute("DROP TABLE bench_trait")
