"""Changes at the gateway that are rehearsed first, and made only then.

A wish is plain JSON, as ``Rehearsal.change`` keeps it and the API takes it:

``{"do": "add_rule", "kind", "match", "value", "recipient", "action", "beats_threats", "days"``
  or ``"expires_at"}``
``{"do": "remove_rule", "rule_id"}``

A change of a policy is asked for and made in policies/services.py.

``rehearse_wish`` keeps one ``Rehearsal`` for each client; ``save_change`` makes the change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.assessment import copies_within_reach
from incidents.layers import Objections
from incidents.models import Delivery, Job
from incidents.remediation import start_job
from seg_bridge import services
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.rehearsal import (
    DAYS,
    AddRule,
    Change,
    ClientForecast,
    RemoveRule,
    rehearse,
)
from seg_bridge.snapshot import wire_rule
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.ids import as_uuid, new_id
from tenants.models import Person, Tenant

REHEARSED = "seg_bridge.change.rehearsed"
SAVED = "seg_bridge.change.saved"
# Mail flows on: an old forecast says little about a change that is made now.
FRESH_FOR = timedelta(hours=1)
LISTS = ("newly_held", "newly_delivered", "missed", "caught", "broken")

Wish = dict[str, Any]


def rehearse_wish(
    *, wish: Wish, tenants: Collection[Tenant], actor: Person | Actor, days: int = DAYS
) -> list[Rehearsal]:
    """One kept rehearsal a client, in one batch.  Raises ``WrongInput`` or ``NotThere``."""
    if not tenants:
        raise WrongInput("Choose at least one client.")
    batch = new_id()
    kept = []
    for tenant in tenants:
        forecast = rehearse(_change(wish, tenant, actor), [tenant.id], days=days)
        kept += [keep_forecast(one, wish, batch, forecast.days, actor) for one in forecast.clients]
    first = kept[0]
    write_audit(
        REHEARSED,
        actor=actor,
        provider_id=next(iter(tenants)).provider_id,
        tenant_id=first.tenant_id if len(kept) == 1 else None,
        object_kind="rehearsal",
        object_id=first.id,
        wish=wish,
        clients=len(kept),
    )
    return kept


def keep_forecast(
    forecast: ClientForecast, wish: Wish, batch: UUID, days: int, actor: Person | Actor
) -> Rehearsal:
    """The forecast for one client as a row, for who decides about it."""
    kept: Rehearsal = Rehearsal.objects.create(
        tenant_id=forecast.tenant_id,
        batch=batch,
        change=wish,
        days=days,
        since=forecast.since,
        counts=forecast.counts,
        lists={name: [str(each) for each in getattr(forecast, name)] for name in LISTS},
        stops=list(forecast.stops),
        asked_by_id=actor.id,
        asked_by=actor.name,
    )
    return kept


def _change(wish: Wish, tenant: Tenant, actor: Person | Actor) -> Change:
    match wish.get("do"):
        case "add_rule":
            return AddRule(wire_rule(services.draft_rule(actor=actor, **rule_fields(wish, tenant))))
        case "remove_rule":
            return RemoveRule(wire_rule(_rule_of(wish, tenant.id)))
    raise WrongInput("A change adds a rule or removes one.")


def rule_fields(wish: Wish, tenant: Tenant) -> dict[str, Any]:
    """As ``services.add_rule`` takes them, but for actor and incident."""
    return {
        "tenant_id": tenant.id,
        "kind": wish.get("kind", ""),
        "match": wish.get("match", ""),
        "value": wish.get("value", ""),
        "recipient": wish.get("recipient", ""),
        "action": wish.get("action", ""),
        "beats_threats": bool(wish.get("beats_threats", False)),
        "reason": wish.get("reason") or "Rehearsed",
        "expires_at": _end(wish),
    }


def _end(wish: Wish) -> datetime | None:
    if wish.get("expires_at"):
        return datetime.fromisoformat(wish["expires_at"])
    days = int(wish.get("days") or 0)
    return timezone.now() + timedelta(days=days) if days else None


def _rule_of(wish: Wish, tenant_id: int) -> GatewayRule:
    rule_id = as_uuid(str(wish.get("rule_id")))
    kept = GatewayRule.objects.filter(services.rules_in_force(), tenant_id=tenant_id)
    rule = kept.filter(id=rule_id).first() if rule_id else None
    if rule is None:
        raise NotThere
    return rule


@transaction.atomic
def save_change(
    *,
    rehearsals: Sequence[Rehearsal],
    actor: Person | Actor,
    reason: str,
    despite: bool = False,
    pull_delivered: bool = False,
    incident_id: UUID | None = None,
) -> list[GatewayRule]:
    """Make the change for every client of the batch; answers the rules made or removed.

    Raises ``Conflict`` for a forecast that is old or already saved, ``Objections`` where it has
    any, unless ``despite``; ``WrongInput`` without a reason.  ``pull_delivered``: what a new block
    would have held is pulled from the mailboxes, one job a client.
    """
    if not reason.strip():
        raise WrongInput("Say why: the rule is shown with its reason.")
    locked = list(
        Rehearsal.objects.select_for_update(of=("self",))
        .select_related("tenant")
        .filter(id__in=[each.id for each in rehearsals])
        .order_by("id")
    )
    if not locked:
        raise NotThere
    check_savable(locked, despite=despite)
    rules = []
    for rehearsal in locked:
        rule = _make(rehearsal, actor, reason.strip(), incident_id)
        rehearsal.saved_at, rehearsal.saved_by, rehearsal.rule = timezone.now(), actor.name, rule
        rehearsal.save(update_fields=["saved_at", "saved_by", "rule"])
        if pull_delivered and rule.kind == GatewayRule.Kind.BLOCK:
            pull_what_it_would_have_held(rehearsal, rule, actor)
        rules.append(rule)
    return rules


def block_sender(
    *,
    tenant: Tenant,
    sender: str,
    reason: str,
    actor: Person | Actor,
    expires_at: datetime | None = None,
    incident_id: UUID | None = None,
    despite: bool = False,
) -> GatewayRule:
    """Hold all further mail of this sender, rehearsed as every new rule.

    Where it is blocked for as long already, that rule; where it ends earlier, the same until the
    new end: more is not held by it.  Raises as ``save_change`` does.
    """
    covered = services.block_of(tenant.id, sender)
    if covered is not None:
        return services.extend_block(
            rule=covered,
            reason=reason,
            actor=actor,
            expires_at=expires_at,
            incident_id=incident_id,
        )
    end = expires_at.isoformat() if expires_at else None
    wish = {"do": "add_rule", "kind": "block", "match": "sender", "value": sender}
    kept = rehearse_wish(wish={**wish, "expires_at": end}, tenants=[tenant], actor=actor)
    (rule,) = save_change(
        rehearsals=kept, actor=actor, reason=reason, despite=despite, incident_id=incident_id
    )
    return rule


def check_savable(rehearsals: Sequence[Rehearsal], *, despite: bool) -> None:
    """Raises ``Conflict`` or ``Objections``, as ``save_change`` does."""
    if any(each.saved_at for each in rehearsals):
        raise Conflict("This change has been made already.")
    if any(each.created_at < timezone.now() - FRESH_FOR for each in rehearsals):
        raise Conflict("This rehearsal is more than an hour old. Rehearse it again.")
    stops = [stop for each in rehearsals for stop in each.stops]
    if stops and not despite:
        raise Objections(stops)


def _make(
    rehearsal: Rehearsal, actor: Person | Actor, reason: str, incident_id: UUID | None
) -> GatewayRule:
    wish, tenant = rehearsal.change, rehearsal.tenant
    if wish["do"] == "add_rule":
        fields = {**rule_fields(wish, tenant), "reason": reason, "incident_id": incident_id}
        rule = services.add_rule(actor=actor, **fields)
    elif wish["do"] == "remove_rule":
        rule = _rule_of(wish, tenant.id)
        services.remove_rule(rule=rule, actor=actor, reason=reason)
    else:
        raise WrongInput("This rehearsal belongs to a change of a policy, which is made there.")
    write_audit(
        SAVED,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="rehearsal",
        object_id=rehearsal.id,
        reason=reason,
        rule=str(rule.id),
        despite=rehearsal.stops,
    )
    return rule


def pull_what_it_would_have_held(
    rehearsal: Rehearsal, rule: GatewayRule, actor: Person | Actor
) -> Job | None:
    """A new rule acts on the mail that came before it; None where none is within reach."""
    copies = Delivery.objects.filter(
        tenant_id=rehearsal.tenant_id, id__in=rehearsal.lists["newly_held"]
    )
    reach = copies_within_reach(copies)
    if not reach:
        return None
    return start_job(
        Job.Kind.PULL,
        "pull",
        reach,
        None,
        actor=actor,
        reason=f"The new rule would have held them: {rule.reason}",
        detail={"rule": str(rule.id), "rehearsal": str(rehearsal.id)},
    )
