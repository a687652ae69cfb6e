"""The nightly pass: makes incidents and campaigns what the canonical partition says.

What mail coming in decided step by step is compared with the one answer for all of it, and set
right where they differ.  What a person worked on is never torn apart or joined by it.
Serves the queue ``regroup``.

1. Look (incidents/campaigns/looking.py): read and compute, holding nothing.  Intake goes on.
2. Set right: the client's intake waits while the parts that differ, and in which nothing has
   changed since the look, are made what they should be.
3. Where anything had changed, look again; what never stands still is left for later.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from incidents import prevalence
from incidents.campaigns import moving
from incidents.campaigns.belonging import join_campaigns, new_campaign, put_into
from incidents.campaigns.canonical import Canonical
from incidents.campaigns.ledger import withdraw, write_links
from incidents.campaigns.links import follow_links_of
from incidents.campaigns.looking import (
    Look,
    by_cluster,
    ledger_differences,
    look,
    stamps_in_sight,
    still_so,
)
from incidents.campaigns.recomputing import (
    left_to_read_until,
    show_what_would_change,
    waits_for_a_person,
)
from incidents.grouping import become_one
from incidents.holding import hold_intake, take_turn
from incidents.models import Campaign, Edge, Incident, IncidentMessage, Regrouping
from incidents.opening import refresh_incident
from tenants.audit import BAILEY, write_audit
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tenants.work import work_scope

MOST_LOOKS = 3
LINKED_AT_ONCE = 500
AGAIN_AFTER = timedelta(minutes=10)
MADE_CANONICAL = "incidents.campaigns.made_canonical"
_WHY = "So says the nightly look at all evidence."


@dataclass(slots=True)
class Changes:
    """What the pass had to set right; all zero: the steps of the day had it right.

    ``left`` incidents differ still: they changed at every look.
    """

    merged: int = 0
    split: int = 0
    campaigns_changed: int = 0
    edges_written: int = 0
    edges_withdrawn: int = 0
    left: int = 0

    @property
    def has_any(self) -> bool:
        return any(number for name, number in asdict(self).items() if name != "left")

    def add(self, more: Changes) -> None:
        """``left`` is that of the later look."""
        for name, number in asdict(more).items():
            before = 0 if name == "left" else getattr(self, name)
            setattr(self, name, before + number)


def serve_regroup(claimed: ClaimedWork) -> datetime | None:
    """One client's pass; mail that opens or joins an incident wants the next one.

    Rules that are newer than the evidence that stands wait for a person
    (incidents/campaigns/recomputing.py).
    """
    with work_scope(claimed):
        tenant = Tenant.objects.get(id=claimed.tenant_id)
        show_what_would_change(tenant)
        if (until := left_to_read_until(tenant)) is not None:
            return until
        if waits_for_a_person(tenant):
            return None
    done = make_canonical(tenant)
    return timezone.now() + AGAIN_AFTER if done.left else None


def make_canonical(tenant: Tenant, now: datetime | None = None) -> Changes:
    """Opens scopes of its own.  Intake of this client waits only while something is set right."""
    changes = Changes()
    for number in range(1, MOST_LOOKS + 1):
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
            seen = look(tenant, now or timezone.now())
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
            done = Changes()
            is_same = _set_right(tenant, seen, done)
            # With what it tells of: a worker may die before it comes to another look.
            if done.has_any or (done.left and number == MOST_LOOKS):
                _note(tenant, done)
        changes.add(done)
        if is_same:
            break
    _link_the_rest(tenant, list(seen.members))
    return changes


def _link_the_rest(tenant: Tenant, message_ids: Sequence[UUID]) -> None:
    """Mail that came before there were links between clients, or before its facts."""
    for start in range(0, len(message_ids), LINKED_AT_ONCE):
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
            follow_links_of(tenant, message_ids[start : start + LINKED_AT_ONCE])


def _note(tenant: Tenant, changes: Changes) -> None:
    write_audit(
        MADE_CANONICAL,
        actor=BAILEY,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="tenant",
        object_id=tenant.id,
        **asdict(changes),
    )


def _set_right(tenant: Tenant, seen: Look, changes: Changes) -> bool:
    """Make what differs what it should be; answers whether nothing had changed since the look."""
    if seen.differing:
        hold_intake(tenant.id)
        take_turn(tenant.id)
    is_same = stamps_in_sight(tenant, seen.at) == seen.stamps
    if seen.differing:
        found, members, incidents = still_so(tenant, seen)
        changes.left = len(seen.differing) - len(incidents)
        _set_incidents(tenant, found, members, incidents, changes)
        _set_campaigns(tenant, found, changes)
        _set_ledger(tenant, found, list(members), changes)
    return is_same


def _set_incidents(
    tenant: Tenant,
    found: Canonical,
    members: dict[UUID, UUID],
    incidents: dict[UUID, Incident],
    changes: Changes,
) -> None:
    """Part what is held by nothing any more, then join what is one."""
    touched: set[UUID] = set()
    for incident_id, clusters in _clusters_of_incidents(found, members).items():
        for leaving in clusters[1:]:
            made = _part(incidents[incident_id], leaving)
            incidents[made.id] = made
            members.update(dict.fromkeys(leaving, made.id))
            touched |= {incident_id, made.id}
            changes.split += 1
    for ids in by_cluster(found.group_of, members).values():
        kept, *others = sorted((incidents[each] for each in ids), key=lambda each: each.number)
        for other in others:
            if become_one(kept, other, _WHY) is None:
                continue
            touched.add(kept.id)
            changes.merged += 1
    for incident in Incident.objects.filter(id__in=touched, merged_into=None).order_by("id"):
        refresh_incident(incident)


def _clusters_of_incidents(
    found: Canonical, members: Mapping[UUID, UUID]
) -> dict[UUID, list[list[UUID]]]:
    """Incident → its mails by cluster, the cluster of its largest part first: that one stays."""
    parts: defaultdict[UUID, defaultdict[UUID, list[UUID]]] = defaultdict(lambda: defaultdict(list))
    for mail_id in sorted(members):
        parts[members[mail_id]][found.group_of[mail_id]].append(mail_id)
    return {
        incident_id: sorted(clusters.values(), key=lambda ids: (-len(ids), ids[0]))
        for incident_id, clusters in parts.items()
    }


def _part(incident: Incident, leaving: list[UUID]) -> Incident:
    before = {"incident": moving.snapshot(incident)}
    made = moving.incident_like(incident)
    before["other"] = moving.snapshot(made)
    done = moving.take_out(
        Regrouping.Kind.SPLIT,
        incident,
        made,
        leaving,
        who=BAILEY,
        reason=_WHY,
        words={},
        before=before,
    )
    moving.note_after(done)
    return made


def _set_campaigns(tenant: Tenant, found: Canonical, changes: Changes) -> None:
    members = dict(
        IncidentMessage.objects.filter(
            tenant=tenant, message__in=found.campaign_of.keys()
        ).values_list("message_id", "incident_id")
    )
    incidents = Incident.objects.select_related("campaign").in_bulk(set(members.values()))
    clusters = by_cluster(found.campaign_of, members)
    home = _homes(clusters, incidents)
    for root, ids in sorted(clusters.items()):
        own = sorted((campaign for campaign, at in home.items() if at == root), key=_number)
        inside = [incidents[each] for each in sorted(ids)]
        if len(inside) < 2:
            changes.campaigns_changed += _leave(inside)
        elif not own:
            new_campaign(tenant.id, inside)
            changes.campaigns_changed += 1
        else:
            changes.campaigns_changed += _gather(own, inside)


def _number(campaign: Campaign) -> int:
    return campaign.number


def _homes(
    clusters: Mapping[UUID, set[UUID]], incidents: Mapping[UUID, Incident]
) -> dict[Campaign, UUID]:
    """Campaign → the cluster that has most of its incidents and so keeps its number."""
    votes: defaultdict[Campaign, Counter[UUID]] = defaultdict(Counter)
    for root, ids in clusters.items():
        for incident_id in ids:
            campaign = incidents[incident_id].campaign
            if campaign is not None and len(ids) > 1:
                votes[campaign][root] += 1
    return {
        campaign: min(roots, key=lambda root: (-roots[root], root))
        for campaign, roots in votes.items()
    }


def _leave(inside: Sequence[Incident]) -> int:
    """An incident alone is no campaign."""
    gone = [incident.id for incident in inside if incident.campaign_id is not None]
    put_into(None, gone)
    return len(gone)


def _gather(own: Sequence[Campaign], inside: Sequence[Incident]) -> int:
    """All of ``inside`` into the oldest campaign; the others lead to it.  Answers what changed."""
    kept, *others = own
    for gone in others:
        join_campaigns(kept, gone)
    strangers = [incident.id for incident in inside if incident.campaign_id != kept.id]
    if strangers:
        put_into(kept, strangers)
    return len(strangers) + len(others)


def _set_ledger(
    tenant: Tenant, found: Canonical, message_ids: Sequence[UUID], changes: Changes
) -> None:
    """Every cluster hangs together by standing edges, and none leads out of it."""
    total = prevalence.total_messages()
    for level in Edge.Level.values:
        gone, new = ledger_differences(level, found, message_ids)
        changes.edges_withdrawn += len(withdraw(gone, who=BAILEY, reason=_WHY))
        changes.edges_written += len(write_links(tenant.id, level, new, total))
