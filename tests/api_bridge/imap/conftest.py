from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count

import pytest

from api_bridge.connectors.imap import ImapConnector
from console.gateway_parts import PartMissing
from tests.api_bridge.imap.server import ImapServer

_numbers = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImapServer]:
    """One Dovecot for the tests of this folder."""
    folder = tmp_path_factory.mktemp("imap")
    # Dovecot's own account reads certificates and logins there.
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    try:
        made = ImapServer(folder)
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
