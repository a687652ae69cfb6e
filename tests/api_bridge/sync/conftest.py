"""A client whose cloud tenant is in a real sandbox, and the worker that reads its mailboxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from django.utils import timezone

from api_bridge import connectors, runtime
from api_bridge.connectors import Page, ReadsMany
from api_bridge.errors import BridgeError
from api_bridge.known import forget_profiles
from api_bridge.limits import LocalLimits
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import close_connectors, shared_runtime, wire_connection
from api_bridge.scanback import behind
from api_bridge.services import Cloud, Credentials, create_connection
from api_bridge.sync import serve_sync
from incidents.correlation import make_sense_of_backlog
from incidents.mail.fingerprint import content_fingerprint
from incidents.mail.headers import prepend_headers
from incidents.mail.trace import TRACE_HEADER, Trace, hash_message_id, sign_trace
from incidents.models import Delivery, Observation
from incidents.traces import active_trace_key, make_trace_key
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tenants.models import Domain, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tenants.secrets import new_data_key
from tests.api_bridge.sandbox.inside import (
    InsideCloud,
    InsideCompany,
    InsideWorkspace,
    Time,
    opener,
)
from tests.api_bridge.sandbox.running import Company, SandboxProcess
from tests.api_bridge.sandbox.workspace import Workspace
from tests.factories import Cast

SENT = "outbound"


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """One sandbox for the tests of this folder."""
    with SandboxProcess(tmp_path_factory.mktemp("sync-sandbox")) as process:
        yield process
        assert process.stop() == 0


@pytest.fixture(autouse=True)
def outgoing(request, settings, tmp_path) -> Iterator[None]:
    """Connectors may reach the sandbox, and nothing is kept from the test before."""
    if "inside" in request.fixturenames:
        yield  # no process: the cloud is in this one
        return
    cloud = request.getfixturevalue("cloud")
    settings.OUTGOING_HOSTS = [cloud.addresses["https"]]
    settings.EVIDENCE_DIR = tmp_path / "evidence"
    settings.INGEST_URL = "http://127.0.0.1:9"  # nobody listens: no push unless a test wants it
    shared_runtime.cache_clear()
    forget_profiles()
    yield
    close_connectors()
    shared_runtime.cache_clear()
    cloud.admin("DELETE", "faults", status=204)


@dataclass
class Client:
    """One client with its cloud tenant.  Mailboxes: ana, bo, cfo."""

    tenant: Tenant
    company: Company
    connection: Connection

    def scope(self):
        return tenant_scope(Role.WORKER, [self.tenant.id], provider_id=self.tenant.provider_id)

    def sync(self, *, everything: bool = True) -> datetime | None:
        """The worker once; ``everything``: as if each mailbox were due to be read whole."""
        if everything:
            now = timezone.now() - timedelta(seconds=1)
            with self.scope():
                MailboxSync.objects.update(due_at=now, whole_due_at=now, check_due_at=now)
        claimed = ClaimedWork(self.tenant.id, self.tenant.provider_id, 1)
        return serve_sync(claimed)

    def wired(self) -> connectors.Connection:
        with self.scope():
            return wire_connection(Connection.objects.get())

    def make_sense(self) -> None:
        with self.scope():
            while make_sense_of_backlog(self.tenant):
                pass

    def observations(self, *, direction: str = "", **wanted: object) -> list[Observation]:
        """Of mail that came in, or of one ``direction``."""
        with self.scope():
            rows = Observation.objects.filter(tenant=self.tenant, **wanted)
            rows = rows.filter(direction=direction) if direction else rows.exclude(direction=SENT)
            return list(rows.order_by("recorded_at", "id"))

    def deliveries(self) -> list[Delivery]:
        self.make_sense()
        with self.scope():
            rows = Delivery.objects.select_related("message")
            # Mail hosts give whole seconds: two copies of one second come in any order.
            return list(rows.order_by("received_at", "recipient", "id"))

    def mailbox_sync(self, name: str) -> MailboxSync:
        with self.scope():
            return MailboxSync.objects.select_related("mailbox").get(
                mailbox__address=self.company.mail(name)
            )

    def through_the_gate(self, name: str, raw: bytes, message_id: str, **changes: object) -> bytes:
        """``raw`` with the trace that a gate of this provider would write for this client."""
        with self.scope():
            key_id, key = active_trace_key(self.tenant.provider_id)
        fields: dict[str, object] = {
            "key_id": key_id,
            "tenant_id": self.tenant.id,
            "ulid": "01J00000000000000000000001",
            "at": datetime(2026, 11, 22, 10, tzinfo=UTC),
            "message_id_hash": hash_message_id(message_id),
            "fingerprint": content_fingerprint("Good morning. Bye now."),
        }
        trace = Trace(**(fields | changes))  # type: ignore[arg-type]
        ulid = trace.ulid
        return prepend_headers(
            raw,
            [
                (TRACE_HEADER, sign_trace(trace, key)),
                ("Authentication-Results", "gate.bailey.example; dmarc=pass header.from=x.example"),
                ("Received", f"from a.example by gate.bailey.example with ESMTP id {ulid}; now"),
            ],
        )


@dataclass
class Inside:
    """The sandbox in this process, and clients whose mail hosts are in it.  Nobody waits: ``time``
    moves instead.
    """

    cloud: InsideCloud
    time: Time
    cast: Cast
    made: list[Client] = field(default_factory=list)

    @property
    def process(self) -> SandboxProcess:
        """For those who take a process: they ask nothing of it that the cloud here cannot do."""
        return cast(SandboxProcess, self.cloud)

    def connect(self, slug: str, names: tuple[str, ...] = ("ana", "bo", "cfo")) -> Client:
        company = InsideCompany(self.process, names=names)
        self.made.append(make_client(self.cast, self.process, slug, company=company))
        return self.made[-1]

    def connect_google(self, slug: str) -> Client:
        """Its changes are published, and pulled by the worker."""
        company = InsideWorkspace(self.process)
        made = make_google_client(self.cast, self.process, slug, is_heard=True, company=company)
        self.made.append(made)
        return made

    @contextmanager
    def behind_the_sync(self) -> Iterator[None]:
        """Who gives way to the live sync does so by counts of this process."""
        limits = LocalLimits(clock=self.time, sleep=self.time.sleep)
        opened = opener(self.cloud, self.time, keeps_limits=True)
        with (
            patch.object(behind, "open_connector", opened),
            patch.object(behind, "shared_limits", lambda wait_s: limits),
        ):
            yield


@contextmanager
def open_inside(cast: Cast, settings: Any, evidence: Path) -> Iterator[Inside]:
    cloud, time = InsideCloud(), Time()
    settings.OUTGOING_HOSTS = [cloud.addresses["https"]]
    settings.EVIDENCE_DIR = evidence
    settings.INGEST_URL = "https://hook.example"
    shared_runtime.cache_clear()
    forget_profiles()
    inside = Inside(cloud, time, cast)
    try:
        opened = opener(cloud, time)
        with (
            patch.object(runtime, "open_connector", opened),
            patch.object(behind, "open_connector", opened),
        ):
            yield inside
    finally:
        close_connectors()
        shared_runtime.cache_clear()
        for client in inside.made:
            client.company.close()
        cloud.close()


@pytest.fixture
def inside(cast: Cast, settings, tmp_path) -> Iterator[Inside]:
    with maintenance_scope():
        make_trace_key(provider_id=cast.provider.id)
    with open_inside(cast, settings, tmp_path / "evidence") as opened:
        yield opened


def change_lists(
    connector: connectors.Connector,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[str, Callable[[], Page]], Page],
) -> None:
    """``change(mailbox_id, ask)`` answers in place of each list of a mailbox, whether it is asked
    for alone or with others; ``ask`` gives the real one.
    """
    alone = connector.changes

    def changes(mailbox_id: str, cursor: str, *, since: datetime | None = None) -> Page:
        return change(mailbox_id, lambda: alone(mailbox_id, cursor, since=since))

    def changes_many(wanted: Sequence[tuple[str, str, datetime]]) -> list[Page | BridgeError]:
        found: list[Page | BridgeError] = []
        for mailbox_id, cursor, since in wanted:
            try:
                found.append(changes(mailbox_id, cursor, since=since))
            except BridgeError as error:
                found.append(error)
        return found

    monkeypatch.setattr(connector, "changes", changes)
    if isinstance(connector, ReadsMany):
        monkeypatch.setattr(connector, "changes_many", changes_many)


def make_tenant(cast: Cast, slug: str, domain: str) -> Tenant:
    with maintenance_scope():
        tenant: Tenant = Tenant.objects.create(
            provider=cast.provider,
            slug=slug,
            name=slug.title(),
            data_key=new_data_key(slug),
            protected_since=datetime(2026, 1, 1, tzinfo=UTC),
        )
        Domain.objects.create(tenant=tenant, name=domain, next_hop_host="127.0.0.1")
    return tenant


def make_google_client(
    cast: Cast,
    cloud: SandboxProcess,
    slug: str,
    *,
    is_heard: bool = False,
    company: Workspace | None = None,
) -> Client:
    """A client at Google.  ``is_heard``: its changes are published, and pulled."""
    company = company or Workspace(cloud)
    settings = {"admin": company.admin}
    if is_heard:
        company.subscribe()
        settings |= {"topic": company.topic, "subscription": company.subscription}
    tenant = make_tenant(cast, slug, company.domain)
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=cast.provider.id):
        connection = create_connection(
            tenant=tenant,
            kind=Connection.Kind.GOOGLE,
            cloud_tenant_id=company.customer_id,
            credentials=Credentials(
                client_id=company.account["client_id"], secret=company.key_json
            ),
            cloud=Cloud(
                authority_url=cloud.https,
                api_url=cloud.https,
                ca_file=str(cloud.ca),
                settings=settings,
            ),
            actor=BAILEY,
        )
    return Client(tenant=tenant, company=company, connection=connection)


def make_client(
    cast: Cast,
    cloud: SandboxProcess,
    slug: str,
    names: tuple[str, ...] = ("ana", "bo", "cfo"),
    company: Company | None = None,
) -> Client:
    company = company or Company(cloud, names=names)
    tenant = make_tenant(cast, slug, company.domain)
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=cast.provider.id):
        connection = create_connection(
            tenant=tenant,
            cloud_tenant_id=company.tenant_id,
            credentials=Credentials(client_id=company.client_id, secret=company.secret),
            cloud=Cloud(authority_url=cloud.https, api_url=cloud.https, ca_file=str(cloud.ca)),
            actor=BAILEY,
        )
    return Client(tenant=tenant, company=company, connection=connection)


@pytest.fixture
def connect(cast: Cast, cloud: SandboxProcess) -> Iterator[Callable[[str], Client]]:
    made: list[Client] = []
    with maintenance_scope():
        make_trace_key(provider_id=cast.provider.id)

    def make(slug: str) -> Client:
        made.append(make_client(cast, cloud, slug))
        return made[-1]

    yield make
    for client in made:
        client.company.close()


@pytest.fixture
def connect_google(cast: Cast, cloud: SandboxProcess) -> Iterator[Callable[[str], Client]]:
    """Clients at Google whose changes are published, and pulled by the worker."""
    made: list[Client] = []
    with maintenance_scope():
        make_trace_key(provider_id=cast.provider.id)

    def make(slug: str) -> Client:
        made.append(make_google_client(cast, cloud, slug, is_heard=True))
        return made[-1]

    yield make
    for client in made:
        client.company.close()


@pytest.fixture
def client_(connect: Callable[[str], Client]) -> Client:
    """A connected client whose mailboxes were read once."""
    made = connect("delta")
    made.sync()
    return made
