"""Graph's answers written by hand, for what a stateful cloud cannot be made to say."""

import json
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
from typing_extensions import override

from api_bridge.cache import LocalCache
from api_bridge.connectors import Connection, Runtime
from api_bridge.connectors.graph import GraphConnector
from api_bridge.connectors.graph.client import GraphClient
from api_bridge.limits import LocalLimits
from api_bridge.tokens import TokenSource

GRAPH = "https://graph.example"
CONNECTION = Connection(
    cloud_tenant_id="11111111-2222-3333-4444-555555555555",
    client_id="app",
    client_secret="s3cret",
    authority_url="https://login.example",
    api_url=GRAPH,
)


class Time:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Tokens(TokenSource):
    """Always the same token, from nowhere."""

    def __init__(self):
        pass

    @override
    def bearer(self, refused=""):
        return "token"

    @override
    def close(self):
        pass


class Graph:
    """``routes``: ``METHOD /path`` → an answer, a list of answers used one after the other, or a
    function of the request.  Requests in a batch go through the same routes.
    """

    FOLDERS = {
        "inbox": "F-inbox",
        "junkemail": "F-junk",
        "deleteditems": "F-deleted",
        "recoverableitemsdeletions": "F-dumpster",
        "sentitems": "F-sent",
    }

    def __init__(self):
        self.routes = {}
        self.asked = []
        self.time = Time()
        self.limits = LocalLimits(wait_s=10, clock=self.time, sleep=self.time.sleep)
        for name, folder_id in self.FOLDERS.items():
            self.routes[f"GET /users/u/mailFolders/{name}"] = ok(id=folder_id, displayName=name)
        self.routes["GET /users/u/mailFolders"] = ok(value=[])

    def connector(self):
        runtime = Runtime(
            cache=LocalCache(),
            limits=self.limits,
            allowed_hosts={"graph.example", "login.example"},
        )
        client = GraphClient(
            CONNECTION,
            runtime,
            transport=httpx.MockTransport(self.handle),
            tokens=Tokens(),
            sleep=self.time.sleep,
        )
        return GraphConnector(CONNECTION, runtime, client=client)

    def handle(self, request):
        assert request.headers["authorization"] == "Bearer token"
        if request.url.path == "/v1.0/$batch":
            return self.batch(json.loads(request.content))
        assert 'IdType="ImmutableId"' in request.headers["prefer"]
        body = json.loads(request.content) if request.content else None
        return self.answer(request.method, str(request.url).partition("/v1.0")[2], body)

    def batch(self, body):
        assert 1 <= len(body["requests"]) <= 20
        responses = []
        for entry in reversed(body["requests"]):
            assert 'IdType="ImmutableId"' in entry["headers"]["Prefer"]
            reply = self.answer(entry["method"], entry["url"], entry.get("body"))
            responses.append(
                {
                    "id": entry["id"],
                    "status": reply.status_code,
                    "headers": dict(reply.headers),
                    "body": json.loads(reply.content) if reply.content else None,
                }
            )
        return ok(responses=responses)

    def answer(self, method, address, body):
        parts = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        name = f"{method} {unquote(parts.path)}"
        self.asked.append((name, query, body))
        answer = self.routes.get(name, error(404, "ErrorItemNotFound"))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(query, body)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def count(self, name):
        return sum(1 for asked, _, _ in self.asked if asked == name)


def ok(status=200, headers=None, **data):
    return httpx.Response(status, json=data, headers=headers)


def error(status, code="", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"error": {"code": code}}, headers=headers)


def message(item_id, received="2026-11-22T10:00:00Z", **fields):
    return {
        "id": item_id,
        "parentFolderId": "F-inbox",
        "receivedDateTime": received,
        "internetMessageId": f"<{item_id}@sender.example>",
        "isRead": False,
        "isDraft": False,
        "categories": [],
        "importance": "normal",
        **fields,
    }
