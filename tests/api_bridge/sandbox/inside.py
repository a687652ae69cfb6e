"""The sandbox cloud inside the test's own process: its application called, no socket between.

Same code, same store (in memory), same faults as the process; a call costs a tenth.  Notifications
are not sent by themselves: ``notices`` gives what the subscribers would have been told by now, and
the test decides what becomes of them.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import BaseAdapter
from typing_extensions import override

from api_bridge.cache import LocalCache
from api_bridge.connectors import Connection, Connector, Runtime
from api_bridge.connectors.google import GoogleConnector
from api_bridge.connectors.google.client import GoogleClient
from api_bridge.connectors.graph import GraphConnector
from api_bridge.connectors.graph.client import GraphClient
from api_bridge.connectors.graph.signing_keys import SigningKeys
from api_bridge.limits import LocalLimits
from api_bridge.sandbox.admin import Admin
from api_bridge.sandbox.cloud import Cloud
from api_bridge.sandbox.faults import Faults
from api_bridge.sandbox.google.api import GoogleApi
from api_bridge.sandbox.google.authority import GoogleAuthority
from api_bridge.sandbox.google.pubsub import Publisher
from api_bridge.sandbox.graph.api import GraphApi
from api_bridge.sandbox.graph.sealing import sealed
from api_bridge.sandbox.identity import Authority
from api_bridge.sandbox.notifier import Notifier
from api_bridge.sandbox.server import doors
from api_bridge.sandbox.smtp_in import deliver_from_outside
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Request, Response, read_query
from api_bridge.sandbox.zone import Zone
from api_bridge.tokens import PinnedHttp, TokenSource
from tests.api_bridge.sandbox.running import Company
from tests.api_bridge.sandbox.workspace import HEAD, Workspace

HTTPS, HTTP = "cloud.sandbox.example:8443", "127.0.0.1:8080"
_T = TypeVar("_T")


class InsideCloud:
    """Stands where a ``SandboxProcess`` stands.  ``calls``: how many calls came in.  ``is_heard``
    False: whoever listens at the notification addresses is away.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.addresses = {"https": HTTPS, "http": HTTP}
        self.https, self.http, self.ca = f"https://{HTTPS}", f"http://{HTTP}", ""
        self.calls = 0
        self.is_heard = True
        self._told: list[dict[str, Any]] = []
        self.proofs: list[str] = []
        self._run(self._open())
        self.client = httpx.Client(transport=InsideTransport(self))

    def lifecycle(self, event: str, push_id: str) -> None:
        self._run(self._notifier.send_lifecycle(event, push_id))

    async def _open(self) -> None:
        self._store = Store(Path(":memory:"))
        self.faults = Faults()
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        publisher = Publisher(self._store, self.faults)
        authority = Authority(self._store, key, self.https)
        self._notifier = Notifier(
            self._store, self.faults, prove=authority.prove, seal=sealed, on_wake=publisher.wake
        )
        self._notifier._client = httpx.AsyncClient(transport=httpx.MockTransport(self._subscriber))
        self.cloud = cloud = Cloud(
            self._store, self.faults, authority,
            GoogleAuthority(self._store, key, self.https), self._notifier,
        )  # fmt: skip
        admin = Admin(cloud, Zone(self._store))
        self._app = doors(GraphApi(cloud).serve, GoogleApi(cloud).serve, cloud.google.serve,
                          cloud.authority.serve, admin.serve)  # fmt: skip

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Everything of the cloud happens in its own thread, as in the process."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def serve(self, request: Request) -> Response:
        self.calls += 1
        return self._run(self._answer(request))

    async def _answer(self, request: Request) -> Response:
        return await self._app(request)

    def close(self) -> None:
        self.client.close()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        await self._notifier._client.aclose()
        await self._loop.shutdown_default_executor()
        self._store.close()

    def admin(self, method: str, path: str, content: object = None, status: int = 200) -> Any:
        response = self.client.request(method, f"{self.http}/_sandbox/{path}", json=content)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def purge_folder(self, name: str) -> None:
        """Gone for good, with its mail, as when Deleted Items are emptied."""

        async def purge() -> None:
            for table, column in (("message", "folder"), ("folder", "number")):
                self._store.execute(
                    f"DELETE FROM {table} WHERE {column} IN "
                    "(SELECT number FROM folder WHERE display_name = ?)",
                    name,
                )

        self._run(purge())

    def smtp(self) -> InsideSmtp:
        return InsideSmtp(self)

    def deliver(self, to: Sequence[str], raw: bytes) -> None:
        helo, peer = "sender.example.net", "192.0.2.1"
        self._run(deliver_from_outside(self.cloud, raw, list(to), helo=helo, peer=peer))

    def notices(self) -> list[dict[str, Any]]:
        """What the subscribers' addresses have not been told yet, in order; told with this.
        ``proofs``: what came with it.
        """

        async def tell() -> None:
            for row in self._store.rows("SELECT DISTINCT url FROM subscription"):
                await self._notifier._tell(row["url"])

        self.proofs = []
        self._run(tell())
        told, self._told = self._told, []
        return told

    def _subscriber(self, request: httpx.Request) -> httpx.Response:
        """Whoever listens at a notification address: answers the handshake, keeps the rest."""
        if not self.is_heard:
            return httpx.Response(503)
        token = request.url.params.get("validationToken")
        if token is not None:
            return httpx.Response(200, text=token)
        said = json.loads(request.content)
        self._told += said["value"]
        self.proofs += said.get("validationTokens", [])
        return httpx.Response(202)


