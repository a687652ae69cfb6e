"""Compiles the policy snapshot that a gate follows, from the tenant model.

``current_snapshot(gate)``   the content that is true now, with its version
``sign_for(gate, content)``  what ``/gate/commands`` answers

The version is a hash of the content alone.  Compiling reads every recipient of the gate's clients,
so it is done only when the *stamp* of the rows has changed; the stamp is one query.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db import connection
from django.utils import timezone

from incidents.traces import active_trace_key, trace_keys
from incidents.words import MatrixAction
from seg_bridge.directory_groups import addresses_in
from seg_bridge.gate import policy as wire
from seg_bridge.gate.signing import canonical_json
from seg_bridge.gate.treatment import Treatment
from seg_bridge.gate.ways import HopTls
from seg_bridge.models import GatewayRule
from seg_bridge.outbound.compiling import OUTBOUND_ROWS, outbound_of
from seg_bridge.policies.effective import treatment_of, values_of
from seg_bridge.policies.layers import Layers
from seg_bridge.rule_scopes import Members, shared_rules_of
from tenants.doors import ask
from tenants.models import Domain, Mailbox, Tenant
from tenants.secrets import unseal

VERSION_CHARS = 32


@dataclass(frozen=True, slots=True)
class KnownGate:
    """A gate as its door tells it: who it is, and for which clients it may speak."""

    gate_id: UUID
    provider_id: int
    name: str
    hostname: str
    secret: bytes
    tenant_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """A compiled snapshot without its time; ``stamp`` names the rows it was made from.

    ``sections``: client → a digest of what is said of it.
    """

    stamp: str
    version: str
    data: dict[str, Any]
    sections: Mapping[int, str] = field(default_factory=dict)


# One content per gate, whatever thread asks; the worst of a race is compiling twice.
_compiled: dict[UUID, Content] = {}


def secret_place(gate_id: UUID) -> str:
    return f"seg_bridge_gate.sealed_secret/{gate_id}"


def find_gate(name: str) -> KnownGate | None:
    """The gate of this name, asked through its door; needs no scope."""
    answer = ask("door_gate", name)
    if answer is None:
        return None
    gate_id = UUID(answer["gate_id"])
    sealed = bytes.fromhex(answer["sealed_secret"])
    return KnownGate(
        gate_id=gate_id,
        provider_id=answer["provider_id"],
        name=answer["name"],
        hostname=answer["hostname"],
        secret=unseal(sealed, place=secret_place(gate_id)),
        tenant_ids=tuple(answer["tenant_ids"]),
    )


def current_snapshot(gate: KnownGate) -> Content:
    """What the gate should follow now.

    Must run in a worker scope of the gate's clients and provider.  The stamp is read before the
    rows, so a change in between makes the next call compile again.
    """
    stamp = _stamp(gate)
    known = _compiled.get(gate.gate_id)
    if known is not None and known.stamp == stamp:
        return known
    data = _compile(gate)
    version = _digest(data)
    sections = {each["tenant_id"]: _section_digest(each) for each in data["tenants"]}
    content = Content(stamp, version, data, sections)
    _compiled[gate.gate_id] = content
    return content


def section_of(tenant_id: int) -> str:
    """The digest of what a gate should follow for this client now; needs only its rows."""
    (policy,) = _tenants([tenant_id], gate_secret=None)
    return _section_digest(policy.as_json())


def _section_digest(policy: dict[str, Any]) -> str:
    """The same for every gate: private keys are sealed for each."""
    if outbound := policy.get("outbound"):
        keys = [{**key, "sealed": ""} for key in outbound["keys"]]
        policy = {**policy, "outbound": {**outbound, "keys": keys}}
    return _digest(policy)


def _digest(data: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(data)).hexdigest()[:VERSION_CHARS]


def note_in_force(gate: KnownGate, version: str) -> None:
    """The gate says that it follows this version: where it is today's, each client's share of it
    is in force there.  Must run in the gate's worker scope.
    """
    content = current_snapshot(gate)
    if content.version != version or not content.sections:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE seg_bridge_gateclient AS link SET in_force = told.digest, in_force_at = now()"
            " FROM unnest(%s::bigint[], %s::text[]) AS told (tenant_id, digest)"
            " WHERE link.gate_id = %s AND link.tenant_id = told.tenant_id"
            " AND link.in_force <> told.digest",
            [list(content.sections), list(content.sections.values()), gate.gate_id],
        )


def sign_for(gate: KnownGate, content: Content, *, at: datetime) -> dict[str, Any]:
    """The signed snapshot.  ``at`` is the database's clock when the content was seen to be true:
    a gate never goes back in time, and a change that is taken back must still count as newer.
    """
    data = {**content.data, "version": content.version, "made_at": at.isoformat()}
    return wire.sign_snapshot(data, gate.secret)


# xmin changes with every write of a row and the count with every removal: together they name the
# state of the rows without reading their values.
_NAMED_GROUPS = (
    "SELECT mailbox_group_id FROM seg_bridge_gatewayrule"
    " WHERE tenant_id = ANY(%(ids)s) AND removed_at IS NULL AND mailbox_group_id IS NOT NULL"
    " UNION SELECT mailbox_group_id FROM seg_bridge_policylayer"
    " WHERE tenant_id = ANY(%(ids)s) AND mailbox_group_id IS NOT NULL"
)
_STAMP = "SELECT concat_ws(' ', {})".format(
    ", ".join(
        f"(SELECT count(*) || '/' || coalesce(sum(xmin::text::bigint), 0) FROM {rows})"  # noqa: S608 - fixed names
        for rows in (
            "tenants_tenant WHERE id = ANY(%(ids)s)",
            "tenants_domain WHERE tenant_id = ANY(%(ids)s)",
            "tenants_mailbox WHERE tenant_id = ANY(%(ids)s)",
            "tenants_groupmember WHERE tenant_id = ANY(%(ids)s)",
            f"tenants_mailboxgroup WHERE tenant_id = ANY(%(ids)s) AND id IN ({_NAMED_GROUPS})",
            "tenants_mailboxgroupmember WHERE tenant_id = ANY(%(ids)s)"
            f" AND group_id IN ({_NAMED_GROUPS})",
            "seg_bridge_policylayer WHERE tenant_id = ANY(%(ids)s)"
            " OR (tenant_id IS NULL AND provider_id = %(provider)s)",
            *OUTBOUND_ROWS,
            "seg_bridge_gatewayrule WHERE (tenant_id = ANY(%(ids)s)"
            " OR (tenant_id IS NULL AND provider_id = %(provider)s)) AND removed_at IS NULL",
            "incidents_tracekey WHERE provider_id = %(provider)s",
        )
    )
)


def _stamp(gate: KnownGate) -> str:
    with connection.cursor() as cursor:
        cursor.execute(_STAMP, {"ids": list(gate.tenant_ids), "provider": gate.provider_id})
        row = cursor.fetchone()
    return f"{gate.hostname} {gate.tenant_ids} {row[0]}"


def _compile(gate: KnownGate) -> dict[str, Any]:
    """The snapshot's JSON without ``version`` and ``made_at``."""
    active, _ = active_trace_key(gate.provider_id)
    snapshot = wire.PolicySnapshot(
        version="",
        made_at=timezone.now(),
        gate=gate.name,
        authserv_id=gate.hostname,
        trace_keys={name: key.hex() for name, key in trace_keys(gate.provider_id).items()},
        active_trace_key=active,
        tenants=tuple(_tenants(gate.tenant_ids, gate_secret=gate.secret)),
    )
    data = snapshot.as_json()
    del data["version"], data["made_at"]
    return data


