"""Microsoft's own limits for logs and for people at risk are counted before they are reached."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest

from api_bridge.accounts.graph_read import read_audits, read_risky_users, read_sign_ins
from api_bridge.connectors import Connection, Runtime
from api_bridge.connectors.graph import client as graph
from api_bridge.limits import LocalLimits
from api_bridge.tokens import TokenSource

TENANT = "00000000-0000-0000-0000-000000000001"
SINCE = datetime(2026, 11, 22, tzinfo=UTC)
PAGES = 40


class Host:
    """Answers so many pages of nothing, and remembers when each was asked for."""

    def __init__(self) -> None:
        self.now, self.asked = 0.0, list[float]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(self.now)
        answer: dict[str, Any] = {"value": []}
        if len(self.asked) < PAGES:
            link = request.url.copy_set_param("$skiptoken", str(len(self.asked)))
            answer["@odata.nextLink"] = str(link)
        return httpx.Response(200, json=answer)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def client(self) -> graph.GraphClient:
        limits = LocalLimits(clock=lambda: self.now, sleep=self.sleep)
        return graph.GraphClient(
            Connection(
                kind="graph",
                cloud_tenant_id=TENANT,
                client_id="app",
                client_secret="secret",
                authority_url="https://graph.example",
                api_url="https://graph.example",
            ),
            Runtime(limits=limits, allowed_hosts={"graph.example"}),
            transport=httpx.MockTransport(self),
            tokens=cast(TokenSource, Tokens()),
            sleep=self.sleep,
            clock=lambda: self.now,
        )


class Tokens:
    def bearer(self, refused: str = "") -> str:
        return "token"


@pytest.mark.parametrize(
    ("read", "most", "within_s"),
    [
        (lambda client: read_sign_ins(client, SINCE), 5, 10.0),
        (lambda client: read_audits(client, SINCE, SINCE.replace(hour=1)), 5, 10.0),
        (read_risky_users, 1, 1.0),
    ],
    ids=["sign-ins", "audits", "people at risk"],
)
def test_no_more_is_asked_than_the_host_takes(
    real_quotas: None, read: Callable[[graph.GraphClient], Any], most: int, within_s: float
):
    host = Host()
    read(host.client())
    assert len(host.asked) == PAGES
    for number, at in enumerate(host.asked[most:], most):
        assert at - host.asked[number - most] >= within_s - 1e-6, f"call {number} at {at}"
