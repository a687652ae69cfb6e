"""Changes of policies: asked for at one level, rehearsed, looked at, made.

``ask_change``     a kept ``PolicyChange`` with its forecast; nothing else is written
``make_change``    the level states it from now on; gates follow within seconds
``save_template``  a provider's own template
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from seg_bridge.changes import FRESH_FOR, check_savable, keep_forecast
from seg_bridge.models import PolicyChange, PolicyLayer, PolicyTemplate, Rehearsal
from seg_bridge.policies.effective import Layer, Level, differences, stated
from seg_bridge.policies.keys import (
    Value,
    WrongValue,
    check_keys,
    check_values,
)
from seg_bridge.policies.layers import Layers, Target, layer_of, name_of
from seg_bridge.policies.leads import loosened
from seg_bridge.policies.templates import BAILEYS, Template
from seg_bridge.rehearsal import ChangePolicy, rehearse
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, NotAllowed, NotThere, WrongInput
from tenants.groups import members_of
from tenants.ids import new_id
from tenants.models import GroupMember, MailboxGroupMember, Person, Tenant
from tenants.people import must_lead

REHEARSED = "seg_bridge.policy.rehearsed"
CHANGED = "seg_bridge.policy.changed"
TEMPLATE_SAVED = "seg_bridge.policy_template.saved"
TEMPLATE_REMOVED = "seg_bridge.policy_template.removed"
MAX_REASON_CHARS = 500


class NothingToChange(WrongInput):
    code = "nothing_to_change"

    def __init__(self) -> None:
        super().__init__("Nothing would change: the policy says so already.")


def chain_rows(target: Target) -> list[PolicyLayer]:
    """The layers that the target inherits from, and its own; in no order."""
    provider, tenant, domain = target.provider, target.tenant, target.domain
    wanted = [Target(provider=provider), target]
    wanted += [Target(provider=provider, tenant=tenant)] if tenant else []
    wanted += [Target(provider=provider, tenant=tenant, domain=domain)] if domain else []
    found = PolicyLayer.objects.none()
    for each in wanted:
        found |= PolicyLayer.objects.filter(**each.row_key)
    if tenant:
        groups = GroupMember.objects.filter(tenant=tenant).values("group")
        found |= PolicyLayer.objects.filter(level=Level.GROUP, group__in=groups)
    if tenant and target.mailbox:
        theirs = MailboxGroupMember.objects.filter(
            tenant=tenant, mailbox=target.mailbox, group__gone_at=None
        ).values("group")
        found |= PolicyLayer.objects.filter(tenant=tenant, mailbox_group__in=theirs)
    return list(
        found.select_related("provider", "group", "tenant", "domain", "mailbox", "mailbox_group")
    )


def own_row(target: Target) -> PolicyLayer | None:
    return PolicyLayer.objects.filter(**target.row_key).first()


def target_of(change: PolicyChange) -> Target:
    mailbox = change.mailbox
    return Target(
        provider=change.provider,
        group=change.group,
        tenant=change.tenant,
        domain=mailbox.domain if mailbox else change.domain,
        directory=change.mailbox_group,
        mailbox=mailbox,
    )


@transaction.atomic
def ask_change(
    *,
    target: Target,
    version: int,
    actor: Person | Actor,
    states: Mapping[str, Any] | None = None,
    inherits: Iterable[str] = (),
    template: str = "",
) -> PolicyChange:
    """Rehearse what this level would state; the answer is kept for the decision.

    ``version``: of the layer that the person has seen, 0 for none.  ``template`` "": none, else the
    level states its values and nothing besides; ``states`` then count on top.  Raises
    ``WrongInput`` (also where nothing would change), ``Conflict`` where somebody changed the level
    meanwhile, ``NotAllowed`` where it is a lead's: a level for all clients or a group, and what
    ``leads.py`` names.
    """
    _check_may_change(target, actor)
    row = own_row(target)
    if version != (row.version if row else 0):
        raise _changed_meanwhile(target, row)
    layer = layer_of(row, target.name) if row else Layer(target.level, target.name)
    wanted, given_back = _wish(layer, target, dict(states or {}), set(inherits), template)
    if not wanted and not given_back:
        raise NothingToChange
    changed = stated(layer, states=wanted, inherits=given_back, by=actor.name)
    _check_may_loosen(target, changed, actor)
    change: PolicyChange = PolicyChange(
        **target.row_key,
        states=wanted,
        inherits=sorted(given_back),
        template=template,
        seen={str(each.id): each.version for each in chain_rows(target)},
        asked_by_id=actor.id,
        asked_by=actor.name,
    )
    _rehearse(change, target, changed, actor)
    change.save(force_insert=True)
    write_audit(
        REHEARSED,
        actor=actor,
        **_of(change),
        states=change.states,
        inherits=change.inherits,
        template=template,
    )
    return change


def _check_may_change(target: Target, actor: Person | Actor) -> None:
    if target.tenant is None:
        must_lead(actor)


def _check_may_loosen(target: Target, changed: Layer, actor: Person | Actor) -> None:
    """Raises ``NotAllowed``; who asked for a push is looked up, for a worker has her name only."""
    if target.tenant is None:  # a lead's, whatever it says
        return
    layers = Layers([target.tenant.id])
    found = loosened(
        layers.chain_of(target),
        layers.replaced(target, changed).chain_of(target),
        passed_over=layers.passed_over(target),
    )
    if not found:
        return
    sentence = f"A lead {found[0]}."
    if isinstance(actor, Person):
        must_lead(actor, sentence)
    elif actor.id is not None and not _is_a_lead(actor.id):
        raise NotAllowed(sentence)


def _is_a_lead(person_id: UUID) -> bool:
    return Person.objects.filter(id=person_id, role=Person.Role.LEAD, is_active=True).exists()


def _wish(
    layer: Layer, target: Target, states: dict[str, Any], inherits: set[str], template: str
) -> tuple[dict[str, Value], set[str]]:
    """What the layer does not say yet, and what it would no longer say.  Raises ``WrongInput``."""
    if template:
        values = find_template(target.provider.id, template).values
        states = {**values, **states}
        inherits = set(layer.values) - set(states)
    if inherits & set(states):
        raise WrongInput("A value is either stated or inherited.")
    try:
        wanted = check_values(states)
        check_keys(inherits)
    except WrongValue as error:
        raise WrongInput(str(error)) from error
    wanted = {
        key: value
        for key, value in wanted.items()
        if key not in layer.values or layer.values[key].value != value
    }
    return wanted, inherits & set(layer.values)


def _rehearse(change: PolicyChange, target: Target, changed: Layer, actor: Person | Actor) -> None:
    """Gives the change its differences, and its batch where mail would be treated otherwise."""
    tenant_ids = clients_of(target)
    layers = Layers(tenant_ids)
    after = layers.replaced(target, changed)
    found = differences(layers.chain_of(target), after.chain_of(target))
    change.differences = [each.as_json() for each in found]
    forecast = rehearse(ChangePolicy(after), tenant_ids)
    batch = new_id()
    wish = {"do": "change_policy", "policy_change": str(change.id)}
    for one in forecast.clients:
        keep_forecast(one, wish, batch, forecast.days, actor)
    change.batch = batch if forecast.clients else None


def clients_of(target: Target) -> list[int]:
    """Whose mail may be treated otherwise.  Raises ``WrongInput`` for a group without clients."""
    if target.tenant:
        return [target.tenant.id]
    if target.group is None:
        return list(Tenant.objects.filter(provider=target.provider).values_list("id", flat=True))
    found = members_of(target.group.id)
    if not found:
        raise WrongInput(f"Put clients into {target.name} first: there is nothing to rehearse.")
    return found


@transaction.atomic
def make_change(
    *, change: PolicyChange, actor: Person | Actor, reason: str, despite: bool = False
) -> PolicyLayer:
    """The level states it from now on.

    Raises ``WrongInput`` without a reason; ``NotAllowed`` as ``ask_change`` does; ``Conflict`` for
    a forecast that is old, a change that was made, or a level that somebody changed meanwhile;
    ``Objections`` unless ``despite``.
    """
    if not reason.strip():
        raise WrongInput("Say why: the reason stands at every value that changes.")
    locked = PolicyChange.objects.select_for_update(of=("self",)).get(id=change.id)
    target = target_of(locked)
    _check_may_change(target, actor)
    if locked.state != PolicyChange.State.REHEARSED:
        raise Conflict("This change has been made already.")
    if locked.created_at < timezone.now() - FRESH_FOR:
        raise Conflict("This was rehearsed more than an hour ago. Rehearse it again.")
    _check_unchanged(locked, target)
    _check_may_loosen(target, layer_after(locked, target), actor)
    rehearsals = list(Rehearsal.objects.filter(batch=locked.batch)) if locked.batch else []
    check_savable(rehearsals, despite=despite)
    row = _write(locked, target, actor, reason.strip()[:MAX_REASON_CHARS])
    _close(locked, rehearsals, actor, reason.strip())
    return row


def layer_after(change: PolicyChange, target: Target) -> Layer:
    """What the level would state by this change, as the level stands now."""
    row = own_row(target)
    now = layer_of(row, target.name) if row else Layer(target.level, target.name)
    return stated(now, states=change.states, inherits=change.inherits, by=change.asked_by)


def _write(change: PolicyChange, target: Target, actor: Person | Actor, reason: str) -> PolicyLayer:
    row = PolicyLayer.objects.select_for_update(of=("self",)).filter(**target.row_key).first()
    if change.seen.get(str(row.id) if row else "", 0) != (row.version if row else 0):
        raise _changed_meanwhile(target, row)
    before = layer_of(row, target.name) if row else Layer(target.level, target.name)
    after = stated(
        before,
        states=change.states,
        inherits=change.inherits,
        by=actor.name,
        at=timezone.now().isoformat(),
        reason=reason,
    )
    row = row or PolicyLayer(**target.row_key, version=0)
    row.stated = {key: one.as_json() for key, one in after.values.items()}
    row.version += 1
    row.template = change.template or row.template
    row.changed_by = actor.name
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:  # both began with a level that stated nothing
        raise _changed_meanwhile(target, None) from error
    write_audit(
        CHANGED,
        actor=actor,
        **_of(change),
        reason=reason,
        level=change.level,
        of=target.name,
        before={key: one.value for key, one in before.values.items()},
        after={key: one.value for key, one in after.values.items()},
        template=change.template,
    )
    return row


def _close(
    change: PolicyChange, rehearsals: list[Rehearsal], actor: Person | Actor, reason: str
) -> None:
    now = timezone.now()
    change.state, change.made_at, change.made_by = PolicyChange.State.MADE, now, actor.name
    change.reason = reason
    change.despite = [stop for each in rehearsals for stop in each.stops]
    change.save(update_fields=["state", "made_at", "made_by", "reason", "despite"])
    ids = [each.id for each in rehearsals]
    Rehearsal.objects.filter(id__in=ids).update(saved_at=now, saved_by=actor.name)


def _of(change: PolicyChange) -> dict[str, Any]:
    return {
        "provider_id": change.provider_id,
        "tenant_id": change.tenant_id,
        "object_kind": "policy_change",
        "object_id": change.id,
    }


def _check_unchanged(change: PolicyChange, target: Target) -> None:
    """Of the whole chain: what was shown as inherited must still be so.  Raises ``Conflict``."""
    rows = chain_rows(target)
    for row in rows:
        if change.seen.get(str(row.id)) != row.version:
            raise _changed_meanwhile(target, row)
    if len(rows) != len(change.seen):
        raise _changed_meanwhile(target, None)


def _changed_meanwhile(target: Target, row: PolicyLayer | None) -> Conflict:
    if row is None:
        return Conflict("This policy is not as it was when you looked. Look at it again.")
    when = f"{row.changed_at:%d %B %Y at %H:%M} UTC"
    return Conflict(
        f"{row.changed_by} changed the policy of {name_of(row)} meanwhile, on {when}. Look at it"
        " again; nothing was overwritten."
    )


def templates_for(provider_id: int) -> list[Template]:
    """Bailey's own first, then the provider's by name."""
    own = PolicyTemplate.objects.filter(provider_id=provider_id).order_by("name")
    return [*BAILEYS, *(Template(row.name, row.words, row.values) for row in own)]


def find_template(provider_id: int, name: str) -> Template:
    found = next((each for each in templates_for(provider_id) if each.name == name), None)
    if found is None:
        raise NotThere
    return found


def save_template(
    *, provider_id: int, name: str, words: str, values: Mapping[str, Any], actor: Person | Actor
) -> PolicyTemplate:
    """A new one, or another content for one of this name.  Levels that it was applied to stay as
    they are.  Raises ``NotAllowed`` or ``WrongInput``.
    """
    must_lead(actor)
    name = name.strip()
    if not name or len(name) > 100:
        raise WrongInput("A template has a name of up to 100 characters.")
    if name.casefold() in {each.name.casefold() for each in BAILEYS}:
        raise WrongInput(f"{name} is one of Bailey's own templates. Choose another name.")
    try:
        checked = check_values(values)
    except WrongValue as error:
        raise WrongInput(str(error)) from error
    if not checked:
        raise WrongInput("A template states at least one value.")
    row, _ = PolicyTemplate.objects.update_or_create(
        provider_id=provider_id,
        name=name,
        defaults={"words": words.strip()[:300], "values": checked, "changed_by": actor.name},
    )
    write_audit(
        TEMPLATE_SAVED,
        actor=actor,
        provider_id=provider_id,
        object_kind="policy_template",
        object_id=row.id,
        name=name,
        values=checked,
    )
    return row


def remove_template(*, template: PolicyTemplate, actor: Person | Actor) -> None:
    """What it was applied to stays as it is.  Raises ``NotAllowed``."""
    must_lead(actor)
    write_audit(
        TEMPLATE_REMOVED,
        actor=actor,
        provider_id=template.provider_id,
        object_kind="policy_template",
        object_id=template.id,
        name=template.name,
        values=template.values,
    )
    template.delete()
