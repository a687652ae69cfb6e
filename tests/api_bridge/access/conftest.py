"""A provider with app registrations in a sandbox cloud, and a client whose tenant is in it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from api_bridge.access.consent import Answer, ask_consent, take_answer
from api_bridge.access.models import Consent, Purpose
from api_bridge.access.permissions import NEEDS
from api_bridge.access.registrations import NewRegistration, keep_registration
from api_bridge.access.work import serve_access
from api_bridge.models import Connection
from api_bridge.runtime import close_connectors, shared_runtime
from incidents.models import Incident
from tenants.doors import ClaimedWork
from tenants.errors import DomainError
from tenants.models import Domain, Person, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.api_bridge.sandbox.running import Company, SandboxProcess
from tests.factories import Cast

SECRET = "s3cret"
BACK = ["http://127.0.0.1:8000/console/consent", "http://127.0.0.1:8001/portal/consent"]


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """One sandbox for the tests of this folder."""
    with SandboxProcess(tmp_path_factory.mktemp("access-sandbox")) as process:
        yield process
        assert process.stop() == 0


@pytest.fixture
def own_cloud(cloud: SandboxProcess, settings) -> Iterator[SandboxProcess]:
    settings.OUTGOING_HOSTS = [cloud.addresses["https"]]
    settings.OTHER_CLOUD = (cloud.https, cloud.http, str(cloud.ca))
    settings.INGEST_URL = "http://127.0.0.1:9"
    shared_runtime.cache_clear()
    yield cloud
    close_connectors()
    shared_runtime.cache_clear()


@dataclass
class Yard:
    """Acme with a cloud tenant of its own, and the provider's registrations.  ``apps``: by purpose,
    the client id.
    """

    cast: Cast
    company: Company
    cloud: SandboxProcess
    apps: dict[str, str] = field(default_factory=dict)

    @property
    def tenant(self) -> Tenant:
        return self.cast.acme

    def staff(self, person: Person | None = None, *tenants: Tenant):
        return tenant_scope(
            Role.ANALYST,
            [each.id for each in tenants or (self.tenant,)],
            provider_id=self.cast.provider.id,
        )

    def worker(self, tenant: Tenant | None = None):
        tenant = tenant or self.tenant
        return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)

    def serve(self, tenant: Tenant | None = None) -> Any:
        tenant = tenant or self.tenant
        return serve_access(ClaimedWork(tenant.id, tenant.provider_id, 1))

    def register(self, purpose: str, *, days: int = 200, **changes: Any) -> str:
        """An application of the cloud, entered by Mo; answers its client id."""
        client_id = self.apps.setdefault(purpose, str(uuid.uuid4()))
        self.application(purpose)
        fields: dict[str, Any] = {
            "purpose": purpose,
            "client_id": client_id,
            "cloud": "own",
            "secret": SECRET,
            "expires_at": timezone.now() + timedelta(days=days),
        }
        with self.staff():
            keep_registration(wanted=NewRegistration(**(fields | changes)), actor=self.cast.mo)
        return client_id

    def application(self, purpose: str, **changes: Any) -> None:
        fields = {
            "display_name": f"Bailey {purpose}",
            "secret": SECRET,
            "roles": [need.name for need in NEEDS[purpose]],
            "redirect_uris": BACK,
        }
        self.cloud.admin("PUT", f"applications/{self.apps[purpose]}", fields | changes)

    def ask(self, purpose: str = Purpose.DETECT, *, session: str = "s1", tenant=None) -> str:
        """The address of the consent page."""
        tenant = tenant or self.tenant
        with self.staff(None, tenant):
            return ask_consent(
                tenant=tenant, purpose=purpose, person=self.cast.mo, session_key=session
            )

    def decide(self, url: str, *, says: str = "yes", company: Company | None = None) -> Answer:
        """An admin of a company answers the page; what comes back with the browser."""
        company = company or self.company
        reply = self.cloud.client.post(url, data={"tenant": company.tenant_id, "answer": says})
        assert reply.status_code == 302, reply.text
        return read_answer(reply.headers["location"])

    def bring(self, answer: Answer, *, session: str = "s1", person: Person | None = None) -> None:
        """As the page does: what is refused leaves the request's scope as an answer."""
        refusal: DomainError | None = None
        with self.staff(None, self.tenant, self.cast.globex):
            try:
                take_answer(answer=answer, person=person or self.cast.mo, session_key=session)
            except DomainError as error:
                refusal = error
        if refusal is not None:
            raise refusal

    def consent(self, purpose: str = Purpose.DETECT, **how: Any) -> Consent:
        """The whole journey; how it ended."""
        self.bring(self.decide(self.ask(purpose), **how))
        self.serve()
        return self.last()

    def last(self, tenant: Tenant | None = None) -> Consent:
        with self.worker(tenant):
            return Consent.objects.latest("id")

    def connection(self) -> Connection:
        with self.worker():
            return Connection.objects.get()

    def health(self, code: str) -> list[Incident]:
        with self.worker():
            return list(Incident.objects.filter(finding=code).order_by("number"))


def read_answer(location: str) -> Answer:
    query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    return Answer(
        state=query["state"],
        cloud_tenant_id=query.get("tenant", ""),
        is_consented=query.get("admin_consent") == "True",
        error=query.get("error", ""),
        description=query.get("error_description", ""),
    )


@pytest.fixture
def yard(transactional_cast: Cast, own_cloud: SandboxProcess) -> Yard:
    company = Company(own_cloud)
    with maintenance_scope():
        Domain.objects.create(
            tenant=transactional_cast.acme,
            name=company.domain,
            next_hop_host="127.0.0.1",
            next_hop_port=25,
        )
    made = Yard(transactional_cast, company, own_cloud)
    for purpose in (Purpose.DETECT, Purpose.REMEDIATE):
        made.register(purpose)
    return made
