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
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from typing_extensions import override

from seg_bridge.gate.entry import GatewayRule, RuleKind, RuleMatch, RuleScope
from seg_bridge.gate.outbound.terms import OutboundTerms
from seg_bridge.gate.signing import BadSignature, check_json, sign_json
from seg_bridge.gate.treatment import Treatment, treatment_fields
from seg_bridge.gate.ways import HopTls, Way, join_hop, split_hop

# Many ask for these here.
__all__ = ["GatewayRule", "RuleKind", "RuleMatch", "RuleScope", "join_hop", "split_hop"]

# Grows with what an older gate could not follow; such a gate keeps its last policy and says so.
FORMAT = 4


class BadSnapshot(Exception):
    """Not a snapshot that this gate may follow.  ``code`` is one of ``TROUBLES``."""

    def __init__(self, sentence: str, *, code: str) -> None:
        super().__init__(sentence)
        self.code = code


# Why a gate does not follow the policy that it was given, as it tells ingest.
TROUBLES = (
    *("missing", "signature", "unreadable", "newer_format", "other_gate", "older", "disk"),
    "not_followed",
)


class NewerFormat(ValueError):
    """The snapshot says things that this gate does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRoute:
    """One domain of a client: where its mail goes on and who exists there.

    ``next_hop`` and ``backup_hop`` ("" for none) are ``host:port``; ``recipients`` are full
    addresses in lower case, aliases included.  Of an address that is not listed the next hop is
    asked where ``asks_hop`` says so; else it gets 550.
    """

    name: str
    next_hop: str
    recipients: frozenset[str]
    backup_hop: str = ""
    tls: HopTls = HopTls.MAY
    asks_hop: bool = False

    @property
    def way(self) -> Way:
        return Way.of(self.next_hop, self.backup_hop, self.tls)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "next_hop": self.next_hop,
            "backup_hop": self.backup_hop,
            "tls": str(self.tls),
            "asks_hop": self.asks_hop,
            "recipients": sorted(self.recipients),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        way = Way.of(
            str(data["next_hop"]), str(data.get("backup_hop") or ""), str(data.get("tls") or "may")
        )
        return cls(
            name=str(data["name"]).lower(),
            next_hop=way.hops[0],
            backup_hop=way.hops[1] if len(way.hops) > 1 else "",
            tls=way.tls,
            asks_hop=bool(data.get("asks_hop", False)),
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
            "rules": [each.as_json() for each in self.rules if each.scope == "client"],
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
    """One recipient's client and domain.  ``is_listed`` False: the domain is ours, the mailbox is
    not on its list.  ``written``: the address as its sender wrote it where that matters, which is
    for other people's mailboxes, "" for ours.
    """

    address: str
    tenant: TenantPolicy
    domain: DomainRoute
    is_listed: bool
    written: str = ""

    @property
    def is_known(self) -> bool:
        """False: there is nobody of this name.  ``must_ask``: it is the next hop who knows."""
        return self.is_listed or self.domain.asks_hop

    @property
    def must_ask(self) -> bool:
        return self.domain.asks_hop and not self.is_listed

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
        data: dict[str, Any] = {
            "format": FORMAT,
            "version": self.version,
            "made_at": self.made_at.isoformat(),
            "gate": self.gate,
            "authserv_id": self.authserv_id,
            "trace_keys": dict(self.trace_keys),
            "active_trace_key": self.active_trace_key,
            "tenants": [each.as_json() for each in self.tenants],
        }
        if shared := self._shared_rules():
            data["rules"] = shared
        return data

    def _shared_rules(self) -> list[dict[str, Any]]:
        """Entries of several clients, each once: a long list is not repeated for every client."""
        found: dict[str, dict[str, Any]] = {}
        for tenant in self.tenants:
            for rule in tenant.rules:
                if rule.scope != "client":
                    one = found.setdefault(rule.id, {**rule.as_json(), "tenants": []})
                    one["tenants"].append(tenant.tenant_id)
        return list(found.values())

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ``KeyError``, ``TypeError``, ``ValueError`` or ``AttributeError`` on anything
        that is not a snapshot.
        """
        written_as = int(data.get("format", 1))
        if written_as > FORMAT:
            raise NewerFormat(f"format {written_as} is newer than this gate, which knows {FORMAT}")
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
            tenants=_tenants(data["tenants"], data.get("rules", ())),
        )


def _tenants(
    told: Sequence[Mapping[str, Any]], shared: Sequence[Mapping[str, Any]]
) -> tuple[TenantPolicy, ...]:
    of: dict[int, list[GatewayRule]] = defaultdict(list)
    for each in shared:
        rule = GatewayRule.from_json({k: v for k, v in each.items() if k != "tenants"})
        for tenant_id in each["tenants"]:
            of[int(tenant_id)].append(rule)
    found = (TenantPolicy.from_json(each) for each in told)
    return tuple(
        replace(tenant, rules=(*tenant.rules, *of[tenant.tenant_id])) if shared else tenant
        for tenant in found
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
        raise BadSnapshot("the snapshot's signature is wrong", code="signature") from error
    except NewerFormat as error:
        raise BadSnapshot(str(error), code="newer_format") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSnapshot(f"the snapshot cannot be read: {error!r}", code="unreadable") from error


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
