"""What an observation costs with 10,000 and with 1,000,000 of the client's history behind it.

The history is made by SQL: mails of 60 days for 150 mailboxes, two observations each; one in twenty
has the same Message-ID as all such, one in five the content of a newsletter, one in fifty has come
around the gateway.  Then the same kind of new mail is recorded and made sense of at both sizes;
the cost is that of the fastest of the rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.bench import Measurement
from tests.bench.correlation import (
    MAILBOXES,
    START,
    analyze,
    batches_of,
    letters,
    time_intake,
)
from tests.bench.intake import a_database

if TYPE_CHECKING:
    from tenants.models import Tenant

SMALL, LARGE = 10_000, 1_000_000
ROUNDS = 4
GOAL = 1.5
DAYS = 60
FACTS = (
    '{"subject": "Old mail", "sender": {"name": "Old", "address": "old@old.example"},'
    ' "links": [], "attachments": [], "hops": [], "size_bytes": 2000}'
)

# %(first)s and %(last)s number the mails; ids are made of the number, so that rows find each other.
NUMBERED = """
CREATE TEMPORARY TABLE made ON COMMIT DROP AS
SELECT n, %(start)s - (n %% %(minutes)s) * interval '1 minute' AS at,
    'box' || n %% %(boxes)s || '@acme.example' AS recipient,
    CASE WHEN n %% 20 = 0 THEN '<same@old.example>' ELSE '<' || n || '@old.example>' END AS id,
    CASE WHEN n %% 5 = 0 THEN 'newsletter' ELSE md5(n::text) END AS fingerprint,
    CASE WHEN n %% 50 = 0 THEN '' ELSE '00J' || lpad(n::text, 23, '0') END AS ulid,
    ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS message_id,
    ('00000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))::uuid AS delivery_id
FROM generate_series(%(first)s, %(last)s) AS n
"""
OBSERVATIONS = """
INSERT INTO incidents_observation (id, tenant_id, observed_at, layer, source, source_key, recipient,
    direction, internet_message_id, fingerprint, trace_ulid, trace_state, mailbox_item_id, verdict,
    reasons, engine, engine_version, policy_version, action, rule, place, mail, evidence, detail)
SELECT gen_random_uuid(), %(tenant)s, at, layer, layer, n || layer, recipient, 'inbound', id,
    fingerprint, ulid, 'valid', CASE layer WHEN 'mailbox' THEN n::text ELSE '' END, 'clean', '[]',
    'e', '1', '1', 'delivered', '', 'inbox', %(facts)s::jsonb, '', '{}'
FROM made, (VALUES ('gateway'), ('mailbox')) AS l (layer)
"""
MESSAGES = """
INSERT INTO incidents_message (id, tenant_id, trace_ulid, internet_message_id, fingerprint, subject,
    sender_address, sender_name, sender_domain, direction, size_bytes, facts, evidence,
    first_seen_at, last_seen_at)
SELECT message_id, %(tenant)s, ulid, id, fingerprint, 'Old mail', 'old@old.example', 'Old',
    'old.example', 'inbound', 2000, %(facts)s::jsonb, '', at, at FROM made
"""
DELIVERIES = """
INSERT INTO incidents_delivery (id, tenant_id, message_id, recipient, direction, outcome, place,
    first_place, was_exposed, is_bypass, was_released, "match", match_reason, mailbox_item_id,
    gateway_verdict, mailbox_verdict, gateway_at, mailbox_at, received_at, verified_at)
SELECT delivery_id, %(tenant)s, message_id, recipient, 'inbound', 'delivered', 'inbox', 'inbox',
    true, ulid = '', false, CASE ulid WHEN '' THEN 'one_layer' ELSE 'strong' END, '',
    CASE WHEN n %% 25 = 1 THEN '' ELSE n::text END, 'clean', 'clean',
    CASE ulid WHEN '' THEN NULL ELSE at END, at, at, at FROM made
"""
# The observation's key begins with the number of its mail.
SIGHTINGS = """
INSERT INTO incidents_sighting (id, tenant_id, delivery_id, observation_id, observed_at)
SELECT gen_random_uuid(), %(tenant)s, m.delivery_id, o.id, o.observed_at
FROM made m CROSS JOIN (VALUES ('gateway'), ('mailbox')) AS l (layer)
JOIN incidents_observation o ON o.tenant_id = %(tenant)s AND o.source = l.layer
    AND o.source_key = m.n || l.layer AND o.observed_at = m.at
"""
TRAITS = """
INSERT INTO incidents_traitcount (tenant_id, kind, value, messages, first_seen_at, last_seen_at)
SELECT %(tenant)s, kind, md5(n || kind), 1, at, at
FROM made, (VALUES ('url'), ('subject_shape')) AS k (kind)
"""


def make_history(tenant: Tenant, first: int, last: int) -> None:
    """Two observations for each mail from ``first`` to ``last``."""
    from django.db import connection

    from tenants.scope import maintenance_scope

    values: dict[str, Any] = {
        "tenant": tenant.id,
        "start": START - timedelta(days=2),
        "minutes": DAYS * 24 * 60,
        "boxes": MAILBOXES,
        "facts": FACTS,
    }
    step = 50_000
    for at in range(first, last + 1, step):
        some = values | {"first": at, "last": min(at + step - 1, last)}
        with maintenance_scope(), connection.cursor() as cursor:
            for statement in (NUMBERED, OBSERVATIONS, MESSAGES, DELIVERIES, TRAITS):
                cursor.execute(statement, some)
            cursor.execute("CREATE INDEX ON made (n)")
            cursor.execute("ANALYZE made")
            cursor.execute(SIGHTINGS, some)


def cost(tenant: Tenant, rounds: Sequence[int], facts: Sequence[dict[str, Any]]) -> float:
    """Microseconds an observation, the fastest round."""
    costs = []
    for number in rounds:
        batches = batches_of(tenant.id, number, facts)
        costs.append(time_intake(tenant, batches) / sum(map(len, batches)) * 1e6)
    return min(costs)


def measure() -> list[Measurement]:
    with a_database():
        from tests.factories import make_cast

        acme, facts = make_cast().acme, letters()
        make_history(acme, 1, SMALL // 2)
        analyze()
        small = cost(acme, range(ROUNDS), facts)
        make_history(acme, SMALL // 2 + 1, LARGE // 2)
        analyze()
        large = cost(acme, range(ROUNDS, 2 * ROUNDS), facts)
    return [
        Measurement(
            name="correlation_growth",
            value=large / small,
            unit="ratio",
            against=f"an observation at {LARGE:,} of history ({large:.0f} µs) against one at"
            f" {SMALL:,} ({small:.0f} µs), best of {ROUNDS} rounds each",
            goal=f"≤ {GOAL}",
            met=large / small <= GOAL,
        )
    ]


MEASURES = {"correlation_growth": measure}
