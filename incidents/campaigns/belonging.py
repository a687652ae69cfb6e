"""Campaigns as rows: which incident is in which, joining two, and their numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Max, Min

from incidents.holding import hold_campaigns, hold_incidents, take_turn
from incidents.models import Campaign, Incident, IncidentMessage


def new_campaign(tenant_id: int, incidents: Iterable[Incident]) -> Campaign:
    """A campaign of these incidents."""
    take_turn(tenant_id)
    members = sorted(incidents, key=lambda incident: (incident.first_seen_at, incident.number))
    last = Campaign.objects.filter(tenant=tenant_id).aggregate(number=Max("number"))["number"] or 0
    campaign = Campaign.objects.create(
        tenant_id=tenant_id,
        number=last + 1,
        first_seen_at=members[0].first_seen_at,
        last_seen_at=max(incident.last_seen_at for incident in members),
    )
    put_into(campaign, [incident.id for incident in members])
    return campaign


def put_into(campaign: Campaign | None, incident_ids: Iterable[UUID]) -> None:
    """``campaign`` None: into none.  Needs the client's turn."""
    ids = list(incident_ids)
    hold_incidents(ids)
    Incident.objects.filter(id__in=ids).update(campaign=campaign)
    if campaign is not None:
        refresh_campaign(campaign)


def refresh_campaign(campaign: Campaign) -> None:
    """First and last seen follow from its incidents."""
    seen = Incident.objects.filter(campaign=campaign).aggregate(
        first=Min("first_seen_at"), last=Max("last_seen_at")
    )
    if seen["first"] is not None:
        campaign.first_seen_at, campaign.last_seen_at = seen["first"], seen["last"]
        campaign.save(update_fields=["first_seen_at", "last_seen_at"])


def join_campaigns(kept: Campaign, gone: Campaign) -> dict[str, Any]:
    """All incidents of ``gone`` go to ``kept``; answers what ``part_campaigns`` needs."""
    members = list(Incident.objects.filter(campaign=gone).values_list("id", flat=True))
    hold_incidents(members)
    hold_campaigns([kept.id, gone.id])
    put_into(kept, members)
    Campaign.objects.filter(id=gone.id).update(merged_into=kept)
    return {
        "kept": str(kept.id),
        "gone": str(gone.id),
        "incidents": [str(member) for member in members],
    }


def part_campaigns(record: dict[str, Any]) -> None:
    """The opposite of ``join_campaigns``, for the incidents that are still where it put them."""
    kept, gone = Campaign.objects.get(id=record["kept"]), Campaign.objects.get(id=record["gone"])
    hold_incidents([UUID(each) for each in record["incidents"]])
    hold_campaigns([kept.id, gone.id])
    back = Incident.objects.filter(campaign=kept, id__in=record["incidents"])
    back.update(campaign=gone)
    Campaign.objects.filter(id=gone.id).update(merged_into=None)
    gone.merged_into = None
    refresh_campaign(kept)
    refresh_campaign(gone)


def campaign_now(campaign_id: UUID) -> UUID:
    """Where its number leads: itself, or the campaign that it went into in the end."""
    while True:
        row = Campaign.objects.get(id=campaign_id)
        if row.merged_into_id is None:
            return campaign_id
        campaign_id = row.merged_into_id


def messages_of_campaign(campaign: Campaign) -> list[UUID]:
    """Oldest first."""
    rows = IncidentMessage.objects.filter(
        tenant=campaign.tenant_id, incident__campaign=campaign
    ).order_by("message__first_seen_at", "message_id")
    return list(rows.values_list("message_id", flat=True))
