"""What a change at the gateway would have done to the mail of the last days.

``rehearse(change, tenant_ids)`` answers a ``Forecast``: each stored copy is decided twice by the
gate's own ``decide``, by the policy in force and by the changed one; what differs is the forecast.
Nothing is written, no gate is asked.  docs/layers.md.

Changes: ``AddRule``, ``AddRules``, ``RemoveRule``, ``ChangePolicy``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from incidents.models import Incident, IncidentMessage, Sighting
from incidents.words import GRAVE, MatrixAction
from seg_bridge import stored_mail
from seg_bridge.entries import condemned_inside
from seg_bridge.gate.policy import GatewayRule, TenantPolicy
from seg_bridge.policies.layers import Layers
from seg_bridge.rule_scopes import Members
from seg_bridge.snapshot import policies_of
from seg_bridge.stored_mail import StoredCopy

DAYS = 30
MOST_COPIES = 300_000
FEWEST_COPIES = 2_000
MOST_LISTED = 1_000
MOST_CASES = 500
CASES_FOR = timedelta(days=365)
# A stop is a question to a person, not a limit of the machine.
MANY_COPIES = 20
MANY_SHARE = 0.02

_STOPPED = (MatrixAction.HOLD, MatrixAction.REJECT)


@dataclass(frozen=True, slots=True)
class AddRule:
    """``in_mailboxes``: the mailbox layer would follow it too."""

    rule: GatewayRule
    in_mailboxes: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class AddRules:
    """A whole list at once."""

    rules: tuple[GatewayRule, ...]


@dataclass(frozen=True, slots=True)
class RemoveRule:
    rule: GatewayRule


@dataclass(frozen=True, slots=True)
class ChangePolicy:
    """``layers``: what the levels would state; ``members``: who would be in these groups."""

    layers: Layers
    members: Members | None = None


Change = AddRule | AddRules | RemoveRule | ChangePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientForecast:
    """For one client.

    ``looked_at``        copies since ``since``, of which ``undecidable`` cannot be decided again
    ``newly_held``       deliveries that went through and would be held or refused
    ``newly_delivered``  deliveries that were stopped and would go through
    ``missed``           incidents of threats among what would go through, or that the mailbox layer
                         would have let be
    ``caught``           incidents of threats among what would be stopped
    ``cases``            confirmed cases that were decided again; ``broken`` are the incidents among
                         them that would come out wrong, and did not before
    Lists hold at most ``MOST_LISTED`` ids, newest first; ``counts`` are whole.
    """

    tenant_id: int
    name: str
    since: datetime
    looked_at: int
    undecidable: int
    newly_held: tuple[UUID, ...]
    newly_delivered: tuple[UUID, ...]
    missed: tuple[UUID, ...]
    caught: tuple[UUID, ...]
    cases: int
    broken: tuple[UUID, ...]
    counts: dict[str, int]
    stops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    days: int
    clients: tuple[ClientForecast, ...]

    @property
    def stops(self) -> list[str]:
        return [stop for client in self.clients for stop in client.stops]

    def total(self, name: str) -> int:
        """``name`` as in ``ClientForecast.counts``."""
        return sum(client.counts[name] for client in self.clients)


@dataclass(slots=True)
class _Differences:
    held: list[UUID] = field(default_factory=list)
    delivered: list[UUID] = field(default_factory=list)
    threats_delivered: int = 0
    unscanned: int = 0


def rehearse(change: Change, tenant_ids: Collection[int], *, days: int = DAYS) -> Forecast:
    """The same change for all of these clients."""
    return rehearse_each(dict.fromkeys(tenant_ids, change), days=days)


def rehearse_each(changes: Mapping[int, Change], *, days: int = DAYS) -> Forecast:
    """Client → its change.  Needs a scope of these clients.  Reads at most ``MOST_COPIES`` copies
    over all of them.

    A client whose mail is treated as before is not in the forecast.
    """
    now = timezone.now()
    policies = list(policies_of(changes.keys()))
    after = _after(changes, policies)
    policies = [policy for policy in policies if after[policy.tenant_id] != policy]
    most = max(FEWEST_COPIES, MOST_COPIES // max(1, len(policies)))
    wanted = now - timedelta(days=days)
    clients = tuple(
        _rehearse_one(
            changes[policy.tenant_id],
            policy,
            after[policy.tenant_id],
            stored_mail.since(policy.tenant_id, wanted, most=most),
            now,
        )
        for policy in policies
    )
    return Forecast(days, clients)


def _after(
    changes: Mapping[int, Change], policies: Sequence[TenantPolicy]
) -> dict[int, TenantPolicy]:
    found = {}
    by_layers: dict[int, list[int]] = defaultdict(list)
    for policy in policies:
        change = changes[policy.tenant_id]
        if isinstance(change, ChangePolicy):
            by_layers[id(change)].append(policy.tenant_id)
        else:
            found[policy.tenant_id] = with_rules(policy, change)
    for ids in by_layers.values():
        change = changes[ids[0]]
        assert isinstance(change, ChangePolicy)
        as_if = policies_of(ids, layers=change.layers, members=change.members)
        found |= {each.tenant_id: each for each in as_if}
    return found


def with_rules(policy: TenantPolicy, change: AddRule | AddRules | RemoveRule) -> TenantPolicy:
    """The client's policy as it would be."""
    if isinstance(change, RemoveRule):
        return replace(policy, rules=tuple(r for r in policy.rules if r.id != change.rule.id))
    new = change.rules if isinstance(change, AddRules) else (change.rule,)
    return replace(policy, rules=(*policy.rules, *new))


