"""What people have done at an incident, what is left to do, and who is called."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db.models import Count, Model, QuerySet

from console.lib.cursor import newest_first
from console.queries.similar import Similar, similar_to
from incidents.campaigns.moving import lineage
from incidents.models import (
    CallNote,
    ClientWord,
    Comment,
    Incident,
    Mention,
    Pause,
    Quiet,
    Suppression,
    Task,
    TaskTemplate,
)
from incidents.services.quiet import awake
from tenants.models import Person

# So many comments, words of the client and calls stand on an incident's page.
SHOWN = 200

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Work:
    """``pause`` and ``quiet`` hold now, None: none does.  ``words``: what the client wrote.

    Of each kind of words the latest, oldest first; ``is_cut``: there are older ones.
    ``other_tickets``: of incidents that went into it, beside its own; each once.
    """

    comments: list[Comment]
    words: list[ClientWord]
    calls: list[CallNote]
    is_cut: bool
    tasks: list[Task]
    tasks_over: int
    pause: Pause | None
    quiet: Quiet | None
    similar: list[Similar]
    other_tickets: list[Incident]

    @property
    def said(self) -> int:
        """How many words stand below *Comments*, whoever said them."""
        return len(self.comments) + len(self.words) + len(self.calls)


def work_of(incident: Incident, told: Collection[UUID] = ()) -> Work:
    """``told``: incidents of which the page tells already; they are not named again."""
    mine = {"tenant": incident.tenant_id, "incident": incident}
    # What was said on an incident that went into this one is never written anew: it is shown here.
    whole = lineage(incident)
    all_of_it = {"tenant": incident.tenant_id, "incident__in": whole}
    tasks = list(Task.objects.filter(**all_of_it).order_by("incident__number", "position"))
    is_quiet = Incident.objects.filter(id=incident.id).exclude(awake()).exists()
    comments = Comment.objects.filter(**all_of_it).prefetch_related("attachments")
    said = latest(comments, "created_at")
    answered = latest(ClientWord.objects.filter(**all_of_it), "created_at")
    called = latest(CallNote.objects.filter(**all_of_it), "called_at")
    return Work(
        comments=said[0],
        words=answered[0],
        calls=called[0],
        is_cut=said[1] or answered[1] or called[1],
        tasks=tasks,
        tasks_over=sum(task.state != Task.State.OPEN for task in tasks),
        pause=Pause.objects.filter(**mine, ended_at=None).first(),
        quiet=Quiet.objects.filter(**mine, ended_at=None).first() if is_quiet else None,
        similar=[like for like in similar_to(incident) if like.incident.id not in told],
        other_tickets=_other_tickets(incident, whole[1:]),
    )


def _other_tickets(incident: Incident, merged: Collection[UUID]) -> list[Incident]:
    if not merged:
        return []
    rows = Incident.objects.filter(tenant=incident.tenant_id, id__in=merged)
    named: dict[str, Incident] = {}
    for each in rows.exclude(ticket__in=["", incident.ticket]).order_by("number"):
        named.setdefault(each.ticket, each)
    return list(named.values())


def latest(rows: QuerySet[M], at: str) -> tuple[list[M], bool]:
    """The latest ``SHOWN`` by the time ``at``, oldest first, and whether there are older ones."""
    found = list(rows.order_by(f"-{at}", "-id")[: SHOWN + 1])
    return found[SHOWN - 1 :: -1], len(found) > SHOWN


def mentions_of(person: Person, cursor: str) -> tuple[list[Mention], str]:
    """Where she was named, newest first, and the cursor of the next page ("" at the end)."""
    rows = Mention.objects.filter(person_id=person.id).select_related(
        "tenant", "incident", "comment"
    )
    return newest_first(rows, cursor, at="created_at")


def suppressions(cursor: str) -> tuple[list[Suppression], str]:
    """Newest first, each with how many incidents it silenced; the cursor of the next page."""
    rows = Suppression.objects.select_related("tenant").annotate(silenced=Count("quiets"))
    return newest_first(rows, cursor, at="created_at")


def latest_templates() -> list[TaskTemplate]:
    """The newest version of each kind."""
    rows = TaskTemplate.objects.order_by("kind", "-version").distinct("kind")
    return list(rows)
