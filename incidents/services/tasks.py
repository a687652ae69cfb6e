"""Tasks, from the provider's template for the kind of incident or added by hand."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from incidents.models import Incident, Task, TaskTemplate
from incidents.services.acts import done
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import AuditEntry, Person
from tenants.people import must_lead

TEMPLATE_SAVED = "incidents.task_template.saved"
TASK_ADDED = "incidents.task.added"
TASK_SETTLED = "incidents.task.settled"
MOST_STEPS = 30


@transaction.atomic
def save_template(
    *, provider_id: int, kind: str, steps: Sequence[str], actor: Person, seen: int | None = None
) -> TaskTemplate:
    """The next version of this kind's tasks.  Incidents that have theirs keep them.

    ``seen``: the newest version that the actor had before her, 0: there was none; None: whatever it
    is now.  Raises ``NotAllowed`` (they are for all clients: a lead's), ``WrongInput``, or
    ``Conflict`` that names who saved another since.
    """
    must_lead(actor)
    titles = [" ".join(step.split())[:300] for step in steps if step.strip()]
    if kind and kind not in Incident.Kind.values:
        raise WrongInput("There is no such kind of incident.")
    if len(titles) > MOST_STEPS:
        raise WrongInput(f"More than {MOST_STEPS} tasks are a book, not a list.")
    known = TaskTemplate.objects.filter(provider_id=provider_id, kind=kind)
    last = known.aggregate(version=Max("version"))["version"] or 0
    if seen is not None and last > seen:
        raise Conflict(_who_saved(known))
    try:
        with transaction.atomic():
            template = TaskTemplate.objects.create(
                provider_id=provider_id,
                kind=kind,
                version=last + 1,
                steps=titles,
                created_by=actor.name,
            )
    except IntegrityError as error:
        raise Conflict(_who_saved(known)) from error
    write_audit(
        TEMPLATE_SAVED,
        actor=actor,
        provider_id=provider_id,
        object_kind="task_template",
        object_id=template.id,
        kind=kind,
        version=template.version,
    )
    return template


def _who_saved(known: QuerySet[TaskTemplate]) -> str:
    newest = known.latest("version")
    return (
        f"{newest.created_by} saved version {newest.version} of these tasks at"
        f" {newest.created_at:%H:%M} UTC. Nothing of yours was saved: look at it and decide anew."
    )


def template_for(kind: str) -> TaskTemplate | None:
    """The newest version for this kind; where it never had one, that for every kind."""
    rows = TaskTemplate.objects.order_by("-version")
    return rows.filter(kind=kind).first() or rows.filter(kind="").first()


def start_tasks(*, incident: Incident, actor: Person | Actor) -> int:
    """Lay out the tasks of the template, once; answers how many."""
    if Task.objects.filter(tenant=incident.tenant_id, incident=incident).exists():
        return 0
    template = template_for(incident.kind)
    if template is None or not template.steps:
        return 0
    name = f"{template.kind or 'every'} v{template.version}"
    Task.objects.bulk_create(
        Task(
            tenant_id=incident.tenant_id,
            incident=incident,
            position=position,
            title=title,
            template=name,
        )
        for position, title in enumerate(template.steps, start=1)
    )
    done(incident, TASK_ADDED, actor, template=name, tasks=len(template.steps))
    return len(template.steps)


@transaction.atomic
def add_task(*, incident: Incident, actor: Person, title: str) -> Task:
    title = " ".join(title.split())
    if not title:
        raise WrongInput("Say what is to be done.")
    Incident.objects.select_for_update().get(id=incident.id)  # one position for one task
    known = Task.objects.filter(tenant=incident.tenant_id, incident=incident)
    last = known.aggregate(position=Max("position"))["position"] or 0
    task = Task.objects.create(
        tenant_id=incident.tenant_id, incident=incident, position=last + 1, title=title[:300]
    )
    done(incident, TASK_ADDED, actor, task=task.title)
    return task


@transaction.atomic
def settle_task(*, task: Task, actor: Person, state: str, seen: str = "") -> None:
    """``done``, ``skipped`` or ``open`` again.  ``seen``: its state as the actor saw it, "": as
    ``task`` says.  Raises ``Conflict`` that names who was first.
    """
    if state not in Task.State.values or seen not in ("", *Task.State.values):
        raise WrongInput("A task is open, done or not needed.")
    is_over = state != Task.State.OPEN
    changed = (
        Task.objects.filter(id=task.id, state=seen or task.state)
        .exclude(state=state)
        .update(
            state=state,
            done_at=timezone.now() if is_over else None,
            done_by=actor.name if is_over else "",
        )
    )
    task.refresh_from_db()
    if not changed:
        raise Conflict(_who_settled(task))
    detail = {"task": task.title, "task_id": str(task.id), "state": state}
    done(task.incident, TASK_SETTLED, actor, **detail)


def _who_settled(task: Task) -> str:
    entries = AuditEntry.objects.filter(
        tenant_id=task.tenant_id, action=TASK_SETTLED, object_id=str(task.incident_id)
    )
    last = entries.filter(detail__task_id=str(task.id)).order_by("at", "id").last()
    who = f"{last.actor_name} changed this task at {last.at:%H:%M} UTC" if last else "Somebody did"
    return f"{who}: {task.get_state_display().lower()}. Nothing of yours was done."
