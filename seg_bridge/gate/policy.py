"""The policy snapshot: all a gate must know to decide without console or database.

Compiled by ``seg_bridge`` from the tenant model, signed with the gate's secret, long-polled and
kept on disk by the gate.

``PolicySnapshot.from_json`` / ``as_json``   plain JSON values
``sign_snapshot`` / ``load_signed``          with signature; ``BadSnapshot`` if it can't be trusted
``PolicySnapshot.find(address)``             the client and route of one recipient
``TenantPolicy.treatment_for(address)``      what its client, domain or mailbox wants
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Self, get_args

from typing_extensions import override

from incidents.words import MatrixAction
from seg_bridge.gate.outbound.terms import OutboundTerms
from seg_bridge.gate.signing import BadSignature, check_json, sign_json
from seg_bridge.gate.treatment import Treatment, treatment_fields

RuleKind = Literal["allow", "block"]
RuleMatch = Literal["sender", "sender_domain", "client_ip", "url_host", "attachment_sha256"]

# Grows with what an older gate could not follow; such a gate keeps its last policy and says so.
FORMAT = 2


class BadSnapshot(Exception):
    """Not a snapshot that this gate may follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRule:
    """One entry of a client's allow and block list.

    ``recipient`` "" means every mailbox of the client; ``expires_at`` None means no end;
    ``action`` is what a block does (``hold`` or ``reject``; an allow delivers); ``owner`` and
    ``reason`` are words for people.  ``value``: an address, a domain (a block covers its
    subdomains), an address or network, a host (with its subdomains), a hex hash.
    """

    id: str
    kind: RuleKind
    match: RuleMatch
    value: str
    recipient: str = ""
    action: MatrixAction = MatrixAction.HOLD
    expires_at: datetime | None = None
    owner: str = ""
    reason: str = ""
    beats_threats: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "match": self.match,
            "value": self.value,
            "recipient": self.recipient,
            "action": str(self.action),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "owner": self.owner,
            "reason": self.reason,
            "beats_threats": self.beats_threats,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        fields = dict(data)
        if fields["kind"] not in get_args(RuleKind) or fields["match"] not in get_args(RuleMatch):
            raise ValueError(f"rule {fields.get('id')} has an unknown kind or match")
        fields["value"] = str(fields["value"]).strip().lower()
        fields["recipient"] = str(fields.get("recipient", "")).strip().lower()
        fields["action"] = MatrixAction(fields.get("action", MatrixAction.HOLD))
        if fields["kind"] == "block" and fields["action"] not in (
            MatrixAction.HOLD,
            MatrixAction.REJECT,
        ):
            raise ValueError(f"rule {fields['id']} blocks, so its action is hold or reject")
        if fields.get("expires_at"):
            fields["expires_at"] = datetime.fromisoformat(fields["expires_at"])
            if fields["expires_at"].tzinfo is None:
                raise ValueError(f"rule {fields['id']}: expires_at needs a time zone")
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRoute:
    """One domain of a client: where its mail goes on and who exists there.

    ``next_hop`` is ``host:port``; ``recipients`` are full addresses in lower case, aliases
    included.  An address that is not listed gets 550.
    """

    name: str
    next_hop: str
    recipients: frozenset[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "next_hop": self.next_hop,
            "recipients": sorted(self.recipients),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        split_hop(str(data["next_hop"]))
        return cls(
            name=str(data["name"]).lower(),
            next_hop=str(data["next_hop"]),
            recipients=frozenset(str(each).lower() for each in data["recipients"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPolicy(Treatment):
    """What one client wants.  ``exceptions``: domains (``acme.example``) and addresses that are
    treated otherwise, each with all that holds for it.  ``outbound`` None: the client sends nothing
    through the gate.
    """

    tenant_id: int
    slug: str
    name: str
    domains: tuple[DomainRoute, ...] = ()
    rules: tuple[GatewayRule, ...] = ()
    exceptions: Mapping[str, Treatment] = field(default_factory=dict)
    outbound: OutboundTerms | None = None

    def treatment_for(self, address: str) -> Treatment:
        """``address`` as ``normalise_address`` writes it."""
        return self.exceptions.get(self._exception(address), self)

    def whose(self, address: str) -> str:
        """In words: whose policy holds for this address."""
        narrower = self._exception(address)
        return f"{self.name} for {narrower}" if narrower else self.name

    def _exception(self, address: str) -> str:
        if not self.exceptions:
            return ""
        domain = address.rpartition("@")[2]
        return next((one for one in (address, domain) if one in self.exceptions), "")

    def as_json(self) -> dict[str, Any]:
        data = {
            "tenant_id": self.tenant_id,
            "slug": self.slug,
            "name": self.name,
            "domains": [each.as_json() for each in self.domains],
            "rules": [each.as_json() for each in self.rules],
            **self.treatment_json(),
        }
        if self.exceptions:
            data["exceptions"] = {
                of: treatment.treatment_json() for of, treatment in self.exceptions.items()
            }
        if self.outbound is not None:
            data["outbound"] = self.outbound.as_json()
        return data

    @classmethod
    @override
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        outbound = OutboundTerms.from_json(data["outbound"]) if "outbound" in data else None
        if outbound is not None and outbound.next_hop:
            split_hop(outbound.next_hop)
        return cls(
            outbound=outbound,
            tenant_id=int(data["tenant_id"]),
            slug=str(data["slug"]),
            name=str(data["name"]),
            domains=tuple(DomainRoute.from_json(each) for each in data.get("domains", ())),
            rules=tuple(GatewayRule.from_json(each) for each in data.get("rules", ())),
            exceptions={
                str(of).lower(): Treatment.from_json(each)
                for of, each in data.get("exceptions", {}).items()
            },
            **treatment_fields(data),
        )


@dataclass(frozen=True, slots=True)
class Route:
    """One recipient's client and domain.  ``is_known`` False: the domain is ours, the mailbox is
    not.  ``written``: the address as its sender wrote it where that matters, which is for other
    people's mailboxes, "" for ours.
    """

    address: str
    tenant: TenantPolicy
    domain: DomainRoute
    is_known: bool
    written: str = ""

    @property
    def wire_address(self) -> str:
        """What the next hop is told."""
        return self.written or self.address

    @property
    def treatment(self) -> Treatment:
        return self.tenant.treatment_for(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySnapshot:
    """One version of everything.  A gate never goes back to a snapshot made earlier than its own.

    ``trace_keys`` maps key id to hex key; ``authserv_id`` names the gate in
    Authentication-Results.
    """

    version: str
    made_at: datetime
    gate: str
    authserv_id: str
    trace_keys: dict[str, str]
    active_trace_key: str
    tenants: tuple[TenantPolicy, ...] = ()
    _routes: dict[str, tuple[TenantPolicy, DomainRoute]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for tenant in self.tenants:
            for domain in tenant.domains:
                if domain.name in self._routes:
                    raise ValueError(f"domain {domain.name} belongs to two clients")
                self._routes[domain.name] = (tenant, domain)
        if self.active_trace_key not in self.trace_keys:
            raise ValueError("active_trace_key is not among trace_keys")
        for key in self.trace_keys.values():
            bytes.fromhex(key)

    @property
    def trace_key(self) -> bytes:
        return bytes.fromhex(self.trace_keys[self.active_trace_key])

    def find(self, address: str) -> Route | None:
        """None: the domain is not ours.  Case and the writing of the domain do not matter."""
        normalised = normalise_address(address)
        found = self._routes.get(normalised.rpartition("@")[2])
        if found is None:
            return None
        tenant, domain = found
        return Route(normalised, tenant, domain, normalised in domain.recipients)

    def tenant(self, tenant_id: int) -> TenantPolicy | None:
        return next((each for each in self.tenants if each.tenant_id == tenant_id), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": self.version,
            "made_at": self.made_at.isoformat(),
            "gate": self.gate,
            "authserv_id": self.authserv_id,
            "trace_keys": dict(self.trace_keys),
            "active_trace_key": self.active_trace_key,
            "tenants": [each.as_json() for each in self.tenants],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ``KeyError``, ``TypeError``, ``ValueError`` or ``AttributeError`` on anything
        that is not a snapshot.
        """
        written_as = int(data.get("format", 1))
        if written_as > FORMAT:
            raise ValueError(f"format {written_as} is newer than this gate, which knows {FORMAT}")
        made_at = datetime.fromisoformat(data["made_at"])
        if made_at.tzinfo is None:
            raise ValueError("made_at needs a time zone")
        return cls(
            version=str(data["version"]),
            made_at=made_at,
            gate=str(data["gate"]),
            authserv_id=str(data["authserv_id"]),
            trace_keys={str(name): str(key) for name, key in data["trace_keys"].items()},
            active_trace_key=str(data["active_trace_key"]),
            tenants=tuple(TenantPolicy.from_json(each) for each in data["tenants"]),
        )


def sign_snapshot(snapshot: Mapping[str, Any], secret: bytes) -> dict[str, Any]:
    """``{"snapshot": …, "signature": hex}``, as ``/gate/commands`` answers it."""
    return {"snapshot": dict(snapshot), "signature": sign_json(dict(snapshot), secret)}


def load_signed(signed: bytes | Mapping[str, Any], secret: bytes) -> PolicySnapshot:
    """Raises ``BadSnapshot``: not JSON, a wrong signature, or a field that makes no sense."""
    try:
        data = json.loads(signed) if isinstance(signed, bytes) else signed
        check_json(data["snapshot"], data["signature"], secret)
        return PolicySnapshot.from_json(data["snapshot"])
    except BadSignature as error:
        raise BadSnapshot("the snapshot's signature is wrong") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSnapshot(f"the snapshot cannot be read: {error!r}") from error


def normalise_address(address: str) -> str:
    """Lower case, the domain as A-labels.  An address whose domain has none is left in lower
    case.
    """
    local, at, domain = address.strip().lower().rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return f"{local}{at}{domain}"
    return f"{local}{at}{domain.removesuffix('.')}"


def split_hop(next_hop: str) -> tuple[str, int]:
    """``("mail.acme.example", 25)`` of ``mail.acme.example:25``; raises ``ValueError``."""
    host, colon, port = next_hop.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"next hop {next_hop!r} is not host:port")
    return host.strip("[]"), int(port)


def join_hop(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