def _rehearse_one(
    change: Change, policy: TenantPolicy, changed: TenantPolicy, since: datetime, now: datetime
) -> ClientForecast:
    looked_at, undecidable = stored_mail.count(policy.tenant_id, since)
    about = change.rule if isinstance(change, AddRule | RemoveRule) else None
    copies = stored_mail.copies(policy.tenant_id, since, about=about)
    found = _compare(copies, policy, changed, now)
    cases, broken = _confirmed_cases(policy, changed, now)
    held, delivered = _deliveries(found.held), _deliveries(found.delivered)
    let_be = []
    if isinstance(change, AddRule) and change.in_mailboxes:
        let_be = condemned_inside(policy.tenant_id, change.rule, since, now)
    missed, caught = _incidents([*delivered, *let_be]), _incidents(held)
    counts = {
        "looked_at": looked_at,
        "undecidable": undecidable + found.unscanned,
        "newly_held": len(found.held),
        "newly_delivered": len(found.delivered),
        "missed": len(missed),
        "caught": len(caught),
        "cases": cases,
        "broken": len(broken),
    }
    return ClientForecast(
        tenant_id=policy.tenant_id,
        name=policy.name,
        since=since,
        looked_at=looked_at,
        undecidable=counts["undecidable"],
        newly_held=tuple(held[:MOST_LISTED]),
        newly_delivered=tuple(delivered[:MOST_LISTED]),
        missed=tuple(missed[:MOST_LISTED]),
        caught=tuple(caught[:MOST_LISTED]),
        cases=cases,
        broken=tuple(broken[:MOST_LISTED]),
        counts=counts,
        stops=tuple(_stops(policy.name, counts, found, broken)),
    )


def _compare(
    copies: Iterable[StoredCopy], policy: TenantPolicy, changed: TenantPolicy, now: datetime
) -> _Differences:
    found = _Differences()
    for copy in copies:
        before = copy.decide(policy, now)
        after = copy.decide(changed, now)
        if "not_scanned" in (before.by, after.by):
            # The engine that was missing may answer the next time.
            found.unscanned += 1
            continue
        was_stopped, is_stopped = before.action in _STOPPED, after.action in _STOPPED
        if is_stopped and not was_stopped:
            found.held.append(copy.observation_id)
        elif was_stopped and not is_stopped:
            found.delivered.append(copy.observation_id)
            found.threats_delivered += copy.mail.verdict in GRAVE
    return found


