"""Keeping a mail, or everything of a client, whatever its age: set and ended by people."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone

from incidents.models import Message
from seg_bridge.held.models import LegalHold
from tenants.audit import write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person, Tenant
from tenants.people import must_lead

LEADS = "A lead ends a legal hold."
SET, ENDED = "seg_bridge.legal_hold.set", "seg_bridge.legal_hold.ended"


def holds_on(message: Message) -> list[LegalHold]:
    """In force for this mail: its own, and one for the whole client."""
    rows = LegalHold.objects.filter(tenant_id=message.tenant_id, ended_at=None)
    own = (each for each in rows if each.message_id in (None, message.id))
    return sorted(own, key=lambda each: each.created_at)


def set_hold(*, tenant: Tenant, message: Message | None, actor: Person, reason: str) -> LegalHold:
    """``message`` None: everything of the client.  Raises ``Conflict`` where there is one."""
    if not reason.strip():
        raise WrongInput("Say why it must be kept.")
    try:
        with transaction.atomic():
            hold: LegalHold = LegalHold.objects.create(
                tenant=tenant, message=message, reason=reason.strip(), set_by=actor.name
            )
    except IntegrityError as error:
        raise Conflict("It is kept already.") from error
    _audit(SET, hold, actor, reason.strip())
    return hold


def end_hold(*, hold: LegalHold, actor: Person, reason: str) -> None:
    """From now on its age counts again: what was kept may be deleted.  Raises ``NotAllowed``
    (anybody sets one, a lead ends it), ``WrongInput``, or ``Conflict`` where it has ended before.
    """
    must_lead(actor, LEADS)
    if not reason.strip():
        raise WrongInput("Say why it need not be kept any more.")
    changed = LegalHold.objects.filter(id=hold.id, ended_at=None).update(
        ended_at=timezone.now(), ended_by=actor.name
    )
    if not changed:
        raise Conflict("Somebody else has ended it a moment ago.")
    _audit(ENDED, hold, actor, reason.strip())


def _audit(action: str, hold: LegalHold, actor: Person, reason: str) -> None:
    write_audit(
        action,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=hold.tenant_id,
        object_kind="message" if hold.message_id else "client",
        object_id=hold.message_id or hold.tenant_id,
        reason=reason,
    )
