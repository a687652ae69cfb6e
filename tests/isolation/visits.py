"""Somebody who visits a surface: signed in by a session, by a token, or not at all."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from tenants.models import Person, Session
from tests.isolation.world import World


@dataclass
class Visitor:
    """``kind``: the column of the table that holds for her."""

    name: str
    kind: str
    client: Client
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, address: str, body: Any = None, **headers: str) -> HttpResponse:
        """The answer; whatever it changed is undone."""
        options: dict[str, Any] = {"headers": {**self.headers, **headers}}
        if method in ("POST", "PUT", "PATCH"):
            options["data"] = body or {}
            if address.startswith("/api/") or method != "POST":
                options["content_type"] = "application/json"
        cookies = deepcopy(self.client.cookies)
        with transaction.atomic():
            answer = getattr(self.client, method.lower())(address, **options)
            if getattr(answer, "streaming", False):
                answer.content = answer.getvalue()
            transaction.set_rollback(True)
        self.client.cookies = cookies
        found: HttpResponse = answer
        return found

    def get(self, address: str, **headers: str) -> HttpResponse:
        return self.ask("GET", address, **headers)


def _with_session(name: str, kind: str, person: Person) -> Visitor:
    client = Client(raise_request_exception=False)
    client.force_login(person)
    return Visitor(name, kind, client)


def _with_expired_session(person: Person) -> Visitor:
    visitor = _with_session("expired session", "nobody", person)
    Session.objects.filter(session_key=visitor.client.session.session_key).update(
        expire_date=timezone.now() - timedelta(seconds=1)
    )
    return visitor


def _with_token(name: str, kind: str, token: str) -> Visitor:
    client = Client(raise_request_exception=False)
    return Visitor(name, kind, client, {"Authorization": f"Bearer {token}"})


def visitors(world: World, surface: str) -> dict[str, Visitor]:
    """Everybody, by name.  Their sessions are made by the surface's own login."""
    people = world.people
    staff = {name: name if surface == "console" else "staff" for name in ("mo", "ana", "bo")}
    kinds = {**staff, "pia": "reader", "gus": "reader", "ina": "nobody"}
    found = [Visitor("anonymous", "nobody", Client(raise_request_exception=False))]
    if surface != "ingest":  # which knows no sessions
        found += [_with_session(name, kind, people[name]) for name, kind in kinds.items()]
        found.append(_with_expired_session(people["mo"]))
    for owner, token in world.tokens.items():
        kind = "nobody" if owner in ("ina", "late") else "token"
        found.append(_with_token(f"token of {owner}", kind, token))
    found.append(_with_token("wrong token", "nobody", "no such token"))
    return {visitor.name: visitor for visitor in found}


def routes(tree: str) -> dict[str, str]:
    """Every named address of a URL tree: name → pattern."""
    found: dict[str, str] = {}
    unnamed: list[str] = []

    def walk(resolver: URLResolver, prefix: str) -> None:
        for each in resolver.url_patterns:
            here = prefix + str(each.pattern)
            if isinstance(each, URLPattern):
                if each.name is None or each.name in found:
                    unnamed.append(here)
                else:
                    found[each.name] = here
            else:
                walk(each, here)

    walk(get_resolver(tree), "/")
    assert unnamed == [], "an address without a name of its own cannot stand in the table"
    return found


_TOKEN = re.compile(rb'("x-csrftoken": ?|name="csrfmiddlewaretoken" value=)"\w+"')


def body_of(answer: HttpResponse) -> bytes:
    """The body without what differs each time."""
    return _TOKEN.sub(b"", answer.content)
