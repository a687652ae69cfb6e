"""A gate that does not follow its policy is noticed, kept, audited and shown, until it does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from console import settings as project
from seg_bridge.alarms import FOLLOWS_WITHIN, WORDS, gates_in_trouble
from seg_bridge.gate.policy import TROUBLES, load_signed
from seg_bridge.models import Gate
from tenants.models import AuditEntry
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.seg_bridge.conftest import Wire


def gate_of(wire: Wire) -> Gate:
    known = wire.mx.known
    with tenant_scope(Role.WORKER, known.tenant_ids, provider_id=known.provider_id):
        return Gate.objects.get(id=known.gate_id)


def changed(wire: Wire, **values: Any) -> None:
    known = wire.mx.known
    with tenant_scope(Role.WORKER, known.tenant_ids, provider_id=known.provider_id):
        Gate.objects.filter(id=known.gate_id).update(**values)


def offered(wire: Wire) -> str:
    return load_signed(wire.news()["snapshot"], wire.mx.secret).version


def test_every_trouble_has_its_words():
    assert set(WORDS) == set(TROUBLES)


@pytest.mark.parametrize("said", ["signature", "newer_format", "older", "disk", "nonsense"])
def test_what_a_gate_says_is_kept_and_audited_once_until_it_is_well(wire: Wire, said: str):
    version = offered(wire)
    for _ in range(2):
        wire.news(snapshot="old", trouble=said)
    gate = gate_of(wire)
    assert gate.policy_trouble == (said if said in TROUBLES else "unreadable")
    since = gate.policy_trouble_since
    assert since is not None
    wire.news(snapshot=version)
    assert (gate_of(wire).policy_trouble, gate_of(wire).policy_trouble_since) == ("", None)
    known = wire.mx.known
    with tenant_scope(Role.WORKER, known.tenant_ids, provider_id=known.provider_id):
        actions = AuditEntry.objects.filter(object_kind="gate", actor_name="gate mx1")
        told = list(actions.order_by("at").values_list("action", flat=True))
    assert told == ["seg_bridge.gate.policy_refused", "seg_bridge.gate.policy_followed"]


def test_a_new_gate_that_asks_for_its_first_policy_is_no_alarm(wire: Wire):
    wire.news(trouble="missing")
    assert gate_of(wire).policy_trouble == ""
    wire.news(trouble="missing")
    assert gate_of(wire).policy_trouble == "missing"


def test_a_gate_that_says_nothing_and_does_not_follow_is_found_out(wire: Wire):
    version = offered(wire)
    wire.news(snapshot="old")
    assert gate_of(wire).policy_trouble == ""
    late = timezone.now() - FOLLOWS_WITHIN - timedelta(seconds=1)
    changed(wire, offered_at=late)
    wire.news(snapshot="old")
    assert gate_of(wire).policy_trouble == "not_followed"
    wire.news(snapshot=version)
    assert gate_of(wire).policy_trouble == ""


def test_the_console_shows_it_where_policies_are_changed_and_on_the_health_page(
    client, cast: Cast, wire: Wire, settings
):
    offered(wire)
    wire.news(snapshot="old", trouble="signature")
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        assert gates_in_trouble().count() == 1
    settings.ROOT_URLCONF = "console.urls"
    settings.MIDDLEWARE = project.MIDDLEWARE
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    client.force_login(cast.bo)
    for address in ("health", "rules", "policy_provider"):
        page = client.get(reverse(address)).content.decode()
        assert "does not follow the newest policy" in page
        assert "signature of its policy is wrong" in page
    listed = client.get("/api/v1/gates").json()["results"]
    assert (listed[0]["name"], listed[0]["policy_trouble"]) == ("mx1", "signature")
