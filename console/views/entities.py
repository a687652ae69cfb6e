"""A sender, a domain, a host, a file or a mailbox, over the clients in sight."""

from __future__ import annotations

from django.http import HttpResponse

from console.lib.http import PersonRequest, for_staff, said, show
from console.queries.entities import KINDS, entity_page


@for_staff
def entity(request: PersonRequest) -> HttpResponse:
    kind, value = said(request, "kind"), said(request, "value")
    kind = kind if kind in KINDS else "sender"
    page = entity_page(kind, value)
    context = {"at": "mail", "page": page, "kind": kind, "value": value, "kinds": KINDS.values()}
    return show(request, "console/entity.html", context)