def _tenants(
    tenant_ids: Collection[int], *, gate_secret: bytes | None
) -> Iterable[wire.TenantPolicy]:
    domains = _domains(tenant_ids)
    outbound = outbound_of(tenant_ids, gate_secret=gate_secret)
    for policy in policies_of(tenant_ids):
        yield replace(
            policy,
            domains=tuple(domains[policy.tenant_id]),
            outbound=outbound.get(policy.tenant_id),
        )


def policies_of(
    tenant_ids: Collection[int], *, layers: Layers | None = None, members: Members | None = None
) -> Iterable[wire.TenantPolicy]:
    """What each client wants and her entries, as a gate would be told; without routes.

    ``layers``: as if these were stated, and not what is.  ``members``: as if these were the clients
    of those groups, for the groups' entries.
    """
    rules = _rules(tenant_ids, members)
    layers = layers or Layers(tenant_ids)
    clients = list(Tenant.objects.filter(id__in=tenant_ids).order_by("id"))
    boxes = _boxes([tenant.id for tenant in clients if layers.narrower(tenant.id)])
    for tenant in clients:
        treatment = treatment_of(values_of(layers.chain(tenant.id)))
        yield wire.TenantPolicy(
            tenant_id=tenant.id,
            slug=tenant.slug,
            name=tenant.name,
            rules=tuple(rules[tenant.id]),
            exceptions=_exceptions(tenant.id, layers, treatment, boxes.get(tenant.id)),
            **{one.name: getattr(treatment, one.name) for one in fields(treatment)},
        )


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Names that a client's narrower policies are compiled to."""

    domains: dict[UUID, str]
    mailboxes: list[tuple[UUID, UUID, list[str]]]


