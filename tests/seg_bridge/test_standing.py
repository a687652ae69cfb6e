"""Records that were seen once are missed when they go; what was never there is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from incidents.models import Finding, Incident
from seg_bridge.engines.embedded.resolver import ResolverFailed
from seg_bridge.models import DomainCheck, GateClient
from seg_bridge.onboarding import work
from seg_bridge.onboarding.standing import look_for_keys, stand_now
from tenants.doors import ClaimedWork
from tenants.models import Domain
from tenants.scope import Role, tenant_scope
from tests.seg_bridge.conftest import make_gate

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SEEN, GONE, SILENT = (
    {"state": state, "words": words, "found": []}
    for state, words in (
        ("seen", "All mail comes to the gates."),
        ("not_seen", "Mail still goes to mx.other.example."),
        ("no_answer", "DNS did not answer."),
    )
)


def follow(*looks, began=None):
    """What stands after these looks, each ``(mx, keys)``, a day apart."""
    kept = began or {}
    for day, (mx, keys) in enumerate(looks):
        now = NOW + timedelta(days=day)
        kept = stand_now(kept, domain="acme.example", mx=mx, keys=keys, now=now)
    return [(code, key) for code, key, _ in kept["troubles"]]


MX, KEY = ("mx", "acme.example"), ("dkim", "google._domainkey.acme.example")
A, B = {"google": "a"}, {"google": "b"}


@pytest.mark.parametrize(
    ("looks", "wrong"),
    [
        ([(GONE, {})], []),  # it never was with us
        ([(SEEN, {}), (SEEN, {})], []),
        ([(SEEN, {}), (GONE, {})], [MX]),
        ([(SEEN, {}), (GONE, {}), (SILENT, {})], [MX]),
        ([(SEEN, {}), (SILENT, {})], []),
        ([(SEEN, {}), (GONE, {}), (SEEN, {})], []),
        ([(GONE, A), (GONE, {})], [KEY]),
        ([(GONE, A), (GONE, {}), (GONE, None)], [KEY]),
        ([(GONE, A), (GONE, {"google": ""})], [KEY]),
        ([(GONE, A), (GONE, B)], [KEY]),
        ([(GONE, A), (GONE, B), (GONE, B), (GONE, B)], []),
        ([(GONE, A), (GONE, {}), (GONE, A)], []),
        ([(GONE, {}), (GONE, A)], []),
    ],
)
def test_what_is_missed(looks, wrong):
    assert follow(*looks) == wrong


def test_keys_are_read_as_they_are_published():
    texts = {
        "selector1._domainkey.acme.example": ("v=DKIM1; k=rsa; p=AB CD",),
        "google._domainkey.acme.example": ("v=DKIM1; p=",),
        "own._domainkey.acme.example": ("v=DKIM1;p=XYZ;",),
        "selector2._domainkey.acme.example": ("something else",),
    }
    found = look_for_keys(lambda name, _: texts.get(name, ()), "acme.example", ["own"])
    assert found is not None
    assert sorted(found) == ["google", "own", "selector1"]
    assert found["google"] == ""

    def fails(name, kind):
        raise ResolverFailed("timeout")

    assert look_for_keys(fails, "acme.example", []) is None


def test_a_lost_record_opens_an_incident_and_its_return_settles_it(cast, monkeypatch, no_broker):
    make_gate(cast, cast.acme)
    records = {("acme.example", "MX"): ("10 mx1.keep.example.",)}
    monkeypatch.setattr(work, "resolver", lambda: lambda name, kind: records.get((name, kind), ()))
    claimed = ClaimedWork(cast.acme.id, cast.provider.id, 1)
    scope = {"role": Role.WORKER, "tenant_ids": [cast.acme.id], "provider_id": cast.provider.id}
    with tenant_scope(**scope):
        gate = cast.provider and list(GateClient.objects.values_list("gate__hostname"))
        records[("acme.example", "MX")] = (f"10 {gate[0][0]}.",)
        DomainCheck.objects.create(
            tenant=cast.acme, domain=Domain.objects.get(), token="t", wanted_at=timezone.now()
        )

    def look():
        with tenant_scope(**scope):
            DomainCheck.objects.update(
                wanted_at=None, looked_at=timezone.now() - timedelta(hours=1)
            )
        work.serve_onboarding(claimed)
        with tenant_scope(**scope):
            return list(Incident.objects.filter(finding="mx").values_list("state", flat=True))

    assert look() == []
    ours = records.pop(("acme.example", "MX"))
    assert look() == ["new"]
    assert look() == ["new"]
    with tenant_scope(**scope):
        assert Finding.objects.get().key == "acme.example"
    records[("acme.example", "MX")] = ours
    assert look() == ["resolved"]
