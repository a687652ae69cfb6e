"""What the gates are told of their clients' outbound mail; read with the policy snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from uuid import UUID

from seg_bridge.gate import policy as wire
from seg_bridge.gate.outbound import terms as told
from seg_bridge.gate.outbound.sealing import seal_for_gate
from seg_bridge.outbound.models import OutboundTerms, SenderStop, SigningKey, SubmissionLogin
from tenants.models import Mailbox
from tenants.secrets import unseal

# For the snapshot's stamp: the rows that say what is told here.
OUTBOUND_ROWS = (
    "seg_bridge_outboundterms WHERE tenant_id = ANY(%(ids)s)",
    "seg_bridge_submissionlogin WHERE tenant_id = ANY(%(ids)s) AND ended_at IS NULL",
    "seg_bridge_signingkey WHERE tenant_id = ANY(%(ids)s) AND state = 'signing'",
    "seg_bridge_senderstop WHERE tenant_id = ANY(%(ids)s) AND lifted_at IS NULL",
)


def private_place(tenant_id: int, key_id: UUID) -> str:
    """Where a private key is sealed for (tenants/secrets.py)."""
    return f"seg_bridge_signingkey.sealed_private/{tenant_id}/{key_id}"


def outbound_of(
    tenant_ids: Collection[int], *, gate_secret: bytes | None
) -> Mapping[int, told.OutboundTerms]:
    """Of the clients that send through the gateway.  Private keys are sealed for this gate; None:
    for none, the keys are named only.
    """
    rows = {row.tenant_id: row for row in _rows(tenant_ids)}
    if not rows:
        return {}
    logins, keys, stopped = _logins(rows), _keys(rows, gate_secret), _stopped(rows)
    aliases = _aliases(rows)
    return {
        tenant_id: told.OutboundTerms(
            next_hop=wire.join_hop(row.next_hop_host, row.next_hop_port)
            if row.next_hop_host
            else "",
            hosts=tuple(sorted(each["network"] for each in row.hosts)),
            logins=logins[tenant_id],
            keys=tuple(keys[tenant_id]),
            limits=told.SenderLimits(
                messages_per_hour=row.messages_per_hour,
                recipients_per_hour=row.recipients_per_hour,
                threats=row.stop_threats,
                within_minutes=row.stop_minutes,
                refusals=row.stop_refusals,
            ),
            aliases=aliases[tenant_id],
            stopped=stopped[tenant_id],
        )
        for tenant_id, row in rows.items()
    }


def _rows(tenant_ids: Collection[int]) -> Collection[OutboundTerms]:
    return OutboundTerms.objects.filter(tenant_id__in=tenant_ids, is_on=True)


def _logins(rows: Collection[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = defaultdict(dict)
    logins = SubmissionLogin.objects.filter(tenant_id__in=rows, ended_at=None).order_by("name")
    for tenant_id, name, hashed in logins.values_list("tenant_id", "name", "hashed"):
        found[tenant_id][name] = hashed
    return found


def _keys(rows: Collection[int], gate_secret: bytes | None) -> dict[int, list[told.SigningKey]]:
    found: dict[int, list[told.SigningKey]] = defaultdict(list)
    keys = SigningKey.objects.filter(tenant_id__in=rows, state=SigningKey.State.SIGNING)
    for row in keys.select_related("domain").order_by("domain__name"):
        domain = wire.normalise_address(f"@{row.domain.name}")[1:]
        key = told.SigningKey(domain=domain, selector=row.selector, sealed="")
        if gate_secret is not None:
            private = unseal(bytes(row.sealed_private), place=private_place(row.tenant_id, row.id))
            key = replace(key, sealed=seal_for_gate(private, place=key.place, secret=gate_secret))
        found[row.tenant_id].append(key)
    return found


def _stopped(rows: Collection[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = defaultdict(dict)
    stops = SenderStop.objects.filter(tenant_id__in=rows, lifted_at=None).order_by("stop_ulid")
    for tenant_id, ulid, mailbox in stops.values_list("tenant_id", "stop_ulid", "mailbox"):
        found[tenant_id][ulid] = mailbox
    return found


def _aliases(rows: Collection[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = defaultdict(dict)
    boxes = Mailbox.objects.filter(tenant_id__in=rows).exclude(state=Mailbox.State.GONE)
    for tenant_id, address, aliases in boxes.values_list("tenant_id", "address", "aliases"):
        main = wire.normalise_address(address)
        for alias in map(wire.normalise_address, aliases):
            if alias != main:
                found[tenant_id][alias] = main
    return {tenant_id: dict(sorted(found[tenant_id].items())) for tenant_id in rows}
