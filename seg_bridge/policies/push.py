"""One change of a policy for many clients: a result for each, and nobody is changed unseen.

1. ``ask_push``      an item for each client; a worker rehearses them one by one
2. ``approve_push``  what the person has seen is made: without objections, or despite them
3. ``stop_push``     what is not made yet stays as it was
4. ``retry_push``    failed and stopped items begin again; where they were approved, they go through

Every step of an item is a transaction of its own under a lock on the item, so that a worker that
dies or runs twice changes nothing twice.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from seg_bridge.learning.orders import fetch_originals
from seg_bridge.models import PolicyPush, PolicyPushItem, Rehearsal
from seg_bridge.policies.keys import WrongValue, check_keys, check_values
from seg_bridge.policies.layers import Target
from seg_bridge.policies.services import (
    NothingToChange,
    ask_change,
    find_template,
    make_change,
    own_row,
)
from seg_bridge.services import retire_expired_rules
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, DomainError, WrongInput
from tenants.models import Person, Tenant
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

ASKED = "seg_bridge.policy_push.asked"
APPROVED = "seg_bridge.policy_push.approved"
STOPPED = "seg_bridge.policy_push.stopped"
RETRIED = "seg_bridge.policy_push.retried"
QUEUE = "policy"
MOST_CLIENTS = 2_000

_State = PolicyPushItem.State
UNMADE = (_State.WAITING, _State.REHEARSED, _State.OBJECTED)
_AGAIN = (_State.FAILED, _State.STOPPED)


@transaction.atomic
def ask_push(
    *,
    tenants: Collection[Tenant],
    actor: Person | Actor,
    states: Mapping[str, Any] | None = None,
    inherits: Iterable[str] = (),
    template: str = "",
) -> PolicyPush:
    """The same wish as ``ask_change`` takes, for the own level of each of these clients.

    Raises ``WrongInput`` or ``NotThere``.
    """
    if not tenants:
        raise WrongInput("Choose at least one client.")
    if len(tenants) > MOST_CLIENTS:
        raise WrongInput(f"At most {MOST_CLIENTS} clients at a time.")
    provider_id = next(iter(tenants)).provider_id
    if template:
        find_template(provider_id, template)
    try:
        wanted = check_values(states or {})
        given_back = sorted(set(inherits))
        check_keys(given_back)
    except WrongValue as error:
        raise WrongInput(str(error)) from error
    if not wanted and not given_back and not template:
        raise WrongInput("Say what is to change.")
    push = PolicyPush.objects.create(
        provider_id=provider_id,
        states=wanted,
        inherits=given_back,
        template=template,
        asked_by_id=actor.id,
        asked_by=actor.name,
    )
    PolicyPushItem.objects.bulk_create(
        PolicyPushItem(tenant=tenant, push=push) for tenant in tenants
    )
    _audit(ASKED, push, actor, clients=len(tenants), template=template, states=wanted)
    for tenant in tenants:
        want_work(tenant.id, QUEUE)
    return push


@transaction.atomic
def approve_push(
    *, push: PolicyPush, actor: Person | Actor, reason: str, despite: bool = False
) -> int:
    """Make it at every client in the person's sight; with ``despite`` where the rehearsal objects
    too.  What still waits is made after its rehearsal, if that has no objection.

    Answers at how many.  Raises ``WrongInput``, or ``Conflict`` where nothing is left to make.
    """
    if not reason.strip():
        raise WrongInput("Say why: the reason stands at every value that changes.")
    items = _items(push).filter(state__in=UNMADE)
    if not despite:
        items = items.exclude(state=_State.OBJECTED)
    tenant_ids = list(items.values_list("tenant_id", flat=True))
    if not tenant_ids:
        raise Conflict("There is no client left to make it at.")
    items.update(is_approved=True)
    PolicyPush.objects.filter(id=push.id).update(
        approved_by_id=actor.id,
        approved_by=actor.name,
        approved_at=timezone.now(),
        reason=reason.strip(),
        despite=despite,
        stopped_at=None,
        stopped_by="",
    )
    _audit(APPROVED, push, actor, reason=reason.strip(), clients=len(tenant_ids), despite=despite)
    for tenant_id in tenant_ids:
        want_work(tenant_id, QUEUE)
    return len(tenant_ids)


@transaction.atomic
def stop_push(*, push: PolicyPush, actor: Person | Actor) -> int:
    """At once for every item that no worker holds; answers at how many.  Made ones stay made."""
    stopped = _items(push).filter(state__in=UNMADE)
    count = stopped.update(state=_State.STOPPED, cause=f"Stopped by {actor.name}.")
    PolicyPush.objects.filter(id=push.id).update(stopped_at=timezone.now(), stopped_by=actor.name)
    _audit(STOPPED, push, actor, clients=count)
    return count


@transaction.atomic
def retry_push(*, push: PolicyPush, actor: Person | Actor) -> int:
    """Only what failed or was stopped; answers at how many.  Raises ``Conflict`` for none."""
    again = _items(push).filter(state__in=_AGAIN)
    tenant_ids = list(again.values_list("tenant_id", flat=True))
    if not tenant_ids:
        raise Conflict("Nothing failed.")
    for item in again:
        item.state, item.cause, item.tries = _State.WAITING, "", item.tries + 1
        item.save(update_fields=["state", "cause", "tries", "changed_at"])
    PolicyPush.objects.filter(id=push.id).update(stopped_at=None, stopped_by="")
    _audit(RETRIED, push, actor, clients=len(tenant_ids))
    for tenant_id in tenant_ids:
        want_work(tenant_id, QUEUE)
    return len(tenant_ids)


def pushes_in_sight() -> QuerySet[PolicyPush]:
    """Those with a client in sight, the newest first."""
    items = PolicyPushItem.objects.filter(push=OuterRef("pk"))
    return PolicyPush.objects.filter(Exists(items)).order_by("-id")


def serve_push(claimed: ClaimedWork) -> bool:
    """One item of this client; True: there is more to do."""
    with work_scope(claimed):
        ids = list(_to_do().values_list("id", flat=True)[:2])
    if not ids:
        return False
    try:
        _serve(claimed, ids[0])
    except DomainError as error:
        _fail(claimed, ids[0], error.sentence)
    except Exception:  # one client's trouble must not stop the others, nor be tried for ever
        log.exception("push item %s of client %s failed", ids[0], claimed.tenant_id)
        _fail(claimed, ids[0], "Bailey made an error here; it is in the log.")
    return True


def _to_do() -> QuerySet[PolicyPushItem]:
    waiting = PolicyPushItem.objects.filter(state=_State.WAITING)
    approved = PolicyPushItem.objects.filter(
        state__in=(_State.REHEARSED, _State.OBJECTED), is_approved=True
    )
    return (waiting | approved).order_by("id")


def _serve(claimed: ClaimedWork, item_id: UUID) -> None:
    with work_scope(claimed):
        item = (
            _to_do()
            .select_for_update(of=("self",))
            .select_related("tenant__provider")
            .filter(id=item_id)
            .first()
        )
        if item is None:  # stopped, or served by another worker
            return
        push = PolicyPush.objects.get(id=item.push_id)
        if item.state == _State.WAITING:
            _rehearse(item, push)
        else:
            _make(item, push)
        item.save(update_fields=["state", "cause", "change", "is_approved", "changed_at"])


def _rehearse(item: PolicyPushItem, push: PolicyPush) -> None:
    target = Target(provider=item.tenant.provider, tenant=item.tenant)
    row = own_row(target)
    try:
        item.change = ask_change(
            target=target,
            version=row.version if row else 0,
            actor=Actor(push.asked_by, push.asked_by_id),
            states=push.states,
            inherits=_still_stated(push, row.stated if row else {}),
            template=push.template,
        )
    except NothingToChange:
        item.state = _State.UNCHANGED
        return
    stops = _stops(item)
    item.state, item.cause = (_State.OBJECTED if stops else _State.REHEARSED), " ".join(stops)
    # Nobody has seen these objections yet.
    item.is_approved = item.is_approved and not stops


def _still_stated(push: PolicyPush, stated: Mapping[str, Any]) -> set[str]:
    return set(push.inherits) & set(stated)


def _stops(item: PolicyPushItem) -> list[str]:
    change = item.change
    if change is None or change.batch is None:
        return []
    return [stop for each in Rehearsal.objects.filter(batch=change.batch) for stop in each.stops]


def _make(item: PolicyPushItem, push: PolicyPush) -> None:
    assert item.change
    make_change(
        change=item.change,
        actor=Actor(push.approved_by, push.approved_by_id),
        reason=push.reason,
        despite=push.despite,
    )
    item.state, item.cause = _State.MADE, ""


def _fail(claimed: ClaimedWork, item_id: UUID, cause: str) -> None:
    with work_scope(claimed):
        PolicyPushItem.objects.filter(id=item_id, state__in=UNMADE).update(
            state=_State.FAILED, cause=cause, changed_at=timezone.now()
        )


def _items(push: PolicyPush) -> QuerySet[PolicyPushItem]:
    return PolicyPushItem.objects.filter(push=push)


def _audit(
    action: str, push: PolicyPush, actor: Person | Actor, *, reason: str = "", **detail: Any
) -> None:
    write_audit(
        action,
        actor=actor,
        provider_id=push.provider_id,
        object_kind="policy_push",
        object_id=push.id,
        reason=reason,
        **detail,
    )


def serve_policies(claimed: ClaimedWork) -> datetime | None:
    """Originals that lessons wait for, the client's share of pushes, what is due of its entries."""
    fetch_originals(claimed)
    if serve_push(claimed):
        return timezone.now()
    return retire_expired_rules(claimed)
