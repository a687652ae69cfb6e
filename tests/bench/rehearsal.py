"""Rehearsing a change over stored mail, against the bare SQL that reads the same rows.

One client with 100,000 copies within the last 30 days, made by SQL from one real observation of a
gate; a rule that fits one in a hundred, and a change of the policy that has to decide every copy
again.  Memory is the peak of what Python allocates while all copies are decided.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from tests.bench import Measurement
from tests.bench.intake import a_database

COPIES = 100_000
FEW = 10_000
ROUNDS = 3

_MULTIPLY = """
INSERT INTO incidents_observation ({columns})
SELECT {values} FROM incidents_observation o, generate_series(1, %s) AS n
WHERE o.tenant_id = %s AND o.source_key LIKE 'first/%%'
"""
_OWN = {
    "id": "gen_random_uuid()",
    "source_key": "n || '/' || o.recipient",
    "trace_ulid": "lpad(n::text, 26, '0')",
    "observed_at": "now() - n * interval '20 seconds'",
    "verdict": "CASE WHEN n %% 20 = 0 THEN 'spam' ELSE 'clean' END",
    "score": "CASE WHEN n %% 20 = 0 THEN 4.5 ELSE 0.4 END",
    "mail": "jsonb_set(o.mail, '{{sender,address}}',"
    " to_jsonb('someone' || n %% 100 || '@sender.example'))",
}
_BARE = """
SELECT count(*), count(*) FILTER (WHERE strpos(mail::text, 'someone7@sender.example') > 0)
FROM incidents_observation WHERE tenant_id = %s AND observed_at >= now() - interval '30 days'
"""


def measure_rehearsal() -> list[Measurement]:
    with a_database():
        tenant_id = _fill()
        return _measure(tenant_id)


def _fill() -> int:
    from django.db import connection

    from incidents.intake import record
    from incidents.mail import read_mail
    from incidents.models import Observation
    from tenants.scope import Role, maintenance_scope, tenant_scope
    from tests.bench.intake import MAIL
    from tests.factories import gateway_saw, make_cast

    cast = make_cast()
    facts = read_mail(MAIL, envelope_from="news@sender.example").as_json()
    detail = {"client_ip": "192.0.2.7", "mail_from": "news@sender.example", "missing": []}
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        first = gateway_saw(cast.acme, "info@acme.example", ulid="first", mail=facts, detail=detail)
        record([first])
    names = [str(field.column) for field in Observation._meta.concrete_fields]
    values = [_OWN.get(name, f"o.{name}") for name in names]
    statement = _MULTIPLY.format(columns=", ".join(names), values=", ".join(values))
    with maintenance_scope(), connection.cursor() as cursor:
        cursor.execute(statement.replace("{{", "{").replace("}}", "}"), [COPIES, cast.acme.id])
    tenant_id: int = cast.acme.id
    return tenant_id


def _measure(tenant_id: int) -> list[Measurement]:
    from django.db import connection

    from seg_bridge import rehearsal
    from seg_bridge.gate.policy import GatewayRule
    from seg_bridge.policies.effective import Layer, Stated
    from seg_bridge.policies.layers import Layers, Target
    from tenants.models import Tenant

    rule = GatewayRule(id="new", kind="block", match="sender", value="someone7@sender.example")
    with _scope(tenant_id):
        tenant = Tenant.objects.select_related("provider").get(id=tenant_id)
        target = Target(provider=tenant.provider, tenant=tenant)
        layer = Layer(target.level, tenant.name, {"act_from": Stated(4.0)})
        policy = rehearsal.ChangePolicy(Layers([tenant_id]).replaced(target, layer))

    def bare() -> None:
        with connection.cursor() as cursor:
            cursor.execute(_BARE, [tenant_id])

    def rehearse(change: rehearsal.Change, copies: int = COPIES) -> Any:
        rehearsal.MOST_COPIES = copies
        (client,) = rehearsal.rehearse(change, [tenant_id]).clients
        return client

    bare_s = _best(tenant_id, bare)
    rule_s = _best(tenant_id, lambda: _check(rehearse(rehearsal.AddRule(rule)), COPIES // 100))
    policy_s = _best(tenant_id, lambda: _check(rehearse(policy), COPIES // 20))
    few = _peak(tenant_id, lambda: rehearse(policy, FEW))
    many = _peak(tenant_id, lambda: rehearse(policy, COPIES))
    machine = f"bare SQL over the same {COPIES:,} rows: {bare_s:.2f} s"
    return [
        Measurement(
            name="rehearsal_rule",
            value=rule_s / bare_s,
            unit="× bare SQL",
            against=f"{machine}; with one rule: {rule_s:.2f} s",
            goal="≤ 4",
            met=rule_s <= 4 * bare_s,
        ),
        Measurement(
            name="rehearsal_policy",
            value=COPIES / policy_s,
            unit="copies/s",
            against=f"{machine}; every copy decided twice: {policy_s:.2f} s",
            goal="100,000 copies in ≤ 10 s",
            met=policy_s <= 10,
        ),
        Measurement(
            name="rehearsal_memory",
            value=many / few,
            unit=f"× at {FEW:,}",
            against=f"peak at {COPIES:,} copies: {many / 1e6:.1f} MB, at {FEW:,}: {few / 1e6:.1f}",
            goal="≤ 2",
            met=many <= 2 * few,
        ),
    ]


def _check(client: Any, newly_held: int) -> None:
    found = (client.looked_at, client.counts["newly_held"])
    assert found == (COPIES + 1, newly_held), found


def _scope(tenant_id: int) -> Any:
    from tenants.doors import all_clients
    from tenants.scope import Role, tenant_scope

    (client,) = (one for one in all_clients() if one.tenant_id == tenant_id)
    return tenant_scope(Role.ANALYST, [tenant_id], provider_id=client.provider_id)


def _best(tenant_id: int, work: Callable[[], None]) -> float:
    """Seconds of the fastest of some rounds."""
    times = []
    for _ in range(ROUNDS):
        with _scope(tenant_id):
            begun = time.perf_counter()
            work()
            times.append(time.perf_counter() - begun)
    return min(times)


def _peak(tenant_id: int, work: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        with _scope(tenant_id):
            work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


MEASURES = {"rehearsal": measure_rehearsal}
