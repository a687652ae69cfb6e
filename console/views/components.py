"""``/console/components``: every piece of the design system with made-up data, in all themes."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from console.lib.held_forms import RefuseForm
from console.lib.http import PersonRequest, for_staff
from console.lib.words import SEVERITIES, STATES, VERDICTS, Word
from console.queries.blindness import Blind, BlindClients
from console.views import samples
from tenants.models import Tenant


@dataclass(frozen=True, slots=True)
class Show:
    """One sheet: a theme at a width.  ``key`` keeps the ids of the sheets apart."""

    key: str
    name: str
    theme: str
    width: str
    sample: dict[str, Any]


@for_staff
def components(request: PersonRequest) -> HttpResponse:
    shows = [
        Show("light", "Light", "light", "", _sample("light")),
        Show("dark", "Dark", "dark", "", _sample("dark")),
        Show("narrow", "Narrow", "light", "narrow", _sample("narrow")),
        Show("narrow-dark", "Narrow, dark", "dark", "narrow", _sample("narrow-dark")),
    ]
    return render(request, "console/components.html", {"shows": shows, "at": "components"})


def _sample(key: str) -> dict[str, Any]:
    form = RefuseForm({"reason": ""}, auto_id=f"{key}-%s")
    blind = Blind(mailbox_since=samples.at("06:12:00"), mailbox_why="Consent is missing.")
    return {
        "tabs": samples.tabs(),
        "rows": samples.rows(key),
        "story": samples.story(key),
        "copies": samples.copies(),
        "reasons": samples.reasons(),
        "words": [*SEVERITIES.values(), *STATES.values(), VERDICTS["bec"], Word("Held", "plum")],
        "blind": blind,
        "blind_clients": BlindClients([(Tenant(name="Acme"), blind)], more=2),
        "client": samples.client(),
        "comments": samples.comments(),
        **samples.client_choice(),
        "field": form["reason"],
        "check": form["is_spam"],
    }
