"""The table of websockets: who opens one, and from where."""

from __future__ import annotations

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async

from console.live import routing
from tests.isolation.routes import LIVE, table
from tests.isolation.surfaces import surface
from tests.isolation.visits import visitors
from tests.isolation.world import World


def test_every_websocket_route_stands_in_the_table():
    assert {route.name for route in routing.urlpatterns} == {row.route for row in table(LIVE)}


async def connects(cookies: dict[str, str], host: str) -> bool:
    pairs = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = [(b"cookie", pairs.encode()), (b"origin", f"http://{host}".encode())]
    headers.append((b"host", b"localhost"))
    scope = {"type": "websocket", "path": "/live", "headers": headers, "query_string": b""}
    socket = ApplicationCommunicator(routing.websockets, scope)
    await socket.send_input({"type": "websocket.connect"})
    answer = await socket.receive_output(timeout=5)
    if answer["type"] == "websocket.accept":
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait()
    return bool(answer["type"] == "websocket.accept")


def opened(world: World, name: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Each visitor's column and cookies on this surface."""
    found = {}
    for visitor in visitors(world, name).values():
        cookies = {key: morsel.value for key, morsel in visitor.client.cookies.items()}
        found[visitor.name] = (visitor.kind, cookies)
    return found


@pytest.mark.parametrize("row", table(LIVE), ids=lambda row: row.method)
async def test_a_websocket_opens_as_the_table_says(row, world):
    enter = surface(row.method)
    await database_sync_to_async(enter.__enter__)()
    try:
        found = await database_sync_to_async(opened)(world, row.method)
        for name, (kind, cookies) in found.items():
            columns = {name, kind} & set(row.answers)
            if not columns:
                continue
            said = row.answers[name if name in row.answers else kind] == "yes"
            assert await connects(cookies, "localhost") == said, name
            assert not await connects(cookies, "evil.example"), "another site's page"
    finally:
        await database_sync_to_async(enter.__exit__)(None, None, None)
