import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from console.gateway_parts import PartMissing
from incidents.observations import Observation
from seg_bridge.gate.signing import sign_request
from seg_bridge.models import Gate
from seg_bridge.services import create_gate
from seg_bridge.snapshot import KnownGate, find_gate
from tenants.audit import BAILEY
from tenants.scope import maintenance_scope
from tests.factories import Cast
from tests.gateway_host import PostfixHost


@dataclass
class Mx:
    """A gate that serves both clients of the cast."""

    row: Gate
    secret: bytes
    name: str = "mx1"

    @property
    def known(self) -> KnownGate:
        found = find_gate(self.name)
        assert found is not None
        return found


def make_gate(cast: Cast, *tenants, name: str = "mx1") -> Mx:
    with maintenance_scope():
        row, secret = create_gate(
            provider=tenants[0].provider if tenants else cast.provider,
            name=name,
            hostname=f"{name}.keep.example",
            tenants=tenants,
            actor=BAILEY,
        )
    return Mx(row, bytes.fromhex(secret), name)


@pytest.fixture
def mx1(cast: Cast) -> Mx:
    return make_gate(cast, cast.acme, cast.globex)


@pytest.fixture
def ingest_surface(settings: Any) -> None:
    """URLs and middleware as the process on port 8002 has them."""
    settings.ROOT_URLCONF = "console.urls_ingest"
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]


@dataclass
class Wire:
    """A gate's HTTP, signed as the gate does it."""

    mx: Mx
    client: Client

    def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        secret: bytes | None = None,
        now: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        if headers is None:
            headers = sign_request(
                gate=self.mx.name,
                method=method,
                target=target,
                body=body,
                secret=secret or self.mx.secret,
                now=now,
            )
        return self.client.generic(
            method, target, body, content_type="application/json", headers=headers
        )

    def ship(self, *lines: Any) -> Any:
        return self.ask("POST", "/ship", b"".join(map(_line, lines)))

    def news(self, **question: Any) -> dict[str, Any]:
        asked = "&".join(f"{name}={value}" for name, value in ({"after": 0} | question).items())
        answer = self.ask("GET", f"/gate/commands?{asked}")
        assert answer.status_code == 200, answer.content
        found: dict[str, Any] = answer.json()
        return found


def _line(line: Any) -> bytes:
    if isinstance(line, Observation):
        line = {"kind": "observation", "observation": line.as_json()}
    return line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"


@pytest.fixture
def wire(mx1: Mx, ingest_surface: None) -> Wire:
    return Wire(mx1, Client())


@pytest.fixture(scope="session")
def postfix_host():
    """A private Postfix whose milter socket a test's gate opens; one for all tests of a process."""
    try:
        host = PostfixHost()
    except PartMissing as missing:
        pytest.skip(f"no Postfix here: {missing}")
    try:
        # The MX of everybody else, as far as tests know somebody.
        host.start(transport=f"other.example outgoing:[127.0.0.1]:{host.next_hop_port}\n")
        yield host
    finally:
        host.remove()
