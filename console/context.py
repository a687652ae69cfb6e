"""What every page needs: nothing that costs a query unless a page asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from incidents.layers import BlindLayer, blind_layers
from tenants.models import Person
from tenants.scope import has_scope
from tenants.standstill import shown_standstill


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """``go``: the letter after ``g``.  ``count`` None: no figure beside it."""

    key: str
    text: str
    icon: str
    href: str
    go: str
    count: int | None = None


_CONSOLE = (
    ("queue", "Incidents", "shield-alert", "queue", "i"),
    ("disagreements", "Disagreements", "circle-check", "disagreements", "d"),
    ("user_reports", "Reported", "message-square", "user_reports", "u"),
    ("held", "Held mail", "archive", "held", "h"),
    ("mail", "Mail", "mail", "mail", "m"),
    ("queues", "Queues", "refresh-cw", "queues", "q"),
    ("ledger", "Ledger", "file-text", "ledger", "l"),
    ("rules", "Gateway rules", "ban", "rules", "r"),
    ("policies", "Policies", "shield", "policy_provider", "p"),
    ("clients", "Clients", "building-2", "clients", "c"),
    ("sla", "Agreed times", "clock", "sla", "s"),
    ("mentions", "Mentions", "message-square", "mentions", "n"),
    ("jobs", "Jobs", "list-checks", "jobs", "o"),
)
_PORTAL = (
    ("overview", _("Overview"), "shield", "portal", "o"),
    ("incidents", _("Incidents"), "shield-alert", "portal_incidents", "i"),
    ("held", _("Held mail"), "archive", "portal_held", "h"),
    ("access", _("Who opened our mail"), "eye", "portal_access", "w"),
    ("reports", _("Reports"), "file-text", "portal_reports", "r"),
)


# What a reader of the portal reads below her name.
_("Client reader")


def page(request: HttpRequest) -> dict[str, Any]:
    """``person`` is None before signing in, and where she has no business."""
    person = getattr(request, "user", None)
    is_portal = settings.ROOT_URLCONF == "console.urls_portal"
    if not isinstance(person, Person) or person.is_staff_of_provider == is_portal:
        return {"surface": settings.SURFACE, "person": None}
    is_staff = not is_portal
    items = _CONSOLE if is_staff else _PORTAL
    return {
        "surface": settings.SURFACE,
        "person": person,
        "person_detail": gettext(person.get_role_display()),
        "navigation": [
            NavigationItem(key, gettext(text), icon, reverse(name), go)
            for key, text, icon, name, go in items
        ],
        "home": reverse("queue" if is_staff else "portal"),
        "logout_href": reverse("logout"),
        "live_path": "/live",
        "standstill": shown_standstill() if is_staff else None,
        # Called by the portal's frame alone.
        "blind_now": partial(_blind_now, person),
    }


def _blind_now(person: Person) -> list[BlindLayer]:
    """What cannot see the reader's client now; an error's page has no scope to ask in."""
    return blind_layers(person.tenant_id) if person.tenant_id and has_scope() else []
