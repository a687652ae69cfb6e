"""What people and other rooms ask of the gateway: gates, policies, rules, releases.

Every function runs in the caller's scope and transaction and acts by writing rows: gates ask for
news all the time and hold a rule within a second of its commit (seg_bridge/ingest).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Required, TypedDict, Unpack
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from incidents.models import Incident
from incidents.revoked import stop_allowing
from incidents.traces import NoTraceKey, active_trace_key, make_trace_key
from incidents.words import MatrixAction
from seg_bridge.directory_groups import named_group
from seg_bridge.gate.policy import normalise_address
from seg_bridge.models import Gate, GateClient, GatewayRule
from seg_bridge.rules import check_rule, normalise
from seg_bridge.snapshot import secret_place
from tenants.audit import BAILEY, Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.ids import new_id
from tenants.models import Domain, Person, Provider, Tenant
from tenants.people import must_lead
from tenants.scope import NoTenantScope, current_scope
from tenants.secrets import seal
from tenants.work import want_work, work_scope

SECRET_BYTES = 32
# As the gate itself takes them (seg_bridge/gate/settings.py); the database has 50 letters.
_GATE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,49}\Z")
_GATE_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
RULE_QUEUE = "policy"
# Who says nothing else gets an end: lists without ends only grow.
RULE_LASTS = timedelta(days=30)


def create_gate(
    *,
    provider: Provider,
    name: str,
    hostname: str,
    tenants: Iterable[Tenant],
    actor: Person | Actor,
    secret: bytes = b"",
) -> tuple[Gate, str]:
    """A gate and its secret in hex, which is shown this once (BAILEY_GATE_SECRET).

    ``secret`` b"": a fresh one is made.  The scope holds the provider and the clients.  Raises
    ``Conflict`` for a name in use.
    """
    secret = secret or secrets.token_bytes(SECRET_BYTES)
    if len(secret) < SECRET_BYTES:
        raise WrongInput(f"A gate's secret has at least {SECRET_BYTES} bytes.")
    if not _GATE_NAME.match(name):
        raise WrongInput("A gate's name has small letters, digits and hyphens, as in mx1.")
    if not _GATE_HOST.match(hostname):
        raise WrongInput(f"“{hostname}” is not a host's name. It should look like mx1.example.com.")
    if Gate.objects.filter(name=name).exists():
        raise Conflict(f"There is already a gate called {name}.")
    gate = Gate(id=new_id(), provider=provider, name=name, hostname=hostname)
    gate.sealed_secret = seal(secret, place=secret_place(gate.id))
    gate.save(force_insert=True)
    try:
        active_trace_key(provider.id)
    except NoTraceKey:
        make_trace_key(provider_id=provider.id)
    write_audit(
        "seg_bridge.gate.created",
        actor=actor,
        provider_id=provider.id,
        object_kind="gate",
        object_id=gate.id,
        name=name,
        hostname=hostname,
    )
    for tenant in tenants:
        serve_client(gate=gate, tenant=tenant, actor=actor)
    return gate, secret.hex()


def serve_client(*, gate: Gate, tenant: Tenant, actor: Person | Actor) -> None:
    """From now on this gate takes mail for that client, and may speak for it."""
    if gate.provider_id != tenant.provider_id:
        raise WrongInput(f"{gate.name} belongs to another provider.")
    _, is_new = GateClient.objects.get_or_create(tenant_id=tenant.id, gate=gate)
    if is_new:
        write_audit(
            "seg_bridge.gate.client_added",
            actor=actor,
            provider_id=tenant.provider_id,
            tenant_id=tenant.id,
            object_kind="gate",
            object_id=gate.id,
            name=gate.name,
        )


def rules_in_force() -> Q:
    """For ``GatewayRule.objects.filter``: neither removed nor past its end."""
    return Q(removed_at=None) & (Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


class RuleFields(TypedDict, total=False):
    """What an entry is made of.

    ``tenant_id`` None: for all clients of the scope's provider, or of ``group_id``.  ``action`` "":
    the kind's own, a block holds, an allow delivers.  ``recipient`` "" means every mailbox,
    ``@acme.example`` those of a domain, ``group:Finance`` those of a group of the client's
    directory.  ``expires_at`` None: after ``RULE_LASTS``, never with
    ``no_end_because``.  ``in_mailboxes``: the mailbox layer follows it too.
    """

    tenant_id: Required[int | None]
    kind: Required[str]
    match: Required[str]
    value: Required[str]
    reason: Required[str]
    group_id: UUID | None
    action: str
    recipient: str
    expires_at: datetime | None
    no_end_because: str
    beats_threats: bool
    in_mailboxes: bool
    incident_id: UUID | None


def add_rule(*, actor: Person | Actor, **fields: Unpack[RuleFields]) -> GatewayRule:
    """One allow or block entry; gates follow it within seconds.

    Raises ``WrongInput``, ``NotAllowed`` (for all clients or a group, or one that lets threats
    pass: a lead's), or ``Conflict`` where the same entry is in force, also where two people make
    it at the same moment.
    """
    (rule,) = add_rules(actor=actor, listed=[fields])
    return rule


def add_rules(*, actor: Person | Actor, listed: Iterable[RuleFields]) -> list[GatewayRule]:
    """All entries of a list or none, in the list's order.  Raises as ``add_rule`` does.

    Rows are locked in one order, the entries as ``_place`` has them and then the clients' work: of
    two lists with the same entries the second waits for the first, neither for the other.
    """
    drafts = [draft_rule(actor=actor, **fields) for fields in listed]
    ends: dict[int, datetime] = {}
    for rule in sorted(drafts, key=_place):
        _store(rule, actor)
        if rule.expires_at is not None:
            # An entry of the provider's is retired by any one of its clients.
            tenant_id = rule.tenant_id or current_scope().tenant_ids[0]
            ends[tenant_id] = min(rule.expires_at, ends.get(tenant_id, rule.expires_at))
    for tenant_id in sorted(ends):
        want_work(tenant_id, RULE_QUEUE, at=ends[tenant_id])
    return drafts


def _store(rule: GatewayRule, actor: Person | Actor) -> None:
    _retire(_same_as(rule).filter(expires_at__lte=timezone.now()))
    try:
        with transaction.atomic():
            rule.save(force_insert=True)
    except IntegrityError as error:
        if (same := _same_as(rule).first()) is None:
            raise
        raise _made_before(same) from error
    _audit_rule("seg_bridge.rule.added", rule, actor=actor, reason=rule.reason)


def draft_rule(*, actor: Person | Actor, **fields: Unpack[RuleFields]) -> GatewayRule:
    """The checked entry as ``add_rule`` would store it; nothing is written.  Raises as it does."""
    by_kind = {"allow": MatrixAction.DELIVER, "block": MatrixAction.HOLD}
    kind, no_end = fields["kind"], fields.get("no_end_because", "").strip()
    expires_at = fields.get("expires_at")
    provider_id = _provider_id(fields["tenant_id"])
    group = named_group(fields["tenant_id"], fields.get("recipient", ""))
    rule = GatewayRule(
        provider_id=provider_id,
        tenant_id=fields["tenant_id"],
        group_id=fields.get("group_id"),
        kind=kind,
        match=fields["match"],
        value=normalise(fields["match"], fields["value"]),
        recipient="" if group else normalise_address(fields.get("recipient", "")),
        mailbox_group=group,
        action=fields.get("action", "") or by_kind.get(kind, ""),
        beats_threats=fields.get("beats_threats", False),
        in_mailboxes=fields.get("in_mailboxes", False),
        incident_id=fields.get("incident_id"),
        owner_id=actor.id,
        owner_name=actor.name,
        reason=fields["reason"].strip(),
        expires_at=None if no_end else expires_at or timezone.now() + RULE_LASTS,
        no_end_because=no_end,
    )
    if rule.tenant_id is None:
        must_lead(actor)
    _check_new(rule)
    # Of one mail she who may release it may say so; here nobody has looked at what will come.
    if rule.beats_threats and rule.match != GatewayRule.Match.MAIL:
        must_lead(actor, "A lead makes an entry that lets malware and phishing pass.")
    return rule


def _provider_id(tenant_id: int | None) -> int:
    """Raises ``NotThere`` for a client that is not in sight."""
    if tenant_id is not None:
        return _access_tenant(tenant_id).provider_id
    provider_id = current_scope().provider_id
    if provider_id is None:
        raise NoTenantScope("What holds for all clients is written in a scope of the provider.")
    return provider_id


def remove_rule(*, rule: GatewayRule, actor: Person | Actor, reason: str) -> None:
    """The entry no longer counts; its row stays.  Removing it twice changes nothing.

    Raises ``NotAllowed``: one for all clients or a group is a lead's.
    """
    if rule.tenant_id is None:
        must_lead(actor)
    changed = GatewayRule.objects.filter(id=rule.id, removed_at=None).update(
        removed_at=timezone.now()
    )
    if changed:
        _audit_rule("seg_bridge.rule.removed", rule, actor=actor, reason=reason)
        if rule.in_mailboxes and rule.tenant is not None:
            stop_allowing(rule.tenant, rule.id, actor)


def block_of(tenant_id: int, sender: str) -> GatewayRule | None:
    """The block of this sender for the whole client that is in force."""
    return (
        GatewayRule.objects.filter(
            rules_in_force(),
            tenant_id=tenant_id,
            kind=GatewayRule.Kind.BLOCK,
            match=GatewayRule.Match.SENDER,
            value=normalise(GatewayRule.Match.SENDER, sender),
            recipient="",
            mailbox_group=None,
        )
        .order_by("created_at")
        .last()
    )


def extend_block(
    *,
    rule: GatewayRule,
    reason: str,
    actor: Person | Actor,
    expires_at: datetime | None,
    incident_id: UUID | None,
) -> GatewayRule:
    """The same block until a later end; where it lasts as long already, that rule.

    ``expires_at`` None: after ``RULE_LASTS``.
    """
    expires_at = expires_at or timezone.now() + RULE_LASTS
    if _lasts(rule.expires_at, expires_at):
        return rule
    remove_rule(rule=rule, actor=actor, reason="replaced by one that lasts longer")
    return add_rule(
        tenant_id=rule.tenant_id,
        kind=rule.kind,
        match=rule.match,
        value=rule.value,
        action=rule.action,
        reason=reason,
        actor=actor,
        expires_at=expires_at,
        incident_id=incident_id,
    )


def retire_expired_rules(claimed: ClaimedWork) -> datetime | None:
    """Close the client's rules that are past their end; answers when the next one ends.

    The gate ends a rule by its own clock; this is for the list that people see, and the audit log.
    """
    with work_scope(claimed):
        kept = GatewayRule.objects.filter(
            Q(tenant_id=claimed.tenant_id) | Q(tenant_id=None), removed_at=None
        )
        _retire(kept.filter(expires_at__lte=timezone.now()))
        ends = kept.exclude(expires_at=None).order_by("expires_at")
        return ends.values_list("expires_at", flat=True).first()


def _retire(past: QuerySet[GatewayRule]) -> None:
    for rule in sorted(past, key=_place):
        if past.filter(id=rule.id).update(removed_at=timezone.now()):
            _audit_rule("seg_bridge.rule.expired", rule, actor=BAILEY, reason="")


def _access_tenant(tenant_id: int) -> Tenant:
    tenant = Tenant.objects.filter(id=tenant_id).first()
    if tenant is None:
        raise NotThere
    return tenant


def _check_new(rule: GatewayRule) -> None:
    """Raises ``WrongInput``, ``NotThere`` or ``Conflict``."""
    # Of an entry for several clients, no client's may be allowed to be forged: others may join.
    domains = Domain.objects.filter(tenant_id=rule.tenant_id) if rule.tenant_id else Domain.objects
    names = domains.values_list("name", flat=True)
    check_rule(rule, own_domains={normalise_address(f"@{name}")[1:] for name in names})
    if rule.incident_id is not None:
        own = Incident.objects.filter(Q(tenant_id=rule.tenant_id), id=rule.incident_id)
        if not own.exists():
            raise NotThere
    if (same := _same_as(rule).filter(rules_in_force()).first()) is not None:
        raise _made_before(same)


def _same_as(rule: GatewayRule) -> QuerySet[GatewayRule]:
    """What nobody has removed and says the same, as the database has it once (``rule_once``)."""
    return GatewayRule.objects.filter(
        Q(tenant_id=rule.tenant_id, group_id=rule.group_id),
        provider_id=rule.provider_id,
        kind=rule.kind,
        match=rule.match,
        value=rule.value,
        recipient=rule.recipient,
        mailbox_group=rule.mailbox_group,
        removed_at=None,
    )


def _place(rule: GatewayRule) -> tuple[int | str, ...]:
    """What is for several clients first, then client by client, each by what ``rule_once`` has."""
    return (
        rule.tenant_id or 0,
        str(rule.group_id or ""),
        *(rule.kind, rule.match, rule.value, rule.recipient),
        str(rule.mailbox_group_id or ""),
    )


def _made_before(same: GatewayRule) -> Conflict:
    return Conflict(f"{same.owner_name} made this rule on {same.created_at:%d %B %Y at %H:%M}.")


def _lasts(expires_at: datetime | None, wanted: datetime) -> bool:
    return expires_at is None or expires_at >= wanted


def _audit_rule(action: str, rule: GatewayRule, *, actor: Person | Actor, reason: str) -> None:
    write_audit(
        action,
        actor=actor,
        provider_id=rule.provider_id,
        tenant_id=rule.tenant_id,
        object_kind="gateway_rule",
        object_id=rule.id,
        reason=reason,
        kind=rule.kind,
        match=rule.match,
        value=rule.value,
        recipient=rule.recipient,
        group=str(rule.group_id) if rule.group_id else None,
        mailbox_group=str(rule.mailbox_group_id) if rule.mailbox_group_id else None,
        in_mailboxes=rule.in_mailboxes,
        action_taken=rule.action,
        expires_at=rule.expires_at.isoformat() if rule.expires_at else None,
        no_end_because=rule.no_end_because,
    )
