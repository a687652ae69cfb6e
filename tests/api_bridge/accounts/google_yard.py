"""A client at Google Workspace whose accounts are looked at, in a sandbox cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from api_bridge.access.models import Purpose
from api_bridge.accounts.models import AccountLook, AccountStep, MailboxSnapshot, SignIn
from api_bridge.accounts.work import serve_accounts
from api_bridge.connectors.google import GoogleConnector
from api_bridge.models import Connection
from api_bridge.runtime import connector_of, wire_connection
from api_bridge.services import Cloud, Credentials, create_connection
from incidents.models import AccountSign, Incident
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tenants.models import Domain, Mailbox, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.api_bridge.sandbox.running import SandboxProcess
from tests.api_bridge.sandbox.workspace import Workspace
from tests.factories import Cast


def at(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass
class GoogleYard:
    """Acme at Google; ``cfo`` is the administrator as whom Bailey acts, ``ana`` is watched."""

    cast: Cast
    company: Workspace
    cloud: SandboxProcess

    @property
    def tenant(self) -> Tenant:
        return self.cast.acme

    @property
    def address(self) -> str:
        return self.company.mail("ana")

    def staff(self):
        return tenant_scope(Role.ANALYST, [self.tenant.id], provider_id=self.cast.provider.id)

    def worker(self):
        return tenant_scope(Role.WORKER, [self.tenant.id], provider_id=self.cast.provider.id)

    def delegate(self, *scopes: str, second: Sequence[str] = ()) -> None:
        """Delegates these; tokens that were given are forgotten, as after an hour."""
        self.company.delegate(*scopes, second=second)
        with self.worker():
            row = Connection.objects.get()
            wired = {wire_connection(row), wire_connection(row, Purpose.RESPOND)}
        for each in wired:
            connector = connector_of(each)
            assert isinstance(connector, GoogleConnector)
            tokens = connector.client._tokens
            for key in tokens._kept:
                tokens._cache.drop(key)
            tokens._kept.clear()

    def serve(self, *, is_due: bool = True) -> Any:
        if is_due:
            with self.worker():
                AccountLook.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        return serve_accounts(ClaimedWork(self.tenant.id, self.tenant.provider_id, 1))

    def signs(self) -> list[tuple[str, int]]:
        with self.worker():
            rows = AccountSign.objects.filter(mailbox=self.address).order_by("code", "key")
            return [(row.code, row.weight) for row in rows]

    def incidents(self) -> list[Incident]:
        with self.worker():
            found = Incident.objects.filter(kind=Incident.Kind.ACCOUNT)
            return list(found.order_by("number"))

    def all_incidents(self) -> list[Incident]:
        with self.worker():
            return list(Incident.objects.order_by("number"))

    def look(self) -> AccountLook:
        with self.worker():
            return AccountLook.objects.get()

    def changes(self) -> list[str]:
        with self.worker():
            rows = MailboxSnapshot.objects.filter(mailbox__address=self.address)
            return [each for row in rows.order_by("taken_at", "id") for each in row.changes]

    def sign_ins(self) -> list[SignIn]:
        with self.worker():
            return list(SignIn.objects.order_by("at"))

    def step(self) -> AccountStep:
        with self.worker():
            return AccountStep.objects.latest("id")


def make_google_yard(cast: Cast, cloud: SandboxProcess) -> GoogleYard:
    company = Workspace(cloud)
    yard = GoogleYard(cast, company, cloud)
    with maintenance_scope():
        domain = Domain.objects.create(
            tenant=cast.acme, name=company.domain, next_hop_host="127.0.0.1", next_hop_port=25
        )
        for name in ("ana", "cfo"):
            Mailbox.objects.create(
                tenant=cast.acme,
                domain=domain,
                address=company.mail(name),
                external_id=company.mail(name),
            )
    with yard.worker():
        create_connection(
            tenant=cast.acme,
            kind=Connection.Kind.GOOGLE,
            cloud_tenant_id=company.customer_id,
            credentials=Credentials(
                client_id=company.account["client_id"], secret=company.key_json
            ),
            cloud=Cloud(
                authority_url=cloud.https,
                api_url=cloud.https,
                ca_file=str(cloud.ca),
                settings={"admin": company.admin},
            ),
            actor=BAILEY,
        )
        Connection.objects.update(mailboxes_listed_at=timezone.now())
    return yard
