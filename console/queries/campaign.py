"""One campaign over all clients in sight: who got it, who read it, and what can be done at once.

Every number is the length of a list that opens from it, and the clients' rows add up to the totals.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from console.queries.blindness import Blind, Blindness
from console.queries.elsewhere import same_at_other_clients
from console.queries.mail import Page, page_of
from incidents import everywhere
from incidents.assessment import EXPOSED, within_reach
from incidents.models import Delivery, Incident, IncidentMessage
from incidents.models.mail import Outcome, Place
from incidents.words import LET_THROUGH
from tenants.groups import of_clients

# As many as one order may reach; with more, the page says that it shows the latest.
MOST_INCIDENTS = everywhere.MOST
_NOT_KNOWN = Q(outcome__in=(Outcome.DEFERRED, Outcome.UNKNOWN))
# What became of the copies at first: these add up to all of them.
OUTCOMES = {
    "delivered": ("delivered", Q(outcome__in=LET_THROUGH)),
    "held": ("held by the gateway", Q(outcome=Outcome.HELD)),
    "rejected": ("refused", Q(outcome=Outcome.REJECTED)),
    "open": ("put off or not known", _NOT_KNOWN),
}
# What is known of them since: a copy can stand in several.
FACTS = {
    "inboxed": ("lay in an inbox", Q(was_exposed=True)),
    "inbox": ("in an inbox now", Q(place__in=EXPOSED)),
    "read": ("read", Q(is_read=True)),
    "replied": ("answered", Q(replied_at__isnull=False)),
    "forwarded": ("passed on", Q(forwarded_at__isnull=False)),
    "removed": ("removed", Q(place=Place.QUARANTINE)),
    "reported": ("reported", ~Q(person_verdict="")),
}
SHOWN = {**OUTCOMES, **FACTS}


@dataclass(frozen=True, slots=True)
class Number:
    """``key`` opens the list of exactly these copies."""

    key: str
    words: str
    n: int


@dataclass(frozen=True, slots=True)
class ClientShare:
    """One client's part.  ``percent`` of all copies of the campaign."""

    client: Any
    incidents: list[Incident]
    messages: int
    recipients: int
    copies: int
    percent: int
    numbers: list[Number]
    blind: Blind


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPage:
    incidents: list[Incident]
    messages: int
    recipients: int
    copies: int
    outcomes: list[Number]
    facts: list[Number]
    first_seen_at: datetime
    last_seen_at: datetime
    clients: list[ClientShare]
    in_reach: int
    senders: list[str]
    mails: Page

    @property
    def is_cut(self) -> bool:
        """There may be more incidents than are counted here."""
        return len(self.incidents) >= MOST_INCIDENTS


def incidents_of_campaign(incident: Incident) -> list[Incident]:
    """The incidents of its campaign, and those of other clients in sight with the same mail."""
    own = [incident]
    if incident.campaign_id is not None:
        siblings = Incident.objects.filter(tenant=incident.tenant_id, campaign=incident.campaign_id)
        own = list(siblings.order_by("-last_seen_at")[:MOST_INCIDENTS])
    alike = same_at_other_clients(own)
    others = {other for found in alike.values() for other in found}
    found = Incident.objects.filter(
        id__in=others | {incident.id, *(each.id for each in own)}, merged_into=None
    ).select_related("tenant")
    latest = found.order_by("-last_seen_at", "-id")[:MOST_INCIDENTS]
    return sorted(latest, key=lambda each: (each.tenant.name, each.number))


def pullable_everywhere(incident: Incident) -> list[Incident]:
    """Those of the campaign with a copy in reach that no person has closed as no threat."""
    return [
        each
        for each in incidents_of_campaign(incident)
        if within_reach(each.counts) and not each.is_called_harmless
    ]


def blockable_everywhere(incident: Incident) -> list[Incident]:
    """Those of the campaign whose sender can be read."""
    return [each for each in incidents_of_campaign(incident) if each.sender]


def campaign_page(
    incidents: Sequence[Incident], *, show: str, client: str, cursor: str
) -> CampaignPage:
    """``show`` and ``client`` choose the copies of the list below; "" are all."""
    copies = _copies(incidents)
    by_tenant = _counted(copies)
    total = {key: sum(row[key] for row in by_tenant.values()) for key in _KEYS}
    listed = of_clients(_narrow(copies, show), client)
    return CampaignPage(
        incidents=list(incidents),
        messages=total["messages"],
        recipients=total["recipients"],
        copies=total["copies"],
        outcomes=_numbers(total, OUTCOMES),
        facts=_numbers(total, FACTS),
        first_seen_at=min(incident.first_seen_at for incident in incidents),
        last_seen_at=max(incident.last_seen_at for incident in incidents),
        clients=_shares(incidents, by_tenant, total["copies"]),
        in_reach=sum(within_reach(each.counts) for each in incidents if each.is_open),
        senders=sorted({incident.sender for incident in incidents if incident.sender}),
        mails=page_of(listed, cursor, {}),
    )


_KEYS = ("messages", "recipients", "copies", *SHOWN)


def _copies(incidents: Collection[Incident]) -> QuerySet[Delivery]:
    members = IncidentMessage.objects.filter(
        tenant=OuterRef("tenant"),
        message=OuterRef("message"),
        incident__in=[incident.id for incident in incidents],
    )
    tenant_ids = {incident.tenant_id for incident in incidents}
    return Delivery.objects.filter(Exists(members), tenant__in=tenant_ids)


def _counted(copies: QuerySet[Delivery]) -> dict[int, dict[str, int]]:
    """Client → its numbers; one query."""
    numbers = {key: Count("id", filter=rule) for key, (_, rule) in SHOWN.items()}
    rows: Any = (
        copies.order_by()
        .values("tenant_id")
        .annotate(
            copies=Count("id"),
            messages=Count("message_id", distinct=True),
            recipients=Count("recipient", distinct=True),
            **numbers,
        )
    )
    return {row["tenant_id"]: dict(row) for row in rows}


def _narrow(copies: QuerySet[Delivery], show: str) -> QuerySet[Delivery]:
    return copies.filter(SHOWN[show][1]) if show in SHOWN else copies


def _numbers(counted: dict[str, int], which: dict[str, tuple[str, Q]]) -> list[Number]:
    return [Number(key, words, counted[key]) for key, (words, _) in which.items()]


def _shares(
    incidents: Sequence[Incident], by_tenant: dict[int, dict[str, int]], copies: int
) -> list[ClientShare]:
    blindness = Blindness(by_tenant)
    mine: dict[int, list[Incident]] = {}
    for incident in incidents:
        mine.setdefault(incident.tenant_id, []).append(incident)
    found = []
    for tenant_id, own in mine.items():
        row = by_tenant.get(tenant_id) or dict.fromkeys(_KEYS, 0)
        facts = {key: FACTS[key] for key in ("inbox", "read", "replied", "removed")}
        found.append(
            ClientShare(
                client=own[0].tenant,
                incidents=own,
                messages=row["messages"],
                recipients=row["recipients"],
                copies=row["copies"],
                percent=round(100 * row["copies"] / copies) if copies else 0,
                numbers=_numbers(row, {"held": OUTCOMES["held"], **facts}),
                blind=blindness.of(tenant_id),
            )
        )
    return sorted(found, key=lambda share: (-share.copies, share.client.name))