def _deliveries(observation_ids: list[UUID]) -> list[UUID]:
    """The copies that these rows of history speak of, in their order."""
    rows = dict(
        Sighting.objects.filter(observation_id__in=observation_ids).values_list(
            "observation_id", "delivery_id"
        )
    )
    return list(dict.fromkeys(rows[each] for each in observation_ids if each in rows))


def _incidents(delivery_ids: list[UUID]) -> list[UUID]:
    """Incidents of threats with one of these copies, newest first."""
    harmless = (Incident.Classification.BENIGN, Incident.Classification.FALSE_POSITIVE)
    members = IncidentMessage.objects.filter(message__deliveries__in=delivery_ids)
    rows = (
        Incident.objects.filter(id__in=members.values("incident"))
        .exclude(classification__in=harmless)
        .exclude(kind__in=(Incident.Kind.HEALTH, Incident.Kind.SPAM))
    )
    return list(rows.order_by("-last_seen_at", "-id").values_list("id", flat=True))


def _confirmed_cases(
    policy: TenantPolicy, changed: TenantPolicy, now: datetime
) -> tuple[int, list[UUID]]:
    """Resolved incidents are regression cases: how many were decided again, and which of them
    would come out wrong although they come out right now.
    """
    incidents = dict(
        Incident.objects.filter(
            tenant_id=policy.tenant_id,
            state=Incident.State.RESOLVED,
            resolved_at__gte=now - CASES_FOR,
        )
        .exclude(classification="")
        .order_by("-resolved_at")
        .values_list("id", "classification")[:MOST_CASES]
    )
    seen = set()
    broken: dict[UUID, None] = {}
    for incident_id, copy in _copies_of_cases(policy.tenant_id, list(incidents)):
        is_threat = incidents[incident_id] == Incident.Classification.TRUE_POSITIVE
        before = copy.decide(policy, now)
        after = copy.decide(changed, now)
        seen.add(incident_id)
        was_right = (before.action in _STOPPED) == is_threat
        if was_right and (after.action in _STOPPED) != is_threat:
            broken[incident_id] = None
    return len(seen), list(broken)


def _copies_of_cases(tenant_id: int, incident_ids: list[UUID]) -> Iterator[tuple[UUID, StoredCopy]]:
    rows = Sighting.objects.filter(
        tenant_id=tenant_id, delivery__message__memberships__incident__in=incident_ids
    ).values_list("observation_id", "observed_at", "delivery__message__memberships__incident")
    known = {seen: (at, incident) for seen, at, incident in rows[: MOST_CASES * 20]}
    pairs = [(seen, at) for seen, (at, _) in known.items()]
    for copy in stored_mail.copies_of(tenant_id, pairs) if pairs else ():
        yield known[copy.observation_id][1], copy


def _stops(
    name: str, counts: dict[str, int], found: _Differences, broken: Collection[UUID]
) -> Iterator[str]:
    """Why a person should think again, in sentences."""
    held, looked_at = counts["newly_held"], counts["looked_at"]
    if held >= MANY_COPIES and held > MANY_SHARE * looked_at:
        yield f"{name}: it would stop {held} of {looked_at} copies ({held / looked_at:.1%})."
    if found.threats_delivered:
        n = found.threats_delivered
        yield f"{name}: {_copies(n)} of phishing, fraud or malware would be delivered."
    if counts["missed"]:
        yield f"{name}: {_incidents_word(counts['missed'])} would have been missed."
    if broken:
        n = len(broken)
        yield f"{name}: {_incidents_word(n)} that people have decided would come out wrong."


def _copies(number: int) -> str:
    return "one copy" if number == 1 else f"{number} copies"


def _incidents_word(number: int) -> str:
    return "one incident" if number == 1 else f"{number} incidents"
