"""What people do with mail that waits: an order becomes a command to its gate, answered once.

A queue knows mails, not copies: an order holds for every recipient that waits under the same queue
id, all of them of one client.
"""

from __future__ import annotations

from django.db import transaction

from seg_bridge.commands import next_seq
from seg_bridge.models import GateCommand, QueueItem
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person

ORDERED = "seg_bridge.queue.ordered"
MAX_REASON_CHARS = 500
_Kind = GateCommand.Kind
ACTIONS: dict[str, str] = {
    "retry": _Kind.Q_RETRY,
    "hold": _Kind.Q_HOLD,
    "free": _Kind.Q_FREE,
    "remove": _Kind.Q_REMOVE,
    "return": _Kind.Q_RETURN,
}
KINDS = tuple(ACTIONS.values())


def allowed(item: QueueItem) -> list[str]:
    """What can be done with it as it was told last, the most common first."""
    first = ["free"] if item.where == QueueItem.Where.HOLD else ["retry", "hold"]
    return [*first, *(["return"] if item.may_return else []), "remove"]


def needs_reason(action: str) -> bool:
    return action in ("remove", "return", "hold")


@transaction.atomic
def order(*, item: QueueItem, action: str, reason: str, actor: Person | Actor) -> GateCommand:
    """Raises ``WrongInput``, or ``Conflict`` while another order for the same mail is under way."""
    reason = reason.strip()
    if action not in allowed(item):
        raise WrongInput("This cannot be done with a mail that waits so.")
    if needs_reason(action) and not reason:
        raise WrongInput("Say why: the client may ask what became of its mail.")
    # Two orders for one mail meet here: the second sees the first one's command.
    QueueItem.objects.select_for_update(of=("self",)).filter(
        tenant_id=item.tenant_id, gate_id=item.gate_id, queue_id=item.queue_id
    ).order_by("id").first()
    open_now = GateCommand.objects.filter(
        tenant_id=item.tenant_id, gate_id=item.gate_id, queue_id=item.queue_id, ok=None
    )
    if open_now.exists():
        raise Conflict("An order for this mail is on its way already.")
    command: GateCommand = GateCommand.objects.create(
        tenant_id=item.tenant_id,
        gate_id=item.gate_id,
        seq=next_seq(),
        kind=ACTIONS[action],
        queue_id=item.queue_id,
        recipients=[item.recipient],
        released_by=actor.name,
    )
    write_audit(
        ORDERED,
        actor=actor,
        provider_id=item.tenant.provider_id,
        tenant_id=item.tenant_id,
        object_kind="queue_item",
        object_id=item.id,
        reason=reason[:MAX_REASON_CHARS],
        ordered=action,
        gate=item.gate.name,
        queue_id=item.queue_id,
        recipient=item.recipient,
        sender=item.sender,
    )
    return command
