"""A new client, with a real gate: in force within five seconds, and its test mail goes through."""

from __future__ import annotations

import time

from console.queries.onboarding import onboard_page
from incidents.correlation import serve_intake
from seg_bridge.onboarding import services
from seg_bridge.onboarding.work import serve_onboarding
from tenants.domains import NewMailbox, NextHop, add_mailboxes
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tenants.services import open_client
from tests.seg_bridge.test_end_to_end import yard
from tests.seg_bridge.yard import Yard, wait_for

__all__ = ["yard"]
IN_FORCE_WITHIN_S = 5.0


def test_a_new_client_is_in_force_in_seconds_and_its_test_mail_arrives(yard: Yard, monkeypatch):
    cast = yard.cast
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        slug = open_client(slug="initech", name="Initech", time_zone="UTC", person=cast.mo)
    tenant = begin(yard, slug)
    began = time.monotonic()
    wait_for(lambda: steps(tenant)["gates"] == "done", "the gate to follow")
    assert time.monotonic() - began < IN_FORCE_WITHIN_S

    monkeypatch.setenv("BAILEY_GATE_NAME", yard.mx.name)
    monkeypatch.setenv("BAILEY_GATE_LISTEN", f"127.0.0.1:{yard.smtp_port}")
    with scope(tenant):
        gate = yard.mx.row
        services.send_trial(
            tenant=tenant, gate=gate, recipient="bill@initech.example", actor=cast.mo
        )
    work = ClaimedWork(tenant.id, tenant.provider_id, 1)
    serve_onboarding(work)
    [mail] = [each for each in yard.sink.mails if each.recipients == ["bill@initech.example"]]
    assert b"Subject: Test mail for Initech" in mail.data

    def is_told() -> bool:
        serve_intake(work)
        return steps(tenant)["trial"] == "done"

    wait_for(is_told, "the trace of the test mail")
    with scope(tenant):
        (row,) = onboard_page(tenant).trials
        assert row.trial.state == "taken"
        assert row.trace is not None
        assert row.trace.copy.outcome == "delivered"


def begin(yard: Yard, slug: str) -> Tenant:
    """Its domain goes to the sink, in a scope that holds the client as the next request's does."""
    cast = yard.cast
    tenant_id = max(cast.acme.id, cast.globex.id) + 1
    with tenant_scope(Role.ANALYST, [tenant_id], provider_id=cast.provider.id):
        tenant: Tenant = Tenant.objects.select_related("provider").get(slug=slug)
        way = NextHop("127.0.0.1", yard.sink.port)
        services.begin_domain(tenant=tenant, name="initech.example", way=way, actor=cast.mo)
        add_mailboxes(
            tenant=tenant, boxes=[NewMailbox("bill@initech.example", "Bill")], actor=cast.mo
        )
    return tenant


def scope(tenant: Tenant):
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def steps(tenant: Tenant) -> dict[str, str]:
    with scope(tenant):
        return {key: step.state for key, step in onboard_page(tenant).steps.items()}
