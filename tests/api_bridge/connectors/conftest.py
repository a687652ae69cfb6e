import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typing_extensions import override

from api_bridge.connectors import Connection, Runtime
from api_bridge.connectors.graph import GraphConnector
from api_bridge.limits import LocalLimits
from tests.api_bridge.sandbox.running import Company, SandboxProcess


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """One sandbox for the tests of this folder."""
    with SandboxProcess(tmp_path_factory.mktemp("graph-sandbox")) as process:
        yield process
        assert process.stop() == 0


@pytest.fixture
def company(cloud: SandboxProcess) -> Iterator[Company]:
    made = Company(cloud)
    yield made
    made.close()
    cloud.admin("DELETE", "faults", status=204)


def _connector(company: Company, **changes: str) -> GraphConnector:
    """A connector over TLS, with tokens by msal, as in production."""
    fields: dict[str, Any] = {
        "cloud_tenant_id": company.tenant_id,
        "client_id": company.client_id,
        "client_secret": company.secret,
        "authority_url": company.cloud.https,
        "api_url": company.cloud.https,
        "ca_file": str(company.cloud.ca),
    }
    runtime = Runtime(
        limits=LocalLimits(wait_s=5), allowed_hosts={company.cloud.addresses["https"]}
    )
    return GraphConnector(Connection(**(fields | changes)), runtime)


@pytest.fixture
def connect() -> Iterator[Callable[..., GraphConnector]]:
    """Further connectors, each with a cache of its own, as other processes have."""
    with ExitStack() as stack:

        def make(company: Company, **changes: str) -> GraphConnector:
            return stack.enter_context(closing(_connector(company, **changes)))

        yield make


@pytest.fixture
def connector(company: Company, connect: Callable[..., GraphConnector]) -> GraphConnector:
    return connect(company)


class Hook:
    """A webhook: answers the handshake, keeps what comes."""

    def __init__(self) -> None:
        self.came: queue.Queue[Any] = queue.Queue()
        came = self.came

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = parse_qs(urlsplit(self.path).query).get("validationToken")
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                answer = asked[0].encode() if asked else b""
                self.send_response(200 if asked else 202)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
                if not asked:
                    came.put(json.loads(body))

            @override
            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/graph"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self) -> Any:
        return self.came.get(timeout=10)


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()
