"""A process of each surface inside the test process: its URL tree and, really, its login.

Tests elsewhere run as the owner, who may become every role. Here the connection signs in as the
login of the surface, so that missing grants, the doors' own checks and the wall all count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import connection
from django.test import override_settings

LOGINS = {
    "console": "DATABASE_URL_CONSOLE",
    "portal": "DATABASE_URL_PORTAL",
    "ingest": "DATABASE_URL_WORKER",
}
URL_TREES = {
    "console": "console.urls",
    "portal": "console.urls_portal",
    "ingest": "console.urls_ingest",
}
_MACHINES_MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]


@contextmanager
def signed_in_as(variable: str) -> Iterator[None]:
    """The database connection of this test as the login that this variable names.

    The address is the variable's, the database is the tests'.
    """
    parts = urlsplit(os.environ[variable])
    login = {"USER": unquote(parts.username or ""), "PASSWORD": unquote(parts.password or "")}
    before = {name: connection.settings_dict[name] for name in login}
    connection.close()
    connection.settings_dict.update(login)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


@contextmanager
def surface(name: str) -> Iterator[None]:
    """Settings and login as the process of this surface has them (console/settings.py)."""
    cookie = f"bailey_{'portal' if name == 'portal' else 'console'}"
    with (
        override_settings(
            SURFACE=name,
            ROOT_URLCONF=URL_TREES[name],
            MIDDLEWARE=_MACHINES_MIDDLEWARE if name == "ingest" else settings.MIDDLEWARE,
            SESSION_COOKIE_NAME=cookie,
            CSRF_COOKIE_NAME=f"{cookie}_csrf",
        ),
        signed_in_as(LOGINS[name]),
    ):
        yield
