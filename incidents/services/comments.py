"""What is said about an incident: comments, colleagues named in them, phone calls."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.models import CallNote, Comment, Incident, Mention
from incidents.services.acts import done
from incidents.services.attachments import NewFile, attach, check_files
from tenants.colleagues import colleagues_of
from tenants.errors import WrongInput
from tenants.models import Person

COMMENTED = "incidents.incident.commented"
CALLED = "incidents.incident.called"
_NAMED = re.compile(r"(?<![\w@.])@(\w[\w.-]*)")


@transaction.atomic
def add_comment(
    *,
    incident: Incident,
    actor: Person,
    text: str,
    audience: str = Comment.Audience.INTERNAL,
    mention_ids: Collection[UUID] = (),
    files: Sequence[NewFile] = (),
) -> Comment:
    """``mention_ids`` and ``@first-name`` in the text call colleagues who work for the client.

    Whoever may read the comment may download its ``files``.  Raises ``WrongInput`` for an empty
    text, for somebody who does not work for the client, and for files that cannot be kept;
    ``TooLarge`` for too much of them.  Nothing is kept then.
    """
    if not text.strip():
        raise WrongInput("Write something first.")
    if audience not in Comment.Audience.values:
        raise WrongInput("A comment is internal or for the client.")
    named = _named(incident, text, set(mention_ids))
    files = check_files(files)
    comment = Comment.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        audience=audience,
        text=text.strip(),
        author_id=actor.id,
        author_name=actor.name,
    )
    _call(comment, [person for person in named if person.id != actor.id])
    kept = attach(comment, files)
    done(
        incident,
        COMMENTED,
        actor,
        audience=audience,
        comment=str(comment.id),
        mentioned=[person.name for person in named],
        attachments=[{"name": file.name, "sha256": file.sha256} for file in kept],
    )
    return comment


def _call(comment: Comment, people: Collection[Person]) -> None:
    Mention.objects.bulk_create(
        Mention(
            tenant_id=comment.tenant_id,
            incident_id=comment.incident_id,
            comment=comment,
            person_id=person.id,
            person_name=person.name,
        )
        for person in people
    )


def _named(incident: Incident, text: str, ids: set[UUID]) -> list[Person]:
    """A first name that two share calls nobody: the list is there to choose from."""
    people = colleagues_of(incident.tenant_id)
    if ids - {person.id for person in people}:
        raise WrongInput(f"Only colleagues who work for {incident.tenant.name} can be named.")
    words = {word.rstrip(".-").lower() for word in _NAMED.findall(text)}
    for word in words:
        fitting = [p for p in people if word in (p.name.lower(), p.name.lower().split()[0])]
        ids |= {person.id for person in fitting} if len(fitting) == 1 else set()
    return [person for person in people if person.id in ids]


def mark_seen(*, incident: Incident, person: Person) -> None:
    """She has the incident before her: what called her there is answered."""
    Mention.objects.filter(
        tenant=incident.tenant_id, incident=incident, person_id=person.id, seen_at=None
    ).update(seen_at=timezone.now())


@transaction.atomic
def log_call(
    *,
    incident: Incident,
    actor: Person,
    whom: str,
    said: str,
    phone: str = "",
    called_at: datetime | None = None,
) -> CallNote:
    """What somebody said on the phone: stated, not verified.  It stands in the story."""
    if not whom.strip() or not said.strip():
        raise WrongInput("Say who was called and what they said.")
    now = timezone.now()
    called_at = called_at or now
    if called_at > now + timedelta(minutes=5):
        raise WrongInput("A call that has not been made yet cannot be on record.")
    note = CallNote.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        whom=whom.strip(),
        phone=phone.strip(),
        said=said.strip(),
        called_at=called_at,
        author_id=actor.id,
        author_name=actor.name,
    )
    done(incident, CALLED, actor, call=str(note.id), whom=note.whom)
    return note
