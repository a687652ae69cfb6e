"""Choosing many incidents: what fits the queue's filters, and what a form sent back."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import F, Q

from console.queries.queue import Filters, fitting
from incidents.models import Incident
from incidents.services.many import MOST
from tenants.errors import WrongInput
from tenants.models import Assignment, Person


def fitting_rows(tab: str, person: Person, filters: Filters) -> list[Incident]:
    """At most ``MOST``, in the order of the queue."""
    found = fitting(tab, person, filters).select_related("tenant")
    soonest = F("due_at").asc(nulls_last=True)
    return list(found.order_by("-queue_rank", soonest, "opened_at", "id")[:MOST])


def chosen_by_id(sent: Sequence[str]) -> tuple[list[Incident], int]:
    """Those of ``read_choice`` in the order sent, and how many are not there or not hers.

    Raises ``WrongInput``.
    """
    ids, _ = read_choice(sent)
    found = Incident.objects.select_related("tenant").in_bulk(ids)
    rows = [found[each] for each in ids if each in found]
    return rows, len(ids) - len(rows)


def read_choice(sent: Sequence[str]) -> tuple[list[UUID], dict[UUID, int]]:
    """``id.revision`` of each chosen incident.  Raises ``WrongInput``."""
    ids, revisions = [], {}
    for each in dict.fromkeys(sent[: MOST + 1]):
        key, _, revision = each.partition(".")
        try:
            incident_id = UUID(key)
        except ValueError as error:
            raise WrongInput("Choose incidents from the list.") from error
        ids.append(incident_id)
        if revision.isascii() and revision.isdigit():
            revisions[incident_id] = int(revision[:9])
    if not ids:
        raise WrongInput("Choose at least one incident.")
    return ids, revisions


def colleagues_in_sight() -> list[Person]:
    """Leads, and analysts with a client in sight; the service asks about each incident's client."""
    assigned = Assignment.objects.values("person_id")
    leads, analysts = Q(role=Person.Role.LEAD), Q(role=Person.Role.ANALYST, id__in=assigned)
    staff = Person.objects.filter(leads | analysts, tenant=None, is_active=True)
    return list(staff.order_by("name", "id"))
