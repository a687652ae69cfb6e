"""A client that granted account response, with two mailboxes in a sandbox cloud."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from api_bridge.access.models import Purpose
from api_bridge.accounts.models import AccountLook, AccountStep, MailboxSnapshot
from api_bridge.accounts.work import serve_accounts
from api_bridge.connectors.graph import client as graph
from api_bridge.models import Connection
from incidents.models import AccountSign, Incident
from tenants.doors import ClaimedWork
from tenants.models import Domain, Mailbox
from tenants.scope import maintenance_scope
from tests.api_bridge.access.conftest import Yard, cloud, own_cloud, yard

__all__ = ["cloud", "own_cloud", "yard"]


@pytest.fixture(autouse=True)
def _nobody_waits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox takes what it is asked; the host's own limits are counted in test_counting.py."""
    if "real_quotas" not in request.fixturenames:
        monkeypatch.setattr(graph, "QUOTAS", {})


@pytest.fixture
def real_quotas() -> None:
    """Microsoft's, as they are counted where Bailey runs."""


@dataclass
class Watched:
    """``mailbox`` is the CFO's."""

    yard: Yard
    mailbox: Mailbox

    @property
    def address(self) -> str:
        return self.mailbox.address

    def rules(self, *rules: dict[str, Any]) -> None:
        self.yard.cloud.admin("PUT", f"mailboxes/{self.address}/rules", {"rules": list(rules)})

    def account(self, **records: Any) -> None:
        self.yard.cloud.admin("PUT", f"mailboxes/{self.address}/account", records)

    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.yard.cloud.admin("GET", f"mailboxes/{self.address}/account")
        return shown

    def serve(self, *, is_due: bool = True) -> Any:
        tenant = self.yard.tenant
        if is_due:
            with self.yard.worker():
                AccountLook.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        return serve_accounts(ClaimedWork(tenant.id, tenant.provider_id, 1))

    def incidents(self) -> list[Incident]:
        with self.yard.worker():
            found = Incident.objects.filter(kind=Incident.Kind.ACCOUNT)
            return list(found.order_by("number"))

    def signs(self) -> list[tuple[str, bool]]:
        with self.yard.worker():
            rows = AccountSign.objects.filter(mailbox=self.address).order_by("code", "key")
            return [(row.code, row.incident_id is not None) for row in rows]

    def snapshots(self) -> list[MailboxSnapshot]:
        with self.yard.worker():
            rows = MailboxSnapshot.objects.filter(mailbox=self.mailbox)
            return list(rows.order_by("taken_at", "id"))

    def look(self) -> AccountLook:
        with self.yard.worker():
            return AccountLook.objects.get()

    def step(self) -> AccountStep:
        with self.yard.worker():
            return AccountStep.objects.latest("id")


@pytest.fixture
def watched(yard: Yard) -> Watched:
    yard.consent(Purpose.DETECT)
    yard.register(Purpose.RESPOND)
    yard.consent(Purpose.RESPOND)
    with maintenance_scope():
        Connection.objects.update(mailboxes_listed_at=timezone.now())
    return Watched(yard, add_mailbox(yard, "cfo"))


def add_mailbox(yard: Yard, name: str) -> Mailbox:
    address = yard.company.mail(name)
    with maintenance_scope():
        domain = Domain.objects.get(name=yard.company.domain)
        return Mailbox.objects.create(
            tenant=yard.tenant,
            domain=domain,
            address=address,
            display_name="Karla Berg",
            external_id=yard.company.ids[name],
        )
