"""What every page needs: nothing that costs a query."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def page(request: HttpRequest) -> dict[str, Any]:
    return {"surface": settings.SURFACE, "person": getattr(request, "user", None)}
