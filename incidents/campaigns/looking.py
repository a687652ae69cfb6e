"""What the nightly pass sees: how incidents and campaigns stand, what they should be, where both
differ, and whether what it saw still holds.

Holds nothing.  Every incident's row is stamped before anything else is read: whatever happens to an
incident or to its mail writes this row anew, so the same stamp later says that nothing happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations
from uuid import UUID

from django.db.models import Q

from incidents.bulk import fetch
from incidents.campaigns.canonical import Canonical, Words, canonical
from incidents.campaigns.evidence import Link, Mail, Rarity
from incidents.campaigns.ledger import standing, touching, words_of_people
from incidents.campaigns.partition import partition
from incidents.campaigns.store import mails_of, rarity_of
from incidents.grouping import may_become_one
from incidents.models import Edge, Incident, IncidentMessage, Job, Message
from tenants.models import Tenant

# Beyond this, a link between two mails has decayed to nothing.
WINDOW = timedelta(days=42)
MOST_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Look:
    """``stamps`` by incident; ``differing`` are the incidents of the ``parts`` that must change.

    A part is a set of mails that nothing leads out of, neither as things stand nor as they should.
    """

    at: datetime
    found: Canonical
    members: Mapping[UUID, UUID]
    incidents: Mapping[UUID, Incident]
    stamps: Mapping[UUID, str]
    parts: Sequence[frozenset[UUID]]

    @property
    def differing(self) -> set[UUID]:
        return {self.members[mail_id] for part in self.parts for mail_id in part}


def look(tenant: Tenant, now: datetime) -> Look:
    """Needs the client's scope."""
    stamps = stamps_in_sight(tenant, now)
    incidents = Incident.objects.select_related("tenant", "campaign").in_bulk(stamps)
    members = dict(
        IncidentMessage.objects.filter(tenant=tenant, incident__in=incidents).values_list(
            "message_id", "incident_id"
        )
    )
    mails = mails_of(list(Message.objects.filter(id__in=members.keys())))
    rarity = rarity_of(tenant.id, mails)
    # A mail that went away between two statements: its incident's stamp tells.
    members = {mail.id: members[mail.id] for mail in mails}
    found = _partition(mails, rarity, members, incidents)
    parts = _differing_parts(found, members, incidents)
    return Look(now, found, members, incidents, stamps, parts)


def still_so(
    tenant: Tenant, seen: Look
) -> tuple[Canonical, dict[UUID, UUID], dict[UUID, Incident]]:
    """The parts that must change and that are as they were seen: what they should be, mail →
    incident, and the incidents, held until the commit.
    """
    wanted = sorted(seen.differing)
    held = Incident.objects.select_for_update(of=("self",)).select_related("tenant", "campaign")
    rows = {row.id: row for row in held.filter(id__in=wanted).order_by("id")}
    stamps = _stamps(tenant, wanted)
    same = {each for each in wanted if stamps.get(each) == seen.stamps[each]}
    parts = [part for part in seen.parts if {seen.members[mail_id] for mail_id in part} <= same]
    members = {mail_id: seen.members[mail_id] for part in parts for mail_id in part}
    kept = set(members.values())
    incidents = {key: row for key, row in rows.items() if key in kept}
    return _only(seen.found, members.keys()), members, incidents


def _only(found: Canonical, mail_ids: Collection[UUID]) -> Canonical:
    """The answer for these mails alone."""

    def used(links: Iterable[Link]) -> list[Link]:
        return [link for link in links if link.a in mail_ids and link.b in mail_ids]

    return Canonical(
        {mail_id: found.group_of[mail_id] for mail_id in mail_ids},
        {mail_id: found.campaign_of[mail_id] for mail_id in mail_ids},
        replace(found.groups, used=used(found.groups.used)),
        replace(found.campaigns, used=used(found.campaigns.used)),
    )


def stamps_in_sight(tenant: Tenant, now: datetime) -> dict[UUID, str]:
    """Of every incident that a look at this time reads."""
    return _stamps(tenant, _ids_in_sight(tenant, now - WINDOW))


def _stamps(tenant: Tenant, incident_ids: Collection[UUID]) -> dict[UUID, str]:
    """Which version of its row each incident has, and how many jobs."""
    return dict(fetch(_STAMPS, [tenant.id, list(incident_ids)]))


_STAMPS = """
SELECT i.id, concat_ws(' ', i.xmin, i.ctid, (
    SELECT count(*) FROM incidents_job j WHERE j.tenant_id = i.tenant_id AND j.incident_id = i.id
))
FROM incidents_incident i WHERE i.tenant_id = %s AND i.id = ANY(%s)
"""


