"""The doors: the only questions that are answered before a scope exists.

Each is a SECURITY DEFINER function in the database (see the migrations) that answers one question;
the list is tested against the catalogue.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from tenants.failpoints import failpoint


def ask(function: str, *arguments: Any) -> Any:
    """The answer of a door that returns jsonb; None where it found nothing."""
    marks = ", ".join(["%s"] * len(arguments))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}({marks})", arguments)
        row = cursor.fetchone()
    answer = row[0] if row else None
    return json.loads(answer) if isinstance(answer, str) else answer


@dataclass(frozen=True, slots=True)
class FoundPerson:
    """``row`` has the columns of ``tenants_person``; ``tenant_ids`` the clients visible now."""

    row: dict[str, Any]
    tenant_ids: tuple[int, ...]


def _found(answer: dict[str, Any] | None) -> FoundPerson | None:
    return FoundPerson(answer["person"], tuple(answer["tenant_ids"])) if answer else None


def find_person_by_email(email: str) -> FoundPerson | None:
    return _found(ask("door_person", email.strip().lower(), None))


def find_person(person_id: UUID) -> FoundPerson | None:
    return _found(ask("door_person", None, person_id))


def find_person_by_token(digest: str) -> FoundPerson | None:
    return _found(ask("door_api_token", digest))


@dataclass(frozen=True, slots=True)
class Client:
    tenant_id: int
    provider_id: int
    slug: str


def all_clients() -> list[Client]:
    """Every client of the installation, for the beat and for commands."""
    return [Client(**row) for row in ask("door_tenants") or []]


def find_client(slug: str) -> Client | None:
    return next((client for client in all_clients() if client.slug == slug), None)


@dataclass(frozen=True, slots=True)
class ClaimedWork:
    """``fence`` grows with every claim: an outcome with an older fence is refused."""

    tenant_id: int
    provider_id: int
    fence: int


def claim_work(queue: str, lease_s: int) -> ClaimedWork | None:
    answer = ask("door_claim_work", queue, lease_s)
    if not answer:
        return None
    failpoint("after_commit")
    return ClaimedWork(**answer)
