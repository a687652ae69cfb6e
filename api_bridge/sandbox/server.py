"""All of the cloud in one process: two HTTP listeners, SMTP, DNS, and the notifier."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api_bridge.sandbox import smtp_in
from api_bridge.sandbox.admin import Admin
from api_bridge.sandbox.certificates import ensure_server_certificate, ensure_signing_key
from api_bridge.sandbox.cloud import Cloud
from api_bridge.sandbox.consent import ConsentPage
from api_bridge.sandbox.faults import Faults
from api_bridge.sandbox.google.api import GoogleApi
from api_bridge.sandbox.google.authority import GoogleAuthority
from api_bridge.sandbox.google.pubsub import Publisher
from api_bridge.sandbox.graph.api import GraphApi
from api_bridge.sandbox.graph.sealing import sealed
from api_bridge.sandbox.identity import Authority
from api_bridge.sandbox.notifier import Notifier
from api_bridge.sandbox.page import Page
from api_bridge.sandbox.settings import Address, Settings
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Request, Response, asgi, json_response
from api_bridge.sandbox.zone import UdpListener, Zone, serve_tcp

STOP_WITHIN_S = 3
PORT_TRIES = 20
log = logging.getLogger(__name__)
Door = Callable[[Request], Awaitable[Response | None]]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the cloud listens, with the ports it was given."""

    https: Address
    http: Address
    smtp: Address
    dns: Address

    def by_name(self) -> dict[str, Address]:
        return {"https": self.https, "http": self.http, "smtp": self.smtp, "dns": self.dns}


class _Protocol(HttpToolsProtocol):
    """Hands the connection to the application, which must be able to break it on demand."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it so
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the process has four listeners and takes signals once, for all of them


def doors(*chain: Door) -> Callable[[Request], Awaitable[Response]]:
    """The first door that knows the address answers."""

    async def app(request: Request) -> Response:
        for door in chain:
            response = await door(request)
            if response is not None:
                return response
        error = {"code": "BadRequest", "message": f"Nothing is at {request.path}."}
        return json_response({"error": error}, 404)

    return app


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Addresses]:
    """The cloud, for as long as the context is open.  Raises OSError for a taken port."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    store = Store(settings.folder / "cloud.sqlite3")
    try:
        async with contextlib.AsyncExitStack() as stack:
            yield await _open(settings, store, stack)
    finally:
        store.close()


async def _open(settings: Settings, store: Store, stack: contextlib.AsyncExitStack) -> Addresses:
    certificate, key = ensure_server_certificate(settings.folder, [settings.https.host])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    signing_key = ensure_signing_key(settings.folder / "token-key.pem")
    https, http = _socket(settings.https), _socket(settings.http)
    https_base = f"https://{_bound(https).netloc}"
    faults = Faults()
    publisher = Publisher(store, faults)
    authority = Authority(store, signing_key, https_base)
    notifier = Notifier(
        store, faults, prove=authority.prove, seal=sealed, on_wake=publisher.wake
    )  # fmt: skip
    cloud = Cloud(
        store, faults, authority, GoogleAuthority(store, signing_key, https_base), notifier
    )  # fmt: skip
    zone = Zone(store)
    apis = (GraphApi(cloud).serve, GoogleApi(cloud).serve)
    authorities = (ConsentPage(store).serve, cloud.google.serve, cloud.authority.serve)
    outside = doors(*apis, *authorities)
    inside = doors(*apis, *authorities, Admin(cloud, zone).serve, Page(store).serve)
    smtp = await smtp_in.listen(cloud, settings.smtp.host, settings.smtp.port)
    stack.callback(smtp.close)
    dns = await _listen_dns(zone, settings.dns, stack)
    for app, listener, tls in ((outside, https, context), (inside, http, None)):
        await stack.enter_async_context(_http(app, listener, tls))
    await stack.enter_async_context(_background(notifier.run()))
    await stack.enter_async_context(_background(publisher.run()))
    smtp_address = Address(*smtp.sockets[0].getsockname()[:2])
    return Addresses(https=_bound(https), http=_bound(http), smtp=smtp_address, dns=dns)


@contextlib.asynccontextmanager
async def _http(
    app: Any, listener: socket.socket, tls: ssl.SSLContext | None
) -> AsyncIterator[None]:
    config = uvicorn.Config(
        asgi(app), http=_Protocol, ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, timeout_graceful_shutdown=STOP_WITHIN_S, timeout_keep_alive=75,
    )  # fmt: skip
    config.load()
    config.ssl = tls
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started:
            if serving.done():
                serving.result()
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """The work goes on beside the context; if it fails, the context is left with its error."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            yield
        finally:
            task.cancel()


async def _listen_dns(zone: Zone, address: Address, stack: contextlib.AsyncExitStack) -> Address:
    """UDP and TCP on one port; where any port will do, one that is free for both."""
    loop = asyncio.get_running_loop()
    for attempt in range(PORT_TRIES):
        transport, _ = await loop.create_datagram_endpoint(
            lambda: UdpListener(zone), (address.host, address.port)
        )
        bound = Address(*transport.get_extra_info("sockname")[:2])
        try:
            tcp = await asyncio.start_server(
                lambda reader, writer: serve_tcp(zone, reader, writer), bound.host, bound.port
            )
        except OSError:
            transport.close()
            if address.port or attempt == PORT_TRIES - 1:
                raise
            continue
        stack.callback(transport.close)
        stack.callback(tcp.close)
        return bound
    raise AssertionError("unreachable: the last attempt returns or raises")


def _socket(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only where it is, and without it an
    # answer in two packets costs 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{error.strerror}: {address.netloc}") from error
    listener.setblocking(False)
    return listener


def _bound(listener: socket.socket) -> Address:
    return Address(*listener.getsockname()[:2])


async def run(settings: Settings, announce: Callable[[Addresses], None]) -> None:
    """Until SIGTERM or SIGINT.  ``announce`` is called once everything listens."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with running(settings) as addresses:
        announce(addresses)
        await stopped.wait()
