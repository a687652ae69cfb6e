"""Lists that people look at often, kept under a name."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from incidents.models import SavedView
from tenants.audit import write_audit
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.groups import PREFIX, group_choices
from tenants.models import Person, Tenant

SAVED = "incidents.view.saved"
REMOVED = "incidents.view.removed"
MOST = 50


def views_of(person: Person) -> list[SavedView]:
    """Hers and those that colleagues share about a client that she sees too.

    A view's name and words are those of its author, who may see more clients: without a client
    nothing tells for whose eyes they are, and of a group a colleague may have some clients only.
    """
    rows = SavedView.objects.filter(Q(person=person) | Q(is_shared=True)).order_by("name", "id")
    named = {row.filters["client"] for row in rows if row.filters.get("client")}
    known = Tenant.objects.filter(slug__in=named).values_list("slug", flat=True)
    clients = set(known) if named else set()
    names_groups = any(name.startswith(PREFIX) for name in named)
    groups = group_choices() if names_groups else []
    hers = {"", *clients, *(address for address, _ in groups)}
    return [
        row
        for row in rows
        if row.filters.get("client", "") in (clients if row.person_id != person.id else hers)
    ]


@transaction.atomic
def save_view(
    *, person: Person, name: str, filters: Mapping[str, str], is_shared: bool = False
) -> SavedView:
    """``filters``: parameters of the queue's address.  Raises ``WrongInput`` or ``Conflict``."""
    name = " ".join(name.split())
    if not name or len(name) > 80:
        raise WrongInput("A view has a name of at most 80 characters.")
    if SavedView.objects.filter(person=person).count() >= MOST:
        raise WrongInput(f"More than {MOST} views of one person: remove some first.")
    kept = {key: str(value)[:320] for key, value in filters.items() if value}
    client = kept.get("client", "")
    if is_shared and (not client or client.startswith(PREFIX)):
        raise WrongInput("Only a view of one client can be shared: choose the client first.")
    try:
        with transaction.atomic():
            view = SavedView.objects.create(
                provider_id=person.provider_id,
                person=person,
                name=name,
                filters=kept,
                is_shared=is_shared,
            )
    except IntegrityError as error:
        raise Conflict(f"You have a view named {name} already.") from error
    _record(SAVED, view, person)
    return view


@transaction.atomic
def remove_view(*, view_id: UUID, person: Person) -> None:
    """Her own only; somebody else's is not there."""
    view = SavedView.objects.filter(id=view_id, person=person).first()
    if view is None:
        raise NotThere
    _record(REMOVED, view, person)
    view.delete()


def _record(action: str, view: SavedView, person: Person) -> None:
    write_audit(
        action,
        actor=person,
        provider_id=person.provider_id,
        object_kind="view",
        object_id=view.id,
        name=view.name,
        is_shared=view.is_shared,
    )
