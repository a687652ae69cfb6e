"""The nightly pass: makes incidents and campaigns what the canonical partition says.

What mail coming in decided step by step is compared with the one answer for all of it, and set
right where they differ.  What a person worked on is never torn apart or joined by it.
Serves the queue ``regroup``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from incidents import prevalence
from incidents.bulk import run
from incidents.campaigns import moving
from incidents.campaigns.belonging import hold_numbers, join_campaigns, new_campaign, put_into
from incidents.campaigns.canonical import Canonical, Words, canonical
from incidents.campaigns.evidence import Mail, Rarity
from incidents.campaigns.ledger import standing, touching, withdraw, words_of_people, write_links
from incidents.campaigns.store import mails_of, rarity_of
from incidents.grouping import become_one, may_become_one
from incidents.models import Campaign, Edge, Incident, IncidentMessage, Job, Message, Regrouping
from incidents.opening import refresh_incident
from tenants.audit import BAILEY, write_audit
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope

# Beyond this, a link between two mails has decayed to nothing.
WINDOW = timedelta(days=42)
MOST_ROUNDS = 4
MADE_CANONICAL = "incidents.campaigns.made_canonical"
_WHY = "So says the nightly look at all evidence."


@dataclass(slots=True)
class Changes:
    """What the pass had to set right; all zero: the steps of the day had it right."""

    merged: int = 0
    split: int = 0
    campaigns_changed: int = 0
    edges_written: int = 0
    edges_withdrawn: int = 0


def serve_regroup(claimed: ClaimedWork) -> datetime | None:
    """One client's pass; mail that opens or joins an incident wants the next one."""
    with tenant_scope(Role.WORKER, [claimed.tenant_id], provider_id=claimed.provider_id):
        make_canonical(Tenant.objects.get(id=claimed.tenant_id))
    return None


@transaction.atomic
def make_canonical(tenant: Tenant, now: datetime | None = None) -> Changes:
    """Needs the client's scope.  Intake of this client waits meanwhile."""
    run("SELECT pg_advisory_xact_lock(hashtext('incidents.correlation'), %s)", [tenant.id])
    incidents = _incidents_in_sight(tenant, (now or timezone.now()) - WINDOW)
    members = dict(
        IncidentMessage.objects.filter(tenant=tenant, incident__in=incidents.keys()).values_list(
            "message_id", "incident_id"
        )
    )
    mails = mails_of(list(Message.objects.filter(id__in=members.keys())))
    rarity = rarity_of(tenant.id, mails)
    found = _partition(mails, rarity, members, incidents)
    changes = Changes()
    hold_numbers(tenant.id)
    _set_incidents(tenant, found, members, incidents, changes)
    _set_campaigns(tenant, found, changes)
    _set_ledger(tenant, found, list(members), changes)
    if any(asdict(changes).values()):
        write_audit(
            MADE_CANONICAL,
            actor=BAILEY,
            provider_id=tenant.provider_id,
            tenant_id=tenant.id,
            object_kind="tenant",
            object_id=tenant.id,
            **asdict(changes),
        )
    return changes


def _incidents_in_sight(tenant: Tenant, since: datetime) -> dict[UUID, Incident]:
    """Threats with mail in the window, and all others of their campaigns."""
    threats = Incident.objects.filter(tenant=tenant, merged_into=None).exclude(
        kind=Incident.Kind.HEALTH
    )
    recent = threats.filter(last_seen_at__gte=since)
    campaigns = {
        campaign_id for campaign_id in recent.values_list("campaign_id", flat=True) if campaign_id
    }
    rows = threats.filter(Q(last_seen_at__gte=since) | Q(campaign__in=campaigns))
    return {incident.id: incident for incident in rows.select_related("tenant")}


def _partition(
    mails: Sequence[Mail],
    rarity: Rarity,
    members: Mapping[UUID, UUID],
    incidents: Mapping[UUID, Incident],
) -> Canonical:
    """The canonical partition, in which work of people holds like a word of theirs."""
    said = words_of_people(Edge.Level.GROUP, list(members))
    about = words_of_people(Edge.Level.CAMPAIGN, list(members))
    said = replace(said, together=(*said.together, *_held(mails, members, incidents)))
    found = canonical(mails, rarity, groups=said, campaigns=about)
    for _ in range(MOST_ROUNDS):
        apart = _treated_differently(found, members, incidents)
        if not apart:
            break
        said = Words(said.together, (*said.apart, *apart))
        found = canonical(mails, rarity, groups=said, campaigns=about)
    return found


def _held(
    mails: Iterable[Mail], members: Mapping[UUID, UUID], incidents: Mapping[UUID, Incident]
) -> list[tuple[UUID, UUID]]:
    """The mails of each incident that a person worked on: it is not torn apart."""
    acted = set(
        Job.objects.filter(incident__in=incidents.keys()).values_list("incident_id", flat=True)
    )
    first: dict[UUID, UUID] = {}
    pairs = []
    for mail in sorted(mails, key=lambda mail: (mail.seen_at, mail.id)):
        incident = incidents[members[mail.id]]
        is_new = incident.state in (Incident.State.NEW, Incident.State.CONTAINED)
        if incident.owner_id or incident.shared_at or not is_new or incident.id in acted:
            pairs.append((first.setdefault(incident.id, mail.id), mail.id))
    return [(a, b) for a, b in pairs if a != b]


def _treated_differently(
    found: Canonical, members: Mapping[UUID, UUID], incidents: Mapping[UUID, Incident]
) -> list[tuple[UUID, UUID]]:
    """Pairs of mails of incidents that would become one and that people treat as two."""
    first: dict[UUID, UUID] = {}
    for mail_id in sorted(members):
        first.setdefault(members[mail_id], mail_id)
    pairs = []
    for ids in _by_cluster(found.group_of, members).values():
        for one, other in combinations(sorted(ids), 2):
            if not may_become_one(incidents[one], incidents[other]):
                pairs.append((first[one], first[other]))
    return pairs


def _by_cluster(
    cluster_of: Mapping[UUID, UUID], members: Mapping[UUID, UUID]
) -> dict[UUID, set[UUID]]:
    """Cluster → the incidents that its mails stand in now."""
    found: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for mail_id, root in cluster_of.items():
        found[root].add(members[mail_id])
    return found


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
    for ids in _by_cluster(found.group_of, members).values():
        kept, *others = sorted((incidents[each] for each in ids), key=lambda each: each.number)
        for other in others:
            become_one(kept, other, _WHY)
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
    clusters = _by_cluster(found.campaign_of, members)
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
    levels = (
        (Edge.Level.GROUP, found.group_of, found.groups.used),
        (Edge.Level.CAMPAIGN, found.campaign_of, found.campaigns.used),
    )
    for level, cluster_of, used in levels:
        rows = list(touching(standing(level), message_ids).filter(act=Edge.Act.LINK))
        crossing = [
            row
            for row in rows
            if row.a_id in cluster_of
            and row.b_id in cluster_of
            and cluster_of[row.a_id] != cluster_of[row.b_id]
        ]
        changes.edges_withdrawn += len(withdraw(crossing, who=BAILEY, reason=_WHY))
        known = {(row.a_id, row.b_id) for row in rows}
        new = [link for link in used if (link.a, link.b) not in known]
        changes.edges_written += len(write_links(tenant.id, level, new, total))
