"""What people do with campaigns: join two incidents' campaigns, take an incident out; undo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from incidents.campaigns.belonging import put_into, refresh_campaign
from incidents.campaigns.joining import mails_hanging_on, unite
from incidents.campaigns.ledger import crossing, kept_apart_still, withdraw, write_words
from incidents.campaigns.moving import message_ids_of
from incidents.holding import hold_incidents, take_turn
from incidents.models import Campaign, Edge, Incident, Regrouping
from incidents.regrouping_rules import (
    audit_regrouping,
    check_has_mail,
    check_may_be_one,
    check_reason,
    locked,
)
from tenants.errors import Conflict, WrongInput
from tenants.models import Person

JOINED = "incidents.campaign.joined"
LEFT = "incidents.campaign.left"


@transaction.atomic
def join_campaign(*, incident: Incident, other: Incident, actor: Person, reason: str) -> Regrouping:
    """Both incidents, and all that is in campaigns with them, are one campaign from now on."""
    check_reason(reason)
    take_turn(incident.tenant_id)
    incident, other = locked(incident, other)
    check_may_be_one(incident, other)
    check_has_mail(incident, other)
    if incident.campaign_id is not None and incident.campaign_id == other.campaign_id:
        raise Conflict("They are in one campaign already.")
    before = _standing_of(incident, other)
    left, right = mails_hanging_on(incident), mails_hanging_on(other)
    against = list(crossing(Edge.Level.CAMPAIGN, left, right).filter(act=Edge.Act.CANNOT))
    withdraw(against, who=actor, reason=reason.strip())
    pair = (message_ids_of(incident)[0], message_ids_of(other)[0])
    written = write_words(
        incident.tenant_id, Edge.Level.CAMPAIGN, together=[pair], who=actor, reason=reason.strip()
    )
    unite(incident.tenant, [incident, other])
    done = _note(
        Regrouping.Kind.CAMPAIGN_MERGE, incident, other, actor, reason, before, written, against
    )
    audit_regrouping(done, JOINED, actor)
    return done


@transaction.atomic
def leave_campaign(*, incident: Incident, actor: Person, reason: str) -> Regrouping:
    """Take the incident out of its campaign; the others stay together."""
    check_reason(reason)
    take_turn(incident.tenant_id)
    (incident,) = locked(incident)
    if incident.campaign is None:
        raise WrongInput("This incident is in no campaign.")
    others = list(
        Incident.objects.filter(campaign=incident.campaign)
        .exclude(id=incident.id)
        .order_by("number")
    )
    if not others:
        raise WrongInput("Its campaign has no other incident: there is nothing to take it out of.")
    before = _standing_of(incident)
    own = message_ids_of(incident)
    theirs = [message_ids_of(other) for other in others]
    rest = [message_id for mails in theirs for message_id in mails]
    against = list(crossing(Edge.Level.CAMPAIGN, own, rest).exclude(act=Edge.Act.CANNOT))
    still = kept_apart_still(
        Edge.Level.CAMPAIGN, own, rest, together=_of_one_incident(own, *theirs)
    )
    withdraw(against, who=actor, reason=reason.strip())
    firsts = [mails[0] for mails in theirs]
    written = write_words(
        incident.tenant_id,
        Edge.Level.CAMPAIGN,
        together=[(firsts[0], other) for other in firsts[1:]],
        apart=[(own[0], firsts[0]), *still],
        who=actor,
        reason=reason.strip(),
    )
    put_into(None, [incident.id])
    if len(others) == 1:
        put_into(None, [others[0].id])
    done = _note(
        Regrouping.Kind.CAMPAIGN_SPLIT,
        incident,
        others[0],
        actor,
        reason,
        before,
        written,
        against,
    )
    audit_regrouping(done, LEFT, actor)
    return done


def _of_one_incident(*incidents: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
    return [(mails[0], other) for mails in incidents for other in mails[1:]]


def _standing_of(*incidents: Incident) -> dict[str, Any]:
    """Which campaign every incident is in that one of these hangs together with."""
    campaigns = {incident.campaign_id for incident in incidents if incident.campaign_id}
    rows = dict(
        Incident.objects.filter(campaign__in=campaigns).values_list("id", "campaign_id")
    ) | {incident.id: incident.campaign_id for incident in incidents}
    return {str(key): str(campaign) if campaign else None for key, campaign in rows.items()}


def _note(
    kind: Regrouping.Kind,
    incident: Incident,
    other: Incident,
    actor: Person,
    reason: str,
    before: dict[str, Any],
    written: list[Edge],
    withdrawn: list[Edge],
) -> Regrouping:
    members = Incident.objects.filter(id__in=[UUID(key) for key in before])
    after = {
        str(key): str(campaign) if campaign else None
        for key, campaign in members.values_list("id", "campaign_id")
    }
    return Regrouping.objects.create(
        tenant_id=incident.tenant_id,
        kind=kind,
        incident=incident,
        other=other,
        who=actor.name,
        who_id=actor.id,
        reason=reason.strip(),
        record={
            "campaigns_before": before,
            "campaigns_after": after,
            "edges": [str(edge.id) for edge in written],
            "withdrawn": [str(edge.id) for edge in withdrawn],
        },
    )


def put_campaigns_back(done: Regrouping) -> None:
    """Every incident goes back into its campaign, unless it was moved on since then."""
    after = done.record["campaigns_after"]
    touched: set[str] = set()
    hold_incidents([UUID(key) for key in done.record["campaigns_before"]])
    for key, campaign in done.record["campaigns_before"].items():
        rows = Incident.objects.filter(id=key, campaign=after[key])
        if campaign != after[key] and rows.update(campaign=campaign):
            touched |= {each for each in (campaign, after[key]) if each}
    for row in Campaign.objects.filter(id__in=touched):
        if Incident.objects.filter(campaign=row).exists() and row.merged_into_id is not None:
            row.merged_into = None
            row.save(update_fields=["merged_into"])
        refresh_campaign(row)