def _ids_in_sight(tenant: Tenant, since: datetime) -> list[UUID]:
    """Threats with mail in the window, and all others of their campaigns."""
    threats = Incident.objects.filter(tenant=tenant, merged_into=None).exclude(
        kind__in=(Incident.Kind.HEALTH, Incident.Kind.ACCOUNT)
    )
    recent = threats.filter(last_seen_at__gte=since)
    campaigns = {
        campaign_id for campaign_id in recent.values_list("campaign_id", flat=True) if campaign_id
    }
    rows = threats.filter(Q(last_seen_at__gte=since) | Q(campaign__in=campaigns))
    return list(rows.values_list("id", flat=True))


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
    for ids in by_cluster(found.group_of, members).values():
        for one, other in combinations(sorted(ids), 2):
            if not may_become_one(incidents[one], incidents[other]):
                pairs.append((first[one], first[other]))
    return pairs


def by_cluster(
    cluster_of: Mapping[UUID, UUID], members: Mapping[UUID, UUID]
) -> dict[UUID, set[UUID]]:
    """Cluster → the incidents that its mails stand in now."""
    found: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for mail_id, root in cluster_of.items():
        found[root].add(members[mail_id])
    return found


def _differing_parts(
    found: Canonical, members: Mapping[UUID, UUID], incidents: Mapping[UUID, Incident]
) -> list[frozenset[UUID]]:
    """The parts in which anything is not as it should be."""
    part_of = _parts(found, members, incidents)
    wrong = {part_of[mail_id] for mail_id in _misplaced(found, members, incidents)}
    for level in Edge.Level.values:
        gone, new = ledger_differences(level, found, members)
        wrong |= {part_of[row.a_id] for row in gone} | {part_of[row.b_id] for row in gone}
        wrong |= {part_of[link.a] for link in new}
    mails: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for mail_id in members:
        mails[part_of[mail_id]].add(mail_id)
    return [frozenset(mails[root]) for root in sorted(wrong)]


def _parts(
    found: Canonical, members: Mapping[UUID, UUID], incidents: Mapping[UUID, Incident]
) -> dict[UUID, UUID]:
    """Mail → its part: what hangs together now, or should, by incident or campaign."""
    together = [
        *members.items(),
        *found.group_of.items(),
        *found.campaign_of.items(),
        *((key, each.campaign_id) for key, each in incidents.items() if each.campaign_id),
    ]
    nodes = {end for pair in together for end in pair}
    return partition(nodes, (), together=together).root_of


def _misplaced(
    found: Canonical, members: Mapping[UUID, UUID], incidents: Mapping[UUID, Incident]
) -> list[UUID]:
    """A mail of every incident or campaign that is other than it should be."""
    wrong = []
    groups: dict[UUID, UUID] = {}
    homes: dict[UUID, UUID] = {}
    for mail_id, incident_id in members.items():
        if groups.setdefault(incident_id, found.group_of[mail_id]) != found.group_of[mail_id]:
            wrong.append(mail_id)
        campaign, cluster = incidents[incident_id].campaign_id, found.campaign_of[mail_id]
        if campaign is not None and homes.setdefault(campaign, cluster) != cluster:
            wrong.append(mail_id)
    wrong += [root for root, ids in by_cluster(found.group_of, members).items() if len(ids) > 1]
    for root, ids in by_cluster(found.campaign_of, members).items():
        campaigns = {incidents[each].campaign_id for each in ids}
        if len(campaigns) > 1 or (len(ids) > 1) == (campaigns == {None}):
            wrong.append(root)
    return wrong


def ledger_differences(
    level: str, found: Canonical, message_ids: Collection[UUID]
) -> tuple[list[Edge], list[Link]]:
    """Standing edges that lead out of a cluster, and links that hold one together and are not
    written.
    """
    is_group = level == Edge.Level.GROUP
    cluster_of = found.group_of if is_group else found.campaign_of
    used = (found.groups if is_group else found.campaigns).used
    rows = list(touching(standing(level), message_ids).filter(act=Edge.Act.LINK))
    inside = [row for row in rows if row.a_id in cluster_of and row.b_id in cluster_of]
    crossing = [row for row in inside if cluster_of[row.a_id] != cluster_of[row.b_id]]
    known = {(row.a_id, row.b_id) for row in rows}
    return crossing, [link for link in used if (link.a, link.b) not in known]
