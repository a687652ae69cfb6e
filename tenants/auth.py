"""Signing in by e-mail.  A person is found through a door, never by reading the table."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import check_password, make_password
from django.http import HttpRequest
from typing_extensions import override

from tenants.doors import FoundPerson, find_person, find_person_by_email, find_person_by_token
from tenants.models import Person

_COLUMNS = [field.attname for field in Person._meta.concrete_fields]


def _person(found: FoundPerson | None) -> Person | None:
    if found is None:
        return None
    row = dict(found.row, id=UUID(found.row["id"]))
    row["created_at"] = datetime.fromisoformat(row["created_at"])
    person = Person.from_db("default", _COLUMNS, [row[column] for column in _COLUMNS])
    person.visible_tenant_ids = found.tenant_ids
    fits = person.is_staff_of_provider != (settings.SURFACE == "portal")
    return person if person.is_active and (fits or settings.SURFACE == "owner") else None


def person_for_token(token: str) -> Person | None:
    """The person behind an API token, or None if it is unknown, expired or revoked."""
    return _person(find_person_by_token(sha256(token.encode()).hexdigest()))


class PersonBackend(BaseBackend):
    """Staff sign in at the console, clients at the portal; neither works at the other's door."""

    @override
    def authenticate(
        self, request: HttpRequest | None, email: str = "", password: str = "", **_: Any
    ) -> Person | None:
        person = _person(find_person_by_email(email)) if email else None
        if person is None:
            make_password(password)  # an unknown address takes as long as a wrong password
            return None
        # Not the person's own check_password: where Django asks for another cost by now, that one
        # writes the new hash, and nobody has a scope to write in before she is let in.
        return person if check_password(password, person.password) else None

    @override
    def get_user(self, user_id: Any) -> Person | None:
        return _person(find_person(user_id))