def _boxes(tenant_ids: Collection[int]) -> dict[int, _Boxes]:
    """For clients whose domains or mailboxes state something, which are few."""
    found = {tenant_id: _Boxes({}, []) for tenant_id in tenant_ids}
    for tenant_id, domain_id, name in Domain.objects.filter(tenant_id__in=tenant_ids).values_list(
        "tenant_id", "id", "name"
    ):
        found[tenant_id].domains[domain_id] = wire.normalise_address(f"@{name}")[1:]
    rows = Mailbox.objects.filter(tenant_id__in=tenant_ids).exclude(state=Mailbox.State.GONE)
    for tenant_id, box_id, domain_id, address, aliases in rows.values_list(
        "tenant_id", "id", "domain_id", "address", "aliases"
    ):
        names = [wire.normalise_address(each) for each in (address, *aliases)]
        found[tenant_id].mailboxes.append((box_id, domain_id, names))
    return found


def _exceptions(
    tenant_id: int, layers: Layers, treatment: Treatment, boxes: _Boxes | None
) -> dict[str, Treatment]:
    """Domains and addresses that are treated otherwise than the client.

    A mailbox has one policy, whatever address of it a mail is written to.
    """
    if boxes is None:
        return {}
    of_domain = {
        domain_id: treatment_of(values_of(layers.chain(tenant_id, domain_id)))
        for domain_id in boxes.domains
    }
    found = {
        boxes.domains[domain_id]: one for domain_id, one in of_domain.items() if one != treatment
    }
    narrower = layers.narrower(tenant_id)
    for box_id, domain_id, names in boxes.mailboxes:
        mine = of_domain.get(domain_id, treatment)
        if (None, box_id) in narrower:
            mine = treatment_of(values_of(layers.chain(tenant_id, domain_id, box_id)))
        for name in names:
            if mine != found.get(name.rpartition("@")[2], treatment):
                found[name] = mine
    return found


def _domains(tenant_ids: Collection[int]) -> dict[int, list[wire.DomainRoute]]:
    recipients: dict[str, set[str]] = defaultdict(set)
    # A user without a mailbox stays a recipient: the mail host knows better where his mail goes.
    rows = Mailbox.objects.filter(tenant_id__in=tenant_ids).exclude(state=Mailbox.State.GONE)
    for tenant_id, address, aliases in rows.values_list("tenant_id", "address", "aliases"):
        for each in map(wire.normalise_address, (address, *aliases)):
            recipients[f"{tenant_id}@{each.rpartition('@')[2]}"].add(each)
    found: dict[int, list[wire.DomainRoute]] = defaultdict(list)
    active = Domain.objects.filter(tenant_id__in=tenant_ids, is_active=True)
    for domain in active.order_by("name"):
        # An alias may lie in another domain of the same client, never in another client's.
        name = wire.normalise_address(f"@{domain.name}")[1:]
        route = wire.DomainRoute(
            name=name,
            next_hop=wire.join_hop(domain.next_hop_host, domain.next_hop_port),
            backup_hop=wire.join_hop(domain.backup_hop_host, domain.backup_hop_port)
            if domain.backup_hop_host
            else "",
            tls=HopTls(domain.hop_tls),
            asks_hop=domain.asks_hop,
            recipients=frozenset(recipients[f"{domain.tenant_id}@{name}"]),
        )
        found[domain.tenant_id].append(route)
    return found


