"""One order for many mails that wait: counted before, done by commands, watched, and stopped.

A *batch* is the commands that one person gave at once, all with the same ``batch``.  Each is an
order like any other: done once, answered once, in the audit log with its client.  Who sees a client
sees that client's part of the batch, and may stop it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from seg_bridge.commands import next_seqs
from seg_bridge.models import GateCommand, QueueItem
from seg_bridge.queues.orders import ACTIONS, MAX_REASON_CHARS, allowed, needs_reason
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.ids import as_uuid, new_id
from tenants.models import Person, Tenant

ORDERED_MANY = "seg_bridge.queue.ordered_many"
STOPPED = "seg_bridge.queue.stopped"
MOST_ORDERED = 5000

_Mail = tuple[int, UUID, str]  # client, gate and queue id


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What an order would be about, counted before it is given.

    ``mails``: one row of each, for all its recipients.  ``also``: copies of the same mails that are
    not on the list, for which the order holds as well.  ``left_out``: mails that wait so that this
    cannot be done with them, or for which an order is on its way.
    """

    mails: tuple[QueueItem, ...]
    copies: int
    also: int
    left_out: int
    clients: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch as far as it is in sight.  ``stopped`` are among the failed."""

    id: UUID
    kind: str
    by: str
    total: int
    done: int
    failed: int
    stopped: int
    waiting: int
    troubles: tuple[GateCommand, ...]

    @property
    def is_over(self) -> bool:
        return not self.waiting


def foresee(found: QuerySet[QueueItem], action: str) -> Foreseen:
    """Raises ``WrongInput`` where it is too much at once."""
    ordered = found.select_related("tenant", "gate").order_by("arrived_at", "id")
    items = list(ordered[:MOST_ORDERED])
    if len(items) == MOST_ORDERED:
        raise WrongInput(f"At most {MOST_ORDERED} copies at once. Narrow the list first.")
    by_mail: dict[_Mail, list[QueueItem]] = {}
    for item in items:
        by_mail.setdefault((item.tenant_id, item.gate_id, item.queue_id), []).append(item)
    busy = _busy(by_mail)
    good = {
        mail: rows
        for mail, rows in by_mail.items()
        if mail not in busy and all(action in allowed(row) for row in rows)
    }
    clients: dict[str, int] = {}
    for rows in good.values():
        clients[rows[0].tenant.name] = clients.get(rows[0].tenant.name, 0) + 1
    return Foreseen(
        mails=tuple(rows[0] for rows in good.values()),
        copies=sum(map(len, good.values())),
        also=_all_copies(good) - sum(map(len, good.values())),
        left_out=len(by_mail) - len(good),
        clients=tuple(sorted(clients.items())),
    )


@transaction.atomic
def order_many(
    *, found: QuerySet[QueueItem], action: str, reason: str, counted: int, actor: Person | Actor
) -> UUID:
    """The batch's id.  ``counted``: so many mails the person has seen that it is about; where more
    wait by now, nobody has agreed to those.

    Raises ``WrongInput`` or ``Conflict``.
    """
    reason = reason.strip()
    if action not in ACTIONS:
        raise WrongInput(f"An order is one of: {', '.join(ACTIONS)}.")
    if needs_reason(action) and not reason:
        raise WrongInput("Say why: the clients may ask what became of their mail.")
    # Two orders for one mail meet here: the second sees the first one's commands.
    list(found.select_for_update(of=("self",)).order_by("id").values_list("id", flat=True))
    foreseen = foresee(found, action)
    if not foreseen.mails:
        raise Conflict("None of these mails waits any more so that this can be done with it.")
    if len(foreseen.mails) > counted:
        raise Conflict(
            f"{len(foreseen.mails)} mails wait by now, and you have seen {counted}: look again."
        )
    batch = new_id()
    _write_commands(foreseen.mails, batch, action, actor)
    _audit(ORDERED_MANY, foreseen.mails, batch, actor, reason=reason, ordered=action)
    return batch


def _write_commands(
    mails: Sequence[QueueItem], batch: UUID, action: str, actor: Person | Actor
) -> None:
    seqs = next_seqs(len(mails))
    GateCommand.objects.bulk_create(
        [
            GateCommand(
                tenant_id=item.tenant_id,
                gate_id=item.gate_id,
                seq=seq,
                kind=ACTIONS[action],
                queue_id=item.queue_id,
                recipients=[item.recipient],
                released_by=actor.name,
                batch=batch,
            )
            for item, seq in zip(mails, seqs, strict=True)
        ],
        batch_size=500,
    )


def access_batch(batch_id: UUID | str) -> Batch:
    """Raises ``NotThere``, also where nothing of it is in sight."""
    batch = as_uuid(batch_id)
    if batch is None:
        raise NotThere
    commands = GateCommand.objects.filter(batch=batch)
    counts = commands.aggregate(
        total=Count("id"),
        done=Count("id", filter=Q(ok=True)),
        failed=Count("id", filter=Q(ok=False)),
        stopped=Count("id", filter=Q(ok=False) & ~Q(stopped_by="")),
    )
    one = commands.order_by("seq").first()
    if one is None:
        raise NotThere
    troubles = commands.filter(ok=False, stopped_by="").select_related("tenant", "gate")
    waiting = counts["total"] - counts["done"] - counts["failed"]
    return Batch(
        id=batch,
        kind=one.get_kind_display(),
        by=one.released_by,
        waiting=waiting,
        troubles=tuple(troubles.order_by("seq")[:100]),
        **counts,
    )


@transaction.atomic
def stop_batch(*, batch: UUID, actor: Person | Actor) -> int:
    """What no gate has done yet is not done; answers how many.  A gate that is at one of them just
    now says so afterwards, and its word counts.

    Raises ``Conflict`` where all is done.
    """
    waiting = GateCommand.objects.filter(batch=batch, ok=None).select_related("tenant", "gate")
    rows = list(waiting.select_for_update(of=("self",)).order_by("id"))
    if not rows:
        raise Conflict("All of it is done already.")
    GateCommand.objects.filter(id__in=[row.id for row in rows]).update(
        ok=False,
        done_at=timezone.now(),
        stopped_by=actor.name,
        detail=f"stopped by {actor.name} before the gate did it",
    )
    _audit(STOPPED, rows, batch, actor)
    return len(rows)


def _all_copies(mails: dict[_Mail, list[QueueItem]]) -> int:
    """Of these mails, on the list or not."""
    rows = QueueItem.objects.filter(
        tenant_id__in={tenant_id for tenant_id, _, _ in mails},
        queue_id__in={queue_id for _, _, queue_id in mails},
    )
    return sum(mail in mails for mail in rows.values_list("tenant_id", "gate_id", "queue_id"))


def _busy(mails: dict[_Mail, list[QueueItem]]) -> set[_Mail]:
    """Mails for which an order is on its way."""
    open_now = GateCommand.objects.filter(
        ok=None, queue_id__in={queue_id for _, _, queue_id in mails}
    )
    return set(open_now.values_list("tenant_id", "gate_id", "queue_id"))


def _audit(
    action: str,
    rows: Sequence[QueueItem] | Sequence[GateCommand],
    batch: UUID,
    actor: Person | Actor,
    **detail: str,
) -> None:
    """One entry for each client: nobody reads another client's numbers."""
    by_client: dict[int, list[QueueItem | GateCommand]] = {}
    for row in rows:
        by_client.setdefault(row.tenant_id, []).append(row)
    if "reason" in detail:
        detail["reason"] = detail["reason"][:MAX_REASON_CHARS]
    for tenant_id, mine in by_client.items():
        tenant: Tenant = mine[0].tenant
        write_audit(
            action,
            actor=actor,
            provider_id=tenant.provider_id,
            tenant_id=tenant_id,
            object_kind="queue_batch",
            object_id=batch,
            mails=len(mine),
            queue_ids=[row.queue_id for row in mine[:100]],
            **detail,
        )
