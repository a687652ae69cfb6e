"""Every word of a client, looked for in everything that anybody else is ever sent."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.http import HttpResponse
from django.urls import resolve
from pypdf import PdfReader

from console.api.base import PAGING, KnownFilters
from console.live.consumer import LiveConsumer
from incidents.announce import tenant_group
from incidents.client_words import refuse_release
from incidents.models import Delivery, Intent
from incidents.models.mail import Place
from seg_bridge.held.asked import send_digest_now
from tenants.auth import PersonBackend
from tenants.doors import ClaimedWork
from tenants.models import Mailbox
from tenants.outbox import serve_outbox
from tenants.scope import Role, tenant_scope
from tests.isolation.routes import TABLES, Row
from tests.isolation.surfaces import surface
from tests.isolation.test_routes import NoIds, address_of, said_of
from tests.isolation.visits import Visitor, visitors
from tests.isolation.world import Side, World

# A filter, a search, a page and a wish for an error for each list; with somebody else's words.
QUESTIONS = (
    *("value={word}@evil.example", "kind=mailbox&value=info@{slug}.example"),
    *("client={slug}&q={word}", "tenant={slug}", "internet_message_id={word}"),
    *("cursor=nonsense&since=yesterday", "unknown={word}"),
)
# A page passes over what it does not know, so it is asked several things at once.
QUESTIONS_OF_PAGES = (
    "value={word}@evil.example&client={slug}&q={word}&unknown={word}",
    "kind=mailbox&value=info@{slug}.example",
    "cursor=nonsense&since=yesterday",
)
# Whom the table refuses is turned away whatever she asks, so she asks for everything at once.
AT_ONCE = (
    "value={word}@evil.example&kind=mailbox&client={slug}&tenant={slug}&q={word}"
    "&internet_message_id={word}&cursor=nonsense&since=yesterday&unknown={word}"
)
NO_LISTS = {
    *("healthz", "root", "login", "logout", "components", "api-schema", "api-root", "api-nothing"),
}


WORLDS: list[World] = []


@pytest.fixture(autouse=True)
def _this_world(world: World) -> None:
    WORLDS[:] = [world]


@dataclass(frozen=True, slots=True)
class Sent:
    """Something that was sent to somebody: where it was asked for, and all of its text."""

    address: str
    text: str


def text_of(answer: HttpResponse) -> str:
    """Everything of an answer that a person or program can read."""
    head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    if answer.get("Content-Type") == "application/pdf":
        pages = PdfReader(io.BytesIO(answer.content)).pages
        words = " ".join(page.extract_text() for page in pages)
        return head + "".join(words.replace("\u200b", "").split())
    return head + answer.content.decode(errors="replace")


def asks(rows: list[Row], visitor: Visitor, world: World) -> Iterator[str]:
    """Addresses for her to ask: everybody's things, and lists with everybody's words."""
    for row in rows:
        if row.method != "GET":
            continue
        if row.object == "-":
            address = address_of(row, {}, visitor)
            yield address
            for side in (world.acme, world.globex):
                for question in questions_for(row, visitor, address):
                    yield f"{address}?{question.format(slug=side.tenant.slug, word=side.inner)}"
        else:
            for side in (world.acme, world.globex):
                yield address_of(row, side.ids, visitor)
                hidden = {**side.ids, **side.hidden_ids}
                yield address_of(row, hidden, visitor)
            yield address_of(row, NoIds(), visitor)
        if row.route.endswith("report-file") or row.route == "report_file":
            for side in (world.acme, world.globex):
                yield address_of(row, side.ids, visitor).replace("pdf", "csv")


def asks_once(rows: list[Row], visitor: Visitor, world: World) -> Iterator[str]:
    """Every address with both clients' things, lists with everything at once: for a lead, whom
    nothing is kept from.
    """
    for row in rows:
        if row.method != "GET":
            continue
        if row.object != "-":
            yield from (address_of(row, side.ids, visitor) for side in (world.acme, world.globex))
            continue
        address = address_of(row, {}, visitor)
        yield address
        for side in (world.acme, world.globex) if row.route not in NO_LISTS else ():
            yield f"{address}?{AT_ONCE.format(slug=side.tenant.slug, word=side.inner)}"


def questions_for(row: Row, visitor: Visitor, address: str) -> tuple[str, ...]:
    """What to ask a list besides all that is in it."""
    if row.route in NO_LISTS:
        return ()
    if said_of(row, visitor)[0] not in "23":
        return (AT_ONCE,)
    if not row.route.startswith("api-"):
        return QUESTIONS_OF_PAGES
    view: Any = resolve(address).func
    if KnownFilters not in getattr(view.cls, "filter_backends", ()):
        return QUESTIONS
    # It refuses a question for one name that it does not know, before it reads the others.
    filters = getattr(view.cls, "filterset_class", None)
    known = {*PAGING, *(filters.base_filters if filters else ())}
    parts = (
        [part for part in each.split("&") if part.partition("=")[0] in known] for each in QUESTIONS
    )
    return (AT_ONCE, *("&".join(each) for each in parts if each))


Asks = Callable[[list[Row], Visitor, World], Iterator[str]]


@cache
def crawl(name: str, who: str, asks: Asks = asks) -> list[Sent]:
    """Everything that she gets, in the surface of this name."""
    world = WORLDS[0]
    visitor = visitors(world, name)[who]
    addresses = dict.fromkeys(asks(TABLES[name], visitor, world))
    return [Sent(address, text_of(visitor.get(address))) for address in addresses]


def found_in(sent: list[Sent], *words: str) -> list[str]:
    """Where a word came back although the request did not bring it."""
    return [  # the page of components shows examples, which name both clients
        f"{word} in {each.address.partition('?')[0]}"
        for each in sent
        for word in words
        if word not in each.address and word in each.text
        if each.address != "/console/components" or word.startswith("zq")
    ]


def words_of(side: Side) -> tuple[str, ...]:
    return (side.open, side.inner, side.tenant.slug, f"{side.tenant.slug}".title(), *side.all_ids)


def inner_of(side: Side) -> tuple[str, ...]:
    return (side.inner, side.hidden_ids["incident"], side.hidden_ids["message"])


FORBIDDEN: dict[tuple[str, str], Callable[[World], tuple[str, ...]]] = {
    ("console", "bo"): lambda world: words_of(world.globex),
    ("console", "token of bo"): lambda world: words_of(world.globex),
    ("portal", "pia"): lambda world: words_of(world.globex) + inner_of(world.acme),
    ("portal", "gus"): lambda world: words_of(world.acme) + inner_of(world.globex),
    **{
        (name, who): lambda world: words_of(world.globex) + words_of(world.acme)
        for name, who in (
            *(("console", "pia"), ("console", "anonymous"), ("console", "expired session")),
            *(("console", "token of ina"), ("console", "wrong token")),
            *(("portal", "bo"), ("portal", "anonymous"), ("ingest", "token of mo")),
        )
    },
}
SEES = {
    ("console", "bo"): lambda world: (world.acme.open, world.acme.inner),
    ("console", "token of bo"): lambda world: (world.acme.open, world.acme.inner),
    ("console", "mo"): lambda world: (world.acme.inner, world.globex.inner),
    ("portal", "pia"): lambda world: (world.acme.open,),
    ("portal", "gus"): lambda world: (world.globex.open,),
}


@pytest.mark.parametrize(("name", "who"), FORBIDDEN, ids=lambda value: value)
def test_nobody_is_sent_a_word_that_is_not_hers(name, who, world, caplog):
    caplog.set_level(logging.DEBUG)
    with surface(name):
        sent = crawl(name, who)
        logged = [Sent("the log", record.getMessage()) for record in caplog.records]
    mistakes = found_in(sent, *FORBIDDEN[name, who](world))
    assert not mistakes, "\n".join(sorted(set(mistakes))[:40])
    if (name, who) in SEES:
        for word in SEES[name, who](world):
            assert any(word in each.text for each in sent), f"{word} would have been found"
    inner = (world.acme.inner, world.globex.inner)
    asked = [each for each in logged if "Not Found" not in each.text and "?" not in each.text]
    assert found_in(asked, *inner) == [], "content in a log"


def test_a_lead_sees_the_words_of_all_her_clients(world):
    with surface("console"):
        sent = crawl("console", "mo", asks_once)
    for word in SEES["console", "mo"](world):
        assert any(word in each.text for each in sent if word not in each.address), word


def test_the_cache_names_clients_by_number_and_keeps_no_words(world):
    with surface("console"):
        crawl("console", "mo", asks_once)
        crawl("console", "token of bo")
    store = redis.Redis.from_url(settings.REDIS_URL)
    everything = {key: store.type(key) for key in store.scan_iter()}
    words = [
        word.encode()
        for side in (world.acme, world.globex)
        for word in (side.open, side.inner, side.tenant.slug)
    ]
    assert everything, "the cache was used"
    for key, kind in everything.items():
        value = store.get(key) or b"" if kind == b"string" else b""
        assert not [word for word in words if word in key or word in value], key
    looking = [key for key in everything if b"looking" in key]
    assert looking
    numbers = {f"tenant.{side.tenant.id}.".encode() for side in (world.acme, world.globex)}
    assert all(any(number in key for number in numbers) for key in looking)


def test_evidence_at_rest_cannot_be_read(world):
    folder = Path(settings.EVIDENCE_DIR)
    files = [
        path
        for side in (world.acme, world.globex)
        for path in (folder / str(side.tenant.id)).rglob("*")
        if path.is_file()
    ]
    assert len(files) >= 6
    for path in files:
        raw = path.read_bytes()
        for side in (world.acme, world.globex):
            assert side.open.encode() not in raw
            assert side.inner.encode() not in raw


async def frames(person, events: list[tuple[int, dict[str, object]]]) -> list[str]:
    """What her page is told when these events happen."""
    scope = {"type": "websocket", "path": "/live", "headers": [], "user": person}
    socket = ApplicationCommunicator(LiveConsumer.as_asgi(), scope)
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(timeout=5))["type"] == "websocket.accept"
    send = get_channel_layer().group_send
    for tenant_id, event in events:
        await send(tenant_group(tenant_id), event)
    told = []
    for _ in events:
        if await socket.receive_nothing(timeout=0.7):
            break
        told.append((await socket.receive_output(timeout=5))["text"])
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait()
    return told


@pytest.mark.parametrize(("name", "who"), [("console", "bo"), ("portal", "pia")])
async def test_a_page_is_told_of_its_own_things_only(name, who, world):
    def event(side: Side, incident_id: str) -> tuple[int, dict[str, object]]:
        what = {"type": "changed", "what": "incident", "id": incident_id, "is_for_staff": False}
        return side.tenant.id, {**what, "tenant_id": side.tenant.id}

    acme, globex = world.acme, world.globex
    # The third lies about whose group it is sent to.
    events = [
        event(globex, globex.ids["incident"]),
        event(acme, acme.hidden_ids["incident"]),
        (acme.tenant.id, event(globex, globex.ids["incident"])[1]),
        (acme.tenant.id, event(acme, globex.ids["incident"])[1]),
        event(acme, acme.ids["incident"]),
    ]
    enter = surface(name)
    await database_sync_to_async(enter.__enter__)()
    try:
        person = await database_sync_to_async(PersonBackend().get_user)(world.people[who].id)
        told = [json.loads(frame)["id"] for frame in await frames(person, events)]
    finally:
        await database_sync_to_async(enter.__exit__)(None, None, None)
    hidden = [acme.hidden_ids["incident"]] if who == "bo" else []
    assert sorted(told) == sorted([*hidden, acme.ids["incident"]])


def test_no_mail_of_baileys_own_carries_a_word_of_another_client(world):
    """Digests and notices, as they leave the house."""
    sides = (world.acme, world.globex)
    with transaction.atomic():
        for side in sides:
            claimed = ClaimedWork(side.tenant.id, side.tenant.provider_id, 1)
            with tenant_scope(Role.WORKER, [side.tenant.id], provider_id=claimed.provider_id):
                held = Delivery.objects.get(place=Place.HOLD)
                box = Mailbox.objects.get(address=held.recipient)
                send_digest_now(mailbox=box, actor=world.cast.mo)
                Intent.objects.filter(delivery=held).update(state=Intent.State.FAILED)
                refuse_release(delivery=held, actor=world.cast.mo, reason=side.open)
            serve_outbox(claimed)
        transaction.set_rollback(True)
    assert len(mail.outbox) == 4
    for side, other in (sides, sides[::-1]):
        own = [each for each in mail.outbox if side.tenant.slug in each.to[0]]
        assert len(own) == 2
        for each in own:
            assert isinstance(each, EmailMultiAlternatives)
            text = f"{each.subject}{each.body}{each.alternatives}"
            assert other.open not in text
            assert other.inner not in text
            assert other.tenant.slug not in text
