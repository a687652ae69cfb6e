"""Titles of incidents whose mail stands still while what they are made of changes.

New facts of its mail name an incident anew (incidents/opening.py).  Whose name was borrowed also
follows from the client's people, who change their roles, and the words from this version of Bailey.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from incidents.models import Delivery, Incident, Message
from incidents.signs import signs_of, title_by_signs
from incidents.story.clues import clues_of
from incidents.titles import title_of, title_without_mail

_NEEDED = ("tenant", "title", "kind", "cross_layer", "counts")


def retitle(tenant_id: int, since: datetime | None = None) -> int:
    """Of the client's incidents that are open, or whose mail was last seen ``since`` then; answers
    how many got another title.  Needs the client's scope.
    """
    about_mail = Incident.objects.filter(tenant=tenant_id, finding="", merged_into=None)
    wanted = ~Q(state=Incident.State.RESOLVED) | Q(last_seen_at__gte=since or timezone.now())
    return sum(_follow(incident) for incident in about_mail.filter(wanted).only(*_NEEDED))


def _follow(incident: Incident) -> int:
    title = title_now(incident)
    if title == incident.title:
        return 0
    # Whoever has named it meanwhile knew more.
    same = Incident.objects.filter(tenant=incident.tenant_id, id=incident.id, title=incident.title)
    return same.update(title=title)


def title_now(incident: Incident) -> str:
    """As the facts on record and the client's people say it now."""
    mails = Message.objects.filter(tenant=incident.tenant_id, memberships__incident=incident)
    newest = mails.defer("facts").order_by("-last_seen_at").first()
    if newest is None:
        signs = signs_of(incident)
        return title_by_signs(signs) if signs else title_without_mail(incident.kind)
    copies = Delivery.objects.filter(tenant=incident.tenant_id, message=newest)
    clues = clues_of(newest, copies)
    return title_of(incident.kind, incident.cross_layer, incident.counts, clues)
