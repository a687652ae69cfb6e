"""Why mails stand together, and what was done to the boundaries of an incident."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from console.queries.incident import Member, members_of
from incidents.campaigns.explain import CampaignTie, why_in_campaign, why_in_incident
from incidents.models import Campaign, Incident, Regrouping
from incidents.regroup import undoable

MOST_REASONS = 5
SHOWN_INCIDENTS = 100


@dataclass(frozen=True, slots=True)
class Reasoned:
    """A mail with every reason for its place here; ``reasons`` may be cut, ``more`` says it."""

    member: Member
    reasons: list[str]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    incident: Incident
    mails: list[Reasoned]
    campaign: Campaign | None
    siblings: list[Incident]
    ties: list[CampaignTie]
    redirects: list[Incident]
    done: list[Regrouping]


def together_page(incident: Incident) -> Together:
    why = why_in_incident(incident)
    siblings = (
        list(
            Incident.objects.filter(tenant=incident.tenant_id, campaign=incident.campaign)
            .exclude(id=incident.id)
            .order_by("-last_seen_at")[:SHOWN_INCIDENTS]
        )
        if incident.campaign_id
        else []
    )
    return Together(
        incident=incident,
        mails=[_reasoned(member, why) for member in members_of(incident)],
        campaign=incident.campaign,
        siblings=siblings,
        ties=why_in_campaign(incident)[:SHOWN_INCIDENTS],
        redirects=list(
            Incident.objects.filter(tenant=incident.tenant_id, merged_into=incident).order_by(
                "number"
            )
        ),
        done=undoable(incident),
    )


def _reasoned(member: Member, why: dict[UUID, list[str]]) -> Reasoned:
    reasons = why.get(member.message.id) or [member.reason]
    return Reasoned(member, reasons[:MOST_REASONS], max(0, len(reasons) - MOST_REASONS))
