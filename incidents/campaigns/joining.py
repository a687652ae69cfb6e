"""Campaigns as mail comes in: a bounded step for each new mail of an incident.

It does what the canonical pass would do with the same links; where a guard has to look at whole
campaigns, the step leaves the question to the nightly pass (incidents/campaigns/nightly.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from incidents import prevalence
from incidents.campaigns.belonging import (
    join_campaigns,
    messages_of_campaign,
    new_campaign,
    put_into,
)
from incidents.campaigns.canonical import GUARDS, text_keys
from incidents.campaigns.evidence import Link, Mail, Rarity, campaign_link
from incidents.campaigns.ledger import standing, write_links
from incidents.campaigns.moving import message_ids_of
from incidents.campaigns.store import mails_of, rarity_of
from incidents.models import (
    Campaign,
    Edge,
    GroupKey,
    Incident,
    IncidentMessage,
    MessageTrait,
)
from tenants.models import Tenant

# Seven days halve a link: after six weeks nothing but a shared account reaches the threshold.
WINDOW = timedelta(days=42)
MOST_ROWS = 400
MOST_COMPARED = 60


def follow_campaigns(tenant: Tenant, new: Sequence[Mail]) -> None:
    """Link the incidents of these new mails, oldest first, with others of the client.

    Needs its scope.
    """
    if not new:
        return
    members = IncidentMessage.objects.filter(message__in=[mail.id for mail in new]).exclude(
        incident__kind=Incident.Kind.HEALTH
    )
    incident_of = dict(members.values_list("message_id", "incident_id"))
    mails = [mail for mail in new if mail.id in incident_of]
    rarity = rarity_of(tenant.id, mails)
    total = prevalence.total_messages()
    for mail in mails:
        own = incident_of[mail.id]
        links = _links_of(tenant, mail, own, rarity)
        campaign_of = _campaigns_of(own, *links)
        for other, link in links.items():
            # As a rule they are in one campaign already: that costs no look at the database.
            is_one = campaign_of[own] is not None and campaign_of[own] == campaign_of[other]
            if not is_one and _follow(tenant, link):
                write_links(tenant.id, Edge.Level.CAMPAIGN, [link], total)
                campaign_of = _campaigns_of(own, *links)


def _campaigns_of(*incident_ids: UUID) -> dict[UUID, UUID | None]:
    return dict(Incident.objects.filter(id__in=incident_ids).values_list("id", "campaign_id"))


def _links_of(tenant: Tenant, mail: Mail, incident_id: UUID, rarity: Rarity) -> dict[UUID, Link]:
    """Other incident → the strongest link to it, strongest first."""
    members = {
        member.message_id: member
        for member in IncidentMessage.objects.select_related("message")
        .filter(message__in=_near_mails(tenant, mail, rarity))
        .exclude(incident=incident_id)
        .exclude(incident__kind=Incident.Kind.HEALTH)
    }
    links = []
    for other in mails_of([member.message for member in members.values()]):
        link = campaign_link(mail, other, rarity)
        if link is not None:
            links.append((-link.strength, link.a, link.b, members[other.id].incident_id, link))
    best: dict[UUID, Link] = {}
    for *_, other_incident, link in sorted(links, key=lambda row: row[:3]):
        best.setdefault(other_incident, link)
    return best


def _near_mails(tenant: Tenant, mail: Mail, rarity: Rarity) -> list[UUID]:
    window = (mail.seen_at - WINDOW, mail.seen_at + WINDOW)
    telling = {key for key, trait in mail.traits.items() if rarity.weighs(trait) > 0}
    by_trait = MessageTrait.objects.filter(
        tenant=tenant,
        kind__in={kind for kind, _ in telling},
        value__in=[value for _, value in telling],
        seen_at__range=window,
    ).order_by("-seen_at")
    by_text = GroupKey.objects.filter(
        tenant=tenant,
        kind__in=("content", "text"),
        value__in=[value for _, value in text_keys(mail)],
        last_seen_at__range=window,
    ).order_by("-last_seen_at")
    found = dict(by_trait.values_list("message_id", "seen_at")[:MOST_ROWS])
    found |= dict(by_text.values_list("message_id", "last_seen_at")[:MOST_ROWS])
    found.pop(mail.id, None)
    return sorted(found, key=lambda other: (abs(found[other] - mail.seen_at), other))[
        :MOST_COMPARED
    ]


def _follow(tenant: Tenant, link: Link) -> bool:
    """Whether the link joined two campaigns, or an incident to one."""
    ends = IncidentMessage.objects.filter(message__in=(link.a, link.b))
    incidents = [
        member.incident for member in ends.select_related("incident__campaign").order_by("message")
    ]
    if len(incidents) < 2 or incidents[0].id == incidents[1].id:
        return False
    campaigns = [incident.campaign for incident in incidents]
    if campaigns[0] is not None and campaigns[0] == campaigns[1]:
        return False
    if is_kept_apart(incidents) or _needs_a_second_look(campaigns, link):
        return False
    unite(tenant, incidents)
    return True


def unite(tenant: Tenant, incidents: Sequence[Incident]) -> dict[str, object]:
    """One campaign for these incidents and all that hangs on them; the older number stays.

    Answers the record of two campaigns joined, {} where at most one was there before.
    """
    campaigns = sorted(
        {incident.campaign for incident in incidents if incident.campaign is not None},
        key=lambda campaign: campaign.number,
    )
    if not campaigns:
        new_campaign(tenant.id, incidents)
        return {}
    record = {}
    for gone in campaigns[1:]:
        record = join_campaigns(campaigns[0], gone)
    put_into(campaigns[0], [incident.id for incident in incidents])
    return record


def mails_hanging_on(incident: Incident) -> list[UUID]:
    """The mails of the incident's campaign; its own where it has none."""
    if incident.campaign is None:
        return message_ids_of(incident)
    return messages_of_campaign(incident.campaign)


def is_kept_apart(incidents: Sequence[Incident]) -> bool:
    """Whether a person said so of a mail of one side and one of the other.

    People say few such words: whose mails they are about is asked, not which mails all are.
    """
    (tenant_id,) = {incident.tenant_id for incident in incidents}
    words = standing(Edge.Level.CAMPAIGN).filter(tenant=tenant_id, act=Edge.Act.CANNOT)
    pairs = list(words.values_list("a_id", "b_id"))
    if not pairs:
        return False
    members = IncidentMessage.objects.filter(
        tenant=tenant_id, message__in={message_id for pair in pairs for message_id in pair}
    ).values_list("message_id", "incident_id", "incident__campaign_id")
    hangs_on = {message_id: campaign or incident for message_id, incident, campaign in members}
    sides = {incident.campaign_id or incident.id for incident in incidents}
    return any({hangs_on.get(a), hangs_on.get(b)} == sides for a, b in pairs)


def _needs_a_second_look(campaigns: Sequence[Campaign | None], link: Link) -> bool:
    """Two large campaigns, or one that would grow too large: the nightly pass sees the whole."""
    sizes = [
        1 if campaign is None else Incident.objects.filter(campaign=campaign).count()
        for campaign in campaigns
    ]
    too_large = sum(sizes) > GUARDS.most and link.strength < GUARDS.raised
    return too_large or min(sizes) >= GUARDS.large
