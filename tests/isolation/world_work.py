"""People's work on a client's incidents, with the client's words in it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from incidents.models import Attachment, Comment, Incident, Quiet, Suppression, Task
from incidents.services.attachments import NewFile
from incidents.services.comments import add_comment, log_call
from incidents.services.quiet import add_suppression, quiet_incident
from incidents.services.tasks import add_task
from incidents.services.tickets import keep_ticket
from incidents.services.waiting import stop_waiting, wait_for
from incidents.sla.plan import BUILT_IN_TARGETS, WORKING_WEEK, agree
from tests.factories import Cast

if TYPE_CHECKING:
    from tests.isolation.world import Side


def work_on(side: Side, shared: Incident, hidden: Incident, cast: Cast) -> None:
    """Comments of both kinds, calls, tasks, ticket, silence, pauses, terms.  Needs the scope."""
    mo, soon = cast.mo, timezone.now() + timedelta(days=2)
    for incident, word in ((shared, side.open), (hidden, side.inner)):
        for audience, text in (("internal", f"{side.inner} @Ana"), ("client", word)):
            add_comment(
                incident=incident,
                actor=mo,
                text=text,
                audience=audience,
                files=[NewFile(f"{text}.txt", f"A file: {text} {audience}".encode())],
            )
        log_call(incident=incident, actor=mo, whom=side.inner, said=side.inner)
        add_task(incident=incident, actor=mo, title=side.inner)
    link = f"https://desk.example/{side.inner}"
    keep_ticket(incident=shared, actor=mo, ticket=side.inner, link=link)
    wait_for(incident=shared, actor=mo, cause="vendor", asked=side.inner)
    stop_waiting(incident=shared, actor=mo, answer=side.inner)
    wait_for(incident=shared, actor=mo, cause="client_answer", asked=side.open)
    wait_for(incident=hidden, actor=mo, cause="client_answer", asked=side.inner)
    quiet_incident(incident=hidden, actor=mo, kind="snoozed", until=soon, reason=side.inner)
    rule = add_suppression(
        tenant=side.tenant,
        actor=mo,
        match="domain",
        value=f"{side.inner}.example",
        reason=side.inner,
        ends_at=soon,
    )
    Quiet.objects.filter(incident=hidden).update(suppression=rule)
    agree(
        provider_id=side.tenant.provider_id,
        tenant=side.tenant,
        name=side.inner,
        time_zone="Europe/Berlin",
        weekly=WORKING_WEEK,
        holidays=["2026-12-25"],
        targets=BUILT_IN_TARGETS,
        actor=mo,
    )


def _for_client(incident: Incident) -> Comment:
    return Comment.objects.get(incident=incident, audience="client")


def ids_of_work(incident: Incident) -> dict[str, str]:
    """What addresses can name of it."""
    return {
        "task": str(Task.objects.get(incident=incident).id),
        "attachment": str(Attachment.objects.get(comment=_for_client(incident)).id),
        "comment": str(_for_client(incident).id),
        "suppression": str(Suppression.objects.get().id),
    }
