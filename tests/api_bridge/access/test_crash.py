"""Workers that connect clients and look after their access, killed at every commit in turn."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from api_bridge.access import gdap, hosts, proof, watching
from api_bridge.access.hosts import HOSTS, Checked, Host, ask_host
from api_bridge.access.models import (
    AppRegistration,
    Consent,
    Grant,
    HostTrial,
    Purpose,
    Relationship,
)
from api_bridge.access.permissions import NEEDS
from api_bridge.models import Connection
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry, Tenant, Work
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.api_bridge.access.conftest import Yard
from tests.api_bridge.access.test_watching import standing, withdraw
from tests.api_bridge.sandbox.running import Company
from tests.api_bridge.sandbox.workspace import service_account
from tests.crash.worker import check_passed, crash_at_each, serve
from tests.factories import Cast

OPENED = "incidents.incident.opened"


def worker(tenant: Tenant):
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def claimed(tenant: Tenant) -> ClaimedWork:
    return ClaimedWork(tenant.id, tenant.provider_id, 1)


def audited(tenant: Tenant, *actions: str) -> list[int]:
    """How often each of them is on record."""
    with worker(tenant):
        rows = AuditEntry.objects.filter(tenant_id=tenant.id)
        return [rows.filter(action=action).count() for action in actions]


def is_wanted(tenant: Tenant, queue: str) -> bool:
    with worker(tenant):
        return Work.objects.filter(queue=queue, wanted_at__lte=timezone.now()).exists()


def wants_nothing(tenant: Tenant) -> None:
    with worker(tenant):
        Work.objects.update(wanted_at=None)


def works(_entered: Any, _known: Any) -> list[Checked]:
    return [Checked("login", is_ok=True)]


def test_a_host_is_connected_once_and_that_is_said(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, no_broker: None
):
    connect = HOSTS["google"].connect
    monkeypatch.setitem(HOSTS, "google", Host(f"{__name__}.works", connect))
    begun: list[dict[str, str]] = []

    def begin() -> None:
        name = f"C01abc{len(begun):03d}"
        key = service_account(name, "https://oauth2.googleapis.com/token")
        entered = {"customer_id": name, "admin": "a@acme.example"}
        begun.append(entered | {"service_account_key": json.dumps(key)})
        with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
            ask_host(tenant=cast.acme, kind="google", entered=begun[-1], actor=cast.mo)
        wants_nothing(cast.acme)

    def check(died_at: str) -> None:
        with worker(cast.acme):
            trials = HostTrial.objects.values_list("stage", "words")
            assert set(trials) == {(HostTrial.Stage.CONNECTED, "")}, died_at
            assert Connection.objects.count() == len(begun), died_at
        said = audited(cast.acme, "api_bridge.connection.created", hosts.SETTLED)
        assert said == [len(begun), len(begun)], died_at
        assert is_wanted(cast.acme, "sync"), died_at

    places = crash_at_each(begin, lambda: hosts.try_hosts(claimed(cast.acme)), check)
    refused = {"_fail": "notes why a host was refused: test_hosts.py"}
    check_passed(places, "api_bridge.access.hosts", reads={"_waiting"}, others=refused)


def test_a_consent_is_proven_and_settled_once(yard: Yard):
    begun: list[str] = []

    def first() -> None:
        """Nothing is connected yet."""
        with maintenance_scope():
            Grant.objects.all().delete()
            Connection.objects.all().delete()
        brought(Purpose.DETECT)

    def another() -> None:
        brought(Purpose.REMEDIATE)

    def brought(purpose: str) -> None:
        yard.bring(yard.decide(yard.ask(purpose)))
        begun.append(purpose)
        wants_nothing(yard.tenant)

    def foreign() -> None:
        """It came from another cloud tenant than the connected one."""
        yard.bring(replace(yard.decide(yard.ask()), cloud_tenant_id=str(uuid4())))
        begun.append("")

    def work() -> None:
        proof.prove_returned(claimed(yard.tenant))

    def check(died_at: str) -> None:
        stages = {Consent.Stage.GRANTED, Consent.Stage.FAILED if begun[-1] == "" else "granted"}
        with yard.worker():
            assert set(Consent.objects.values_list("stage", flat=True)) == stages, died_at
            granted = sorted(Grant.objects.values_list("purpose", flat=True))
        assert granted == sorted({*begun} - {""}), died_at
        made = begun.count(Purpose.DETECT)
        said = audited(yard.tenant, proof.CONNECTED, proof.SETTLED)
        assert said == [made, len(begun)], died_at
        assert begun[-1] == "" or is_wanted(yard.tenant, "sync"), died_at

    places: set[str] = set()
    for begin in (first, another, foreign):
        places |= crash_at_each(begin, work, check)
    gone = {"_claims": "only that its registration was changed since, in one transaction"}
    check_passed(places, "api_bridge.access.proof", others=gone)


@pytest.fixture
def home(yard: Yard) -> str:
    """The path of the provider's own relationships, with a registration that reads them."""
    company = Company(yard.cloud)
    client_id = yard.register(Purpose.PARTNER, home_tenant_id=company.tenant_id)
    app = {"client_id": client_id, "roles": [need.name for need in NEEDS[Purpose.PARTNER]]}
    tenant = {"domain": company.domain, "display_name": "Keep", "apps": [app]}
    yard.cloud.admin("PUT", f"tenants/{company.tenant_id}", tenant)
    return f"tenants/{company.tenant_id}/relationships"


