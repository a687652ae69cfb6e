"""The ticket of an incident in the provider's own help desk, as somebody enters it."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.db import transaction

from incidents.models import Incident
from incidents.models.incident import LONGEST_TICKET, LONGEST_TICKET_LINK
from incidents.services.acts import change, done, hold
from tenants.errors import WrongInput
from tenants.models import Person

TICKET_CHANGED = "incidents.incident.ticket_changed"


@transaction.atomic
def keep_ticket(
    *, incident: Incident, actor: Person, ticket: str, link: str, revision: int | None = None
) -> None:
    """``ticket``: its number, as the help desk writes it, "": it has none any more; ``link``: where
    it is read, "": nowhere.

    Raises ``WrongInput`` for more than one line, a link that is no web address, or a link alone;
    ``Conflict`` where somebody changed the incident first.  What stands already is not written.
    """
    wanted = {"ticket": _checked(ticket.strip()), "ticket_link": _checked_link(link.strip())}
    if wanted["ticket_link"] and not wanted["ticket"]:
        raise WrongInput("Give the ticket's number, too: the link is shown under it.")
    hold(incident, revision)
    before, link_before = incident.ticket, incident.ticket_link
    if wanted == {name: getattr(incident, name) for name in wanted}:
        return
    change(incident, **wanted)
    done(
        incident,
        TICKET_CHANGED,
        actor,
        before=before,
        after=incident.ticket,
        link_before=link_before,
        link=incident.ticket_link,
        revision=incident.revision,
    )


def _checked(ticket: str) -> str:
    if len(ticket) > LONGEST_TICKET or not ticket.isprintable():
        raise WrongInput(f"A ticket's number is one line of at most {LONGEST_TICKET} characters.")
    return ticket


def _checked_link(link: str) -> str:
    if not link:
        return ""
    if len(link) > LONGEST_TICKET_LINK or not link.isprintable() or " " in link:
        raise WrongInput(f"The link is one line of at most {LONGEST_TICKET_LINK} characters.")
    try:
        parts = urlsplit(link)
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError:
        host, user = None, None
    if not host or parts.scheme not in ("http", "https"):
        raise WrongInput("The link begins with https:// or http:// and the help desk's address.")
    if user is not None:
        raise WrongInput("The link carries a user name: leave it out, colleagues see the link.")
    return link
