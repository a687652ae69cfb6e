from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from api_bridge.connectors.imap import ImapConnector
from api_bridge.known import forget_profiles
from api_bridge.runtime import close_connectors, shared_runtime
from api_bridge.services import connect_imap
from console.gateway_parts import PartMissing
from tenants.audit import BAILEY
from tenants.models import Domain, Mailbox, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tenants.secrets import new_data_key
from tests.api_bridge.imap.server import NAMES, ImapServer, Office
from tests.api_bridge.sync.conftest import Client
from tests.factories import Cast

_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[ImapServer]:
    """One Dovecot for the tests of this folder."""
    try:
        made = ImapServer()
    except PartMissing as missing:
        pytest.skip(f"no Dovecot here: {missing}")
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def ana() -> str:
    """A mailbox that no other test has touched."""
    return f"ana{next(_numbers)}@delta.example"


@pytest.fixture
def connect(server: ImapServer) -> Iterator[Callable[..., ImapConnector]]:
    with ExitStack() as stack:

        def make(*mailboxes: str, **changes: str) -> ImapConnector:
            return stack.enter_context(closing(server.connector(*mailboxes, **changes)))

        yield make


@pytest.fixture
def connector(connect: Callable[..., ImapConnector], ana: str) -> ImapConnector:
    return connect(ana)


@pytest.fixture
def outgoing(server: ImapServer, settings, tmp_path) -> Iterator[None]:
    """Connectors may reach the server, and nothing is kept from the test before."""
    settings.OUTGOING_HOSTS = sorted(server.allowed)
    settings.EVIDENCE_DIR = tmp_path / "evidence"
    settings.IMAP_IDLE_AT_MOST = 0  # no thread, unless a test wants it
    shared_runtime.cache_clear()
    forget_profiles()
    yield
    close_connectors()
    shared_runtime.cache_clear()


@pytest.fixture
def office(cast: Cast, server: ImapServer, outgoing: None) -> Callable[..., Client]:
    """Makes clients with mailboxes on the server, under one master login."""

    def make(slug: str, names: Sequence[str] = NAMES) -> Client:
        company: Any = Office(server, f"{slug}.example")
        with maintenance_scope():
            tenant = Tenant.objects.create(
                provider=cast.provider,
                slug=slug,
                name=slug.title(),
                data_key=new_data_key(slug),
                protected_since=datetime(2026, 1, 1, tzinfo=UTC),
            )
            domain = Domain.objects.create(
                tenant=tenant, name=company.domain, next_hop_host="127.0.0.1"
            )
            for name in names:
                Mailbox.objects.create(tenant=tenant, domain=domain, address=company.mail(name))
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=cast.provider.id):
            connection = connect_imap(tenant=tenant, settings=company.settings(), actor=BAILEY)
        return Client(tenant=tenant, company=company, connection=connection)

    return make


@pytest.fixture
def client_(office: Callable[..., Client]) -> Client:
    """A connected client whose mailboxes were read once."""
    made = office(f"delta{next(_numbers)}")
    made.sync()
    return made