def _rules(
    tenant_ids: Collection[int], members: Members | None
) -> dict[int, list[wire.GatewayRule]]:
    """Each client's own entries, then those for its groups and for all clients.

    The gate itself ends a rule on time; an expired one stays until it is retired.
    """
    found: dict[int, list[wire.GatewayRule]] = {tenant_id: [] for tenant_id in tenant_ids}
    own = GatewayRule.objects.filter(tenant_id__in=tenant_ids, removed_at=None).order_by("id")
    rows = list(own.select_related("mailbox_group"))
    for row, rule in zip(rows, wire_rules(rows), strict=True):
        assert row.tenant_id is not None  # asked for by it
        found[row.tenant_id].append(rule)
    for tenant_id, shared in shared_rules_of(tenant_ids, members=members).items():
        found[tenant_id] += map(_wire_rule, shared)
    return found


def wire_rules(rows: Collection[GatewayRule]) -> list[wire.GatewayRule]:
    """Entries as a gate is told of them, in their order."""
    aliases = _aliases([row for row in rows if "@" in row.recipient[1:]])
    named = [row for row in rows if row.mailbox_group_id is not None]
    members = addresses_in(
        {row.tenant_id for row in named if row.tenant_id is not None},
        {row.mailbox_group_id for row in named if row.mailbox_group_id is not None},
    )
    return [_with_addresses(row, aliases, members) for row in rows]


def _with_addresses(
    row: GatewayRule,
    aliases: Mapping[tuple[int | None, str], tuple[str, ...]],
    members: Mapping[UUID, tuple[str, ...]],
) -> wire.GatewayRule:
    """A gate knows no directory: it is told who is in the group.  Of an empty one it is nobody's
    entry, for the name of a group is no address.
    """
    rule = _wire_rule(row)
    if row.mailbox_group_id is None:
        return replace(rule, also=aliases.get((row.tenant_id, row.recipient), ()))
    words = f"the group {row.mailbox_group}"
    return replace(rule, recipient=words, also=members.get(row.mailbox_group_id, ()))


def _aliases(rows: Collection[GatewayRule]) -> dict[tuple[int | None, str], tuple[str, ...]]:
    """The further addresses of the mailboxes that entries are for."""
    wanted = {(row.tenant_id, row.recipient) for row in rows if row.tenant_id is not None}
    if not wanted:
        return {}
    boxes = Mailbox.objects.filter(tenant_id__in={tenant_id for tenant_id, _ in wanted})
    found: dict[tuple[int | None, str], tuple[str, ...]] = {}
    for tenant_id, address, aliases in boxes.values_list("tenant_id", "address", "aliases"):
        names = [wire.normalise_address(each) for each in (address, *aliases)]
        for name in names:
            if (tenant_id, name) in wanted:
                found[tenant_id, name] = tuple(each for each in names if each != name)
    return found


def _wire_rule(row: GatewayRule) -> wire.GatewayRule:
    """An entry as a gate is told of it.

    The reason of one for several clients stays here: it may be about one of them, and what a gate
    says of a mail is told to its client.  Which group it is stays here too.
    """
    is_shared = row.tenant_id is None
    of_several: wire.RuleScope = "group" if row.group_id else "provider"
    return wire.GatewayRule(
        id=str(row.id),
        kind=cast(wire.RuleKind, row.kind),
        match=cast(wire.RuleMatch, row.match),
        value=row.value,
        recipient=row.recipient,
        action=MatrixAction(row.action),
        expires_at=row.expires_at,
        owner=row.owner_name,
        reason="" if is_shared else row.reason,
        beats_threats=row.beats_threats,
        scope=of_several if is_shared else "client",
    )
