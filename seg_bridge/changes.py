"""Changes at the gateway that are rehearsed first, and made only then.

A wish is plain JSON, as ``Rehearsal.change`` keeps it and the API takes it:

``{"do": "add_rule", "kind", "match", "value", "recipient", "action", "beats_threats",``
  ``"in_mailboxes", "days"``
  or ``"expires_at"``, or ``"no_end_because"``, ``"everywhere"`` or ``"group"}``
``{"do": "add_rules", "rules": {whose (rule_scopes.py): [what an entry is made of]}}``
``{"do": "remove_rule", "rule_id"}``

``everywhere`` and ``group``: one entry for several clients, rehearsed for each of them.
A change of a policy is asked for and made in policies/services.py.

``rehearse_wish`` keeps one ``Rehearsal`` for each client; ``save_change`` makes the change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.assessment import copies_within_reach
from incidents.layers import Objections
from incidents.models import Delivery, Job
from incidents.remediation import start_job
from seg_bridge import services
from seg_bridge.gate import policy as wire
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.rehearsal import (
    DAYS,
    AddRule,
    AddRules,
    Change,
    ClientForecast,
    RemoveRule,
    rehearse_each,
)
from seg_bridge.rule_scopes import (
    Owner,
    Wish,
    list_of,
    of_client,
    owner_of,
    share_of,
    touched_by,
)
from seg_bridge.snapshot import wire_rules
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.ids import as_uuid, new_id
from tenants.models import Person, Tenant

REHEARSED = "seg_bridge.change.rehearsed"
SAVED = "seg_bridge.change.saved"
# Mail flows on: an old forecast says little about a change that is made now.
FRESH_FOR = timedelta(hours=1)
LISTS = ("newly_held", "newly_delivered", "missed", "caught", "broken")


def rehearse_wish(
    *, wish: Wish, tenants: Collection[Tenant], actor: Person | Actor, days: int = DAYS
) -> list[Rehearsal]:
    """One kept rehearsal a client, in one batch.  Raises ``WrongInput`` or ``NotThere``."""
    tenants = touched_by(wish, tenants)
    if not tenants:
        raise WrongInput("Choose at least one client.")
    batch = new_id()
    forecast = rehearse_each(_changes(wish, tenants, actor), days=days)
    by_id = {tenant.id: tenant for tenant in tenants}
    kept = [
        keep_forecast(one, share_of(wish, by_id[one.tenant_id]), batch, forecast.days, actor)
        for one in forecast.clients
    ]
    first = kept[0]
    write_audit(
        REHEARSED,
        actor=actor,
        provider_id=next(iter(tenants)).provider_id,
        tenant_id=first.tenant_id if len(kept) == 1 else None,
        object_kind="rehearsal",
        object_id=first.id,
        wish=first.change if len(kept) == 1 else {"do": wish["do"]},
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


def _changes(wish: Wish, tenants: Collection[Tenant], actor: Person | Actor) -> dict[int, Change]:
    """Client → what would change for it.  Raises ``WrongInput``, ``NotThere`` …"""
    match wish.get("do"):
        case "add_rule":
            drafts = _drafts(wish, tenants, actor)
            return {
                tenant_id: AddRule(rule, in_mailboxes=drafts[tenant_id].in_mailboxes)
                for tenant_id, rule in zip(drafts, wire_rules([*drafts.values()]), strict=True)
            }
        case "add_rules":
            return {tenant.id: AddRules(_listed(wish, tenant, actor)) for tenant in tenants}
        case "remove_rule":
            return {
                tenant.id: RemoveRule(*wire_rules([_rule_of(wish, tenant.id)]))
                for tenant in tenants
            }
    raise WrongInput("A change adds entries or removes one.")


def _drafts(
    wish: Wish, tenants: Collection[Tenant], actor: Person | Actor
) -> dict[int, GatewayRule]:
    """One draft for each owner, however many clients it is for."""
    of: dict[Owner, GatewayRule] = {}
    for owner in dict.fromkeys(owner_of(wish, tenant.id) for tenant in tenants):
        of[owner] = services.draft_rule(actor=actor, **rule_fields(wish, owner))
    return {tenant.id: of[owner_of(wish, tenant.id)] for tenant in tenants}


def _listed(wish: Wish, tenant: Tenant, actor: Person | Actor) -> tuple[wire.GatewayRule, ...]:
    drafts = [
        services.draft_rule(actor=actor, **rule_fields(each, owner))
        for owner, each in list_of(wish, tenant)
    ]
    return tuple(wire_rules(drafts))


def rule_fields(wish: Wish, owner: Owner) -> services.RuleFields:
    """As ``services.add_rule`` takes them, but for actor and incident."""
    return {
        "tenant_id": owner.tenant_id,
        "group_id": owner.group_id,
        "kind": wish.get("kind", ""),
        "match": wish.get("match", ""),
        "value": wish.get("value", ""),
        "recipient": wish.get("recipient") or "",
        "action": wish.get("action") or "",
        "beats_threats": bool(wish.get("beats_threats", False)),
        "in_mailboxes": bool(wish.get("in_mailboxes", False)),
        "reason": wish.get("reason") or "Rehearsed",
        "expires_at": _end(wish),
        "no_end_because": wish.get("no_end_because") or "",
    }


def _end(wish: Wish) -> datetime | None:
    """None: the usual end, or none where the wish says why."""
    if wish.get("expires_at"):
        return datetime.fromisoformat(wish["expires_at"])
    days = int(wish.get("days") or 0)
    return timezone.now() + timedelta(days=days) if days else None


def _rule_of(wish: Wish, tenant_id: int) -> GatewayRule:
    rule_id = as_uuid(str(wish.get("rule_id")))
    kept = GatewayRule.objects.filter(services.rules_in_force(), of_client(tenant_id))
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
    added = _add_entries(locked, actor, reason.strip(), incident_id)
    rules: list[GatewayRule] = []
    for rehearsal in locked:
        made = _make(rehearsal, actor, reason.strip(), added[rehearsal.id], known=rules)
        rehearsal.saved_at, rehearsal.saved_by = timezone.now(), actor.name
        # The key holds the client: an entry for all clients is nobody's row.
        own = [rule for rule in made if rule.tenant_id == rehearsal.tenant_id]
        rehearsal.rule = own[0] if own else None
        rehearsal.save(update_fields=["saved_at", "saved_by", "rule"])
        if pull_delivered and any(rule.kind == GatewayRule.Kind.BLOCK for rule in made):
            pull_what_it_would_have_held(rehearsal, made[0], actor)
        rules += [rule for rule in made if rule not in rules]
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

    def extended() -> GatewayRule | None:
        covered = services.block_of(tenant.id, sender)
        if covered is None:
            return None
        return services.extend_block(
            rule=covered,
            reason=reason,
            actor=actor,
            expires_at=expires_at,
            incident_id=incident_id,
        )

    try:
        return extended() or _new_block(
            tenant, sender, reason, actor, expires_at, incident_id, despite=despite
        )
    except Conflict:  # somebody else made it at the same moment
        if (rule := extended()) is None:
            raise
        return rule


def _new_block(
    tenant: Tenant,
    sender: str,
    reason: str,
    actor: Person | Actor,
    expires_at: datetime | None,
    incident_id: UUID | None,
    *,
    despite: bool,
) -> GatewayRule:
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


def _add_entries(
    rehearsals: Sequence[Rehearsal], actor: Person | Actor, reason: str, incident_id: UUID | None
) -> dict[UUID, list[GatewayRule]]:
    """Rehearsal → its new entries; each is made once, for however many clients it is."""
    of = {each.id: _entries_of(each, reason, incident_id) for each in rehearsals}
    wanted = {owner: fields for entries in of.values() for owner, fields in entries.items()}
    listed = [(owner, fields) for owner in wanted for fields in wanted[owner]]
    rules = services.add_rules(actor=actor, listed=[fields for _, fields in listed])
    made: dict[Owner, list[GatewayRule]] = {owner: [] for owner in wanted}
    for (owner, _), rule in zip(listed, rules, strict=True):
        made[owner].append(rule)
    return {key: [rule for owner in entries for rule in made[owner]] for key, entries in of.items()}


def _entries_of(
    rehearsal: Rehearsal, reason: str, incident_id: UUID | None
) -> dict[Owner, list[services.RuleFields]]:
    """What the wish adds for this client; each line of a list has a reason of its own."""
    wish, tenant = rehearsal.change, rehearsal.tenant
    entries: dict[Owner, list[services.RuleFields]] = {}
    if wish["do"] == "add_rules":
        for owner, each in list_of(wish, tenant):
            entries.setdefault(owner, []).append(rule_fields(each, owner))
    elif wish["do"] == "add_rule":
        owner = owner_of(wish, tenant.id)
        fields = rule_fields(wish, owner)
        fields |= {"reason": reason, "incident_id": incident_id}
        entries[owner] = [fields]
    return entries


def _make(
    rehearsal: Rehearsal,
    actor: Person | Actor,
    reason: str,
    added: list[GatewayRule],
    *,
    known: Sequence[GatewayRule],
) -> list[GatewayRule]:
    """The entries made or removed for this client; ``added`` are hers, ``known`` the batch's so
    far.
    """
    wish, tenant = rehearsal.change, rehearsal.tenant
    if wish["do"] in ("add_rule", "add_rules"):
        made = added
    elif wish["do"] == "remove_rule":
        made = _remove(wish, tenant, actor, reason, known)
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
        rules=[str(rule.id) for rule in made],
        despite=rehearsal.stops,
    )
    return made


def _remove(
    wish: Wish,
    tenant: Tenant,
    actor: Person | Actor,
    reason: str,
    known: Sequence[GatewayRule],
) -> list[GatewayRule]:
    if known:
        return list(known)
    rule = _rule_of(wish, tenant.id)
    services.remove_rule(rule=rule, actor=actor, reason=reason)
    return [rule]


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