def test_relationships_are_what_microsoft_lists(yard: Yard, home: str):
    begun: list[str] = []

    def begin() -> None:
        """The one before has been replaced by another; the look before this failed."""
        begun.append(f"Keep {len(begun)}")
        wanted = {
            "customer_id": str(uuid4()), "display_name": begun[-1], "ends_in_days": 100,
            "roles": ["194ae4cb-b126-40b2-bd5b-6091b380977d"],
        }  # fmt: skip
        yard.cloud.admin("PUT", home, {"relationships": [wanted]})
        with yard.worker():
            AppRegistration.objects.filter(purpose=Purpose.PARTNER).update(trouble="It failed.")

    def work() -> None:
        """An hour later."""
        with yard.worker():
            AppRegistration.objects.filter(purpose=Purpose.PARTNER).update(looked_at=None)
        gdap.look_at_relationships(claimed(yard.tenant))

    def check(died_at: str) -> None:
        with yard.worker():
            names = list(Relationship.objects.values_list("name", flat=True))
            trouble = AppRegistration.objects.get(purpose=Purpose.PARTNER).trouble
        assert (names, trouble) == ([begun[-1]], ""), died_at

    places = crash_at_each(begin, work, check)
    check_passed(places, "api_bridge.access.gdap")


def test_a_loss_of_access_is_told_once_and_its_return_starts_what_waits(yard: Yard):
    for purpose in (Purpose.DETECT, Purpose.REMEDIATE):
        yard.consent(purpose)
    losses: list[int] = []

    def look() -> None:
        watching.look(claimed(yard.tenant))

    def lose() -> None:
        withdraw(yard, Purpose.REMEDIATE)
        losses.append(len(losses))

    def give_back() -> None:
        """At Microsoft; nobody comes back to us."""
        yard.decide(yard.ask(Purpose.REMEDIATE))

    def is_lost() -> None:
        give_back()
        look()
        lose()

    def is_back() -> None:
        lose()
        look()
        give_back()
        wants_nothing(yard.tenant)

    def check_loss(died_at: str) -> None:
        told = yard.health("consent")
        assert len(told) == len(losses), died_at
        assert [each.is_open for each in told] == [False] * (len(told) - 1) + [True], died_at
        assert standing(yard, "consent") == ["remediate"], died_at
        with yard.worker():
            opened = AuditEntry.objects.filter(action=OPENED, object_id=str(told[-1].id))
            assert opened.count() == 1, died_at
            assert Grant.objects.exclude(lost_at=None).count() == 1, died_at

    def check_return(died_at: str) -> None:
        assert not any(each.is_open for each in yard.health("consent")), died_at
        with yard.worker():
            assert not Grant.objects.exclude(lost_at=None).exists(), died_at
        assert is_wanted(yard.tenant, "remediate"), died_at

    places = crash_at_each(is_lost, look, check_loss)
    give_back()
    places |= crash_at_each(is_back, look, check_return)
    check_passed(places, "api_bridge.access.watching")


def test_the_hourly_round_goes_on_where_a_worker_died(yard: Yard):
    yard.consent()
    begun: list[int] = []

    def begin() -> None:
        wants_nothing(yard.tenant)
        yard.bring(yard.decide(yard.ask()))
        begun.append(len(begun))

    def check(died_at: str) -> None:
        assert yard.last().stage == Consent.Stage.GRANTED, died_at
        assert audited(yard.tenant, proof.SETTLED) == [1 + len(begun)], died_at
        assert is_wanted(yard.tenant, "accounts"), died_at
        with yard.worker():
            row = Work.objects.get(queue="access")
        assert row.leased_until is None, died_at
        assert row.wanted_at is not None, died_at

    places = crash_at_each(begin, lambda: serve("access"), check)
    check_passed(places, "api_bridge.access.work")
