"""What people have done at an incident, what is left to do, and who is called."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, QuerySet

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


@dataclass(frozen=True, slots=True)
class Work:
    """``pause`` and ``quiet`` hold now, None: none does.  ``words``: what the client wrote."""

    comments: list[Comment]
    words: list[ClientWord]
    calls: list[CallNote]
    tasks: list[Task]
    tasks_over: int
    pause: Pause | None
    quiet: Quiet | None
    similar: list[Similar]


def work_of(incident: Incident) -> Work:
    mine = {"tenant": incident.tenant_id, "incident": incident}
    # What was said on an incident that went into this one is never written anew: it is shown here.
    all_of_it = {"tenant": incident.tenant_id, "incident__in": lineage(incident)}
    tasks = list(Task.objects.filter(**all_of_it).order_by("incident__number", "position"))
    is_quiet = Incident.objects.filter(id=incident.id).exclude(awake()).exists()
    return Work(
        words=list(ClientWord.objects.filter(**all_of_it).order_by("created_at", "id")[:100]),
        comments=list(
            Comment.objects.filter(**all_of_it)
            .order_by("created_at", "id")
            .prefetch_related("attachments")[:200]
        ),
        calls=list(CallNote.objects.filter(**all_of_it).order_by("called_at")[:50]),
        tasks=tasks,
        tasks_over=sum(task.state != Task.State.OPEN for task in tasks),
        pause=Pause.objects.filter(**mine, ended_at=None).first(),
        quiet=Quiet.objects.filter(**mine, ended_at=None).first() if is_quiet else None,
        similar=similar_to(incident),
    )


def mentions_of(person: Person) -> list[Mention]:
    """Where she was named, what she has not seen first."""
    rows = Mention.objects.filter(person_id=person.id).select_related(
        "tenant", "incident", "comment"
    )
    return list(rows.order_by("-created_at")[:100])


def suppressions() -> QuerySet[Suppression]:
    """Newest first, with how many incidents each silenced."""
    rows = Suppression.objects.select_related("tenant").annotate(silenced=Count("quiets"))
    return rows.order_by("-created_at")


def latest_templates() -> list[TaskTemplate]:
    """The newest version of each kind."""
    rows = TaskTemplate.objects.order_by("kind", "-version").distinct("kind")
    return list(rows)
