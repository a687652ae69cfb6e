"""Who is asking, typed: behind the log-in a request always carries a person."""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework.request import Request

from tenants.models import Person


def person_of(request: HttpRequest | Request) -> Person:
    """The signed-in person.  Only for views behind a log-in or a token."""
    person = request.user
    assert isinstance(person, Person)
    return person
