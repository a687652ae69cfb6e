"""Sessions in the database, each marked with the surface it was opened on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from typing_extensions import override


class SessionStore(DatabaseStore):
    @classmethod
    @override
    def get_model_class(cls) -> type[AbstractBaseSession]:
        from tenants.models import Session

        return Session

    @override
    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.surface = "portal" if settings.SURFACE == "portal" else "console"  # type: ignore[attr-defined]
        return row