class InsideSmtp:
    def __init__(self, cloud: InsideCloud) -> None:
        self._cloud = cloud

    def __enter__(self) -> InsideSmtp:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def sendmail(self, _sender: str, to: Sequence[str], raw: bytes) -> None:
        self._cloud.deliver(to, raw)


class InsideTransport(httpx.BaseTransport):
    def __init__(self, cloud: InsideCloud) -> None:
        self._cloud = cloud

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        answer = self._cloud.serve(
            Request(
                method=request.method, path=path, query=read_query(query),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.read(), base_url=f"{request.url.scheme}://{request.url.netloc.decode()}",
                client_host="127.0.0.1",
            )
        )  # fmt: skip
        if answer.is_dropped:
            raise httpx.RemoteProtocolError("dropped")
        if answer.is_truncated:
            return httpx.Response(answer.status, headers=answer.headers, stream=_Half(answer.body))
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)


class _Half(httpx.SyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    @override
    def __iter__(self) -> Iterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.RemoteProtocolError("cut")


class InsideAdapter(BaseAdapter):
    """For what speaks through requests: msal and google-auth."""

    def __init__(self, cloud: InsideCloud) -> None:
        super().__init__()
        self._transport = InsideTransport(cloud)

    @override
    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        assert request.method is not None
        assert request.url is not None
        content: Any = request.body
        headers = {name: str(value) for name, value in request.headers.items()}
        sent = httpx.Request(request.method, request.url, headers=headers, content=content)
        answer = self._transport.handle_request(sent)
        response = requests.Response()
        response.status_code, response.url = answer.status_code, request.url
        response._content = answer.read()
        response.headers.update(answer.headers)
        return response

    @override
    def close(self) -> None:
        pass


class InsideCompany(Company):
    """The person's own client goes the same way."""

    @cached_property
    @override
    def graph(self) -> httpx.Client:
        token = self.token().json()["access_token"]
        return httpx.Client(
            transport=InsideTransport(cast(InsideCloud, self.cloud)),
            base_url=f"{self.cloud.http}/v1.0/",
            headers={"authorization": f"Bearer {token}"},
        )


class InsideWorkspace(Workspace):
    """``Workspace`` asks for tokens by google-auth; here once for each person."""

    @override
    def token_for(self, subject: str, *scopes: str) -> str:
        from google.auth.transport.requests import Request as TokenRequest
        from google.oauth2 import service_account

        kept: dict[str, str] = self.__dict__.setdefault("_tokens", {})
        if subject not in kept:
            session = requests.Session()
            session.mount("https://", InsideAdapter(cast(InsideCloud, self.cloud)))
            made = service_account.Credentials.from_service_account_info(
                self.account, scopes=scopes or (f"{HEAD}gmail.modify",), subject=subject
            )
            made.refresh(TokenRequest(session=session))
            kept[subject] = str(made.token)
        return kept[subject]


class Time:
    """A clock of its own: who waits only moves it.  ``waited``: each wait, in seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waited: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


def opener(
    cloud: InsideCloud, time: Time, *, keeps_limits: bool = False
) -> Callable[[Connection, Runtime], Connector]:
    """In the place of ``connectors.open_connector``: the same, with this cloud for a network and
    nobody to wait for.  ``keeps_limits``: the caller's own are asked.
    """
    limits = LocalLimits(clock=time, sleep=time.sleep)

    def open_connector(connection: Connection, runtime: Runtime) -> Connector:
        transport = InsideTransport(cloud)
        runtime = runtime if keeps_limits else replace(runtime, limits=limits)
        if connection.kind == "google":
            google = GoogleClient(
                connection, runtime, transport=transport, sleep=time.sleep, clock=time
            )
            return GoogleConnector(connection, runtime, client=google)
        http = PinnedHttp(connection.authority_url, "")
        http._session.mount("https://", InsideAdapter(cloud))
        graph = GraphClient(
            connection,
            runtime,
            transport=transport,
            tokens=TokenSource(connection, runtime.cache, http=http),
            sleep=time.sleep,
            clock=time,
        )
        made = GraphConnector(connection, runtime, client=graph)
        made._signing_keys = SigningKeys(connection, LocalCache(), http=http)
        return made

    return open_connector
