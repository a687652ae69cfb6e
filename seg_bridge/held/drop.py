"""Letting held mail go for good: a command to the gate that holds it.

The gate throws its bytes away and says so; the copy is then *gone*.  The stored original goes with
its retention (retention.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from incidents.client_words import open_wishes
from incidents.lessons import Act, teach_from_held
from incidents.models import Delivery, IncidentMessage, Intent
from incidents.models.incident import Incident
from incidents.models.mail import Place
from seg_bridge.commands import order_drop
from seg_bridge.held.models import LegalHold
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person, Tenant

DELETED = "seg_bridge.held.deleted"


@transaction.atomic
def delete_held(
    *, delivery: Delivery, actor: Person | Actor, reason: str, is_spam: bool = False
) -> None:
    """The gate throws this copy away.  ``is_spam``: it may learn it before.

    Raises ``Conflict`` where it is needed or not held.
    """
    if not reason.strip():
        raise WrongInput("Say why: it cannot be brought back.")
    if is_spam:
        teach_from_held([delivery], Act.DENIED_AS_SPAM, actor)
    copy = Delivery.objects.select_for_update(of=("self",)).get(id=delivery.id)
    if copy.place != Place.HOLD:
        raise Conflict("This mail is not held any more.")
    needed = why_needed([copy], incidents=False).get(copy.id)
    if needed:
        raise Conflict(f"It cannot be deleted: {needed}.")
    refusal = order_drop(copy, actor.name)
    if refusal:
        raise Conflict(refusal)
    tenant = Tenant.objects.get(id=copy.tenant_id)
    write_audit(
        DELETED,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="delivery",
        object_id=copy.id,
        reason=reason.strip(),
        recipient=copy.recipient,
    )


def why_needed(copies: Sequence[Delivery], *, incidents: bool = True) -> dict[UUID, str]:
    """Copy → why it must be kept; what nothing needs is not in it.

    ``incidents``: an open incident counts too; a person who deletes one copy decides that herself.
    """
    found: dict[UUID, str] = {}
    kept = _legal_holds({copy.message_id for copy in copies}, {copy.tenant_id for copy in copies})
    wished = open_wishes([copy.id for copy in copies])
    busy = _busy([copy.id for copy in copies])
    cases = _open_cases({copy.message_id for copy in copies}) if incidents else set()
    for copy in copies:
        if copy.message_id in kept or copy.tenant_id in kept:
            found[copy.id] = "it is under legal hold"
        elif copy.id in wished:
            found[copy.id] = "a client asks for it"
        elif copy.id in busy:
            found[copy.id] = "it is being released"
        elif copy.message_id in cases:
            found[copy.id] = "an open incident needs it"
    return found


def _legal_holds(messages: Collection[UUID], tenants: Collection[int]) -> set[UUID | int]:
    """Messages, and clients of whom everything is kept."""
    rows = LegalHold.objects.filter(
        Q(message__in=messages) | Q(message=None), tenant__in=tenants, ended_at=None
    )
    return {message or tenant for tenant, message in rows.values_list("tenant_id", "message_id")}


def _busy(copies: Collection[UUID]) -> set[UUID]:
    rows = Intent.objects.filter(delivery__in=copies).exclude(state__in=Intent.OVER)
    return set(rows.values_list("delivery_id", flat=True))


def _open_cases(messages: Collection[UUID]) -> set[UUID]:
    rows = IncidentMessage.objects.filter(message__in=messages).exclude(
        incident__state=Incident.State.RESOLVED
    )
    return set(rows.values_list("message_id", flat=True))
