"""One campaign over all clients in sight: who got it, who read it, and what can be done at once.

Counted in the database, whatever its size.  Every number is the length of a list that opens from
it, and the clients' rows add up to the totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from console.lib.cursor import read_cursor, read_id, read_time, write_cursor
from console.queries.blindness import Blind, Blindness
from console.queries.elsewhere import as_rows, incidents_everywhere
from console.queries.mail import Page, page_of
from console.queries.rows import can_block
from incidents import everywhere
from incidents.assessment import EXPOSED, reach_of_incident
from incidents.models import Delivery, Incident, IncidentMessage
from incidents.models.mail import Outcome, Place
from incidents.words import LET_THROUGH
from tenants.groups import clients_among
from tenants.models import Tenant

MOST_IN_ONE_ORDER = everywhere.MOST
PAGE = 50
SHOWN_OF_CLIENT = 3
MOST_SENDERS = 5
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
    "clicked": ("with a link opened", Q(clicked_at__isnull=False)),
    "replied": ("answered", Q(replied_at__isnull=False)),
    "forwarded": ("passed on", Q(forwarded_at__isnull=False)),
    "removed": ("removed", Q(place=Place.QUARANTINE)),
    "reported": ("reported", ~Q(person_verdict="")),
}
SHOWN = {**OUTCOMES, **FACTS}
LISTS = ("copies", "incidents")
# As ``Incident.is_called_harmless`` says it of one.
_CALLED_HARMLESS = Q(state=Incident.State.RESOLVED, classification__in=Incident.HARMLESS)


@dataclass(frozen=True, slots=True)
class Number:
    """``key`` opens the list of exactly these copies."""

    key: str
    words: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientShare:
    """One client's part.  ``percent`` of all copies of the campaign; ``latest`` of its incidents
    are named, all ``n_incidents`` are a list.
    """

    client: Tenant
    n_incidents: int
    latest: list[Incident]
    messages: int
    recipients: int
    copies: int
    percent: int
    numbers: list[Number]
    blind: Blind

    @property
    def more(self) -> int:
        return self.n_incidents - len(self.latest)


@dataclass(frozen=True, slots=True)
class IncidentList:
    rows: list[Incident]
    older: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPage:
    """``mails`` or ``incidents`` is the list that was asked for; the other one is None."""

    n_incidents: int
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
    more_senders: int
    mails: Page | None
    incidents: IncidentList | None

    @property
    def is_more_than_one_order(self) -> bool:
        return self.n_incidents > MOST_IN_ONE_ORDER

    @property
    def older(self) -> str:
        shown = self.mails or self.incidents
        return shown.older if shown else ""


def campaign_everywhere(incident: Incident) -> QuerySet[Incident]:
    """The incidents of its campaign, and of other clients in sight that are linked to it."""
    ids = incidents_everywhere(incident)
    return Incident.objects.filter(id__in=as_rows(ids), merged_into=None)


def can_be_pulled(incidents: QuerySet[Incident]) -> list[Incident]:
    """Those with copies in reach that no person closed as no threat, most in reach first, as many
    as one order may have.
    """
    found = incidents.annotate(reach=reach_of_incident()).filter(~_CALLED_HARMLESS, reach__gt=0)
    return _of_one_order(found.order_by("-reach", "id"))


def can_be_blocked(incidents: QuerySet[Incident]) -> list[Incident]:
    """Those whose sender a gateway of their client can hold, each sender once at a client, the
    latest first.
    """
    once = incidents.exclude(sender="").order_by("tenant_id", "sender", "-last_seen_at", "id")
    ids = once.distinct("tenant_id", "sender").values("id")
    found = _of_one_order(Incident.objects.filter(id__in=ids).order_by("-last_seen_at", "id"))
    blindness = Blindness(each.tenant_id for each in found)
    return [each for each in found if can_block(each, blindness.of(each.tenant_id))]


def _of_one_order(incidents: QuerySet[Incident]) -> list[Incident]:
    rows = incidents.select_related("tenant")[:MOST_IN_ONE_ORDER]
    return sorted(rows, key=lambda each: (each.tenant.name, each.number))


def campaign_page(
    incidents: QuerySet[Incident], *, show: str, client: str, of: str, cursor: str
) -> CampaignPage:
    """``show`` and ``client`` choose the rows of the list below, ``of`` which list; "" are all
    copies.
    """
    by_client = _incidents_of_clients(incidents)
    copies = _copies(incidents, by_client)
    numbers = _counted(copies)
    total = {key: sum(row[key] for row in numbers.values()) for key in _KEYS}
    senders = incidents.exclude(sender="").order_by("sender").values_list("sender", flat=True)
    senders = senders.distinct()
    here = Q(tenant__in=clients_among(client)) if client else Q()
    return CampaignPage(
        n_incidents=sum(row["n"] for row in by_client.values()),
        messages=total["messages"],
        recipients=total["recipients"],
        copies=total["copies"],
        outcomes=_numbers(total, OUTCOMES),
        facts=_numbers(total, FACTS),
        first_seen_at=min(row["first"] for row in by_client.values()),
        last_seen_at=max(row["last"] for row in by_client.values()),
        clients=_shares(incidents, by_client, numbers),
        in_reach=sum(row["reach"] or 0 for row in by_client.values()),
        senders=list(senders[:MOST_SENDERS]),
        more_senders=max(0, senders.count() - MOST_SENDERS),
        mails=(
            None if of == "incidents" else page_of(_narrow(copies, show).filter(here), cursor, {})
        ),
        incidents=_incident_list(incidents.filter(here), cursor) if of == "incidents" else None,
    )


_KEYS = ("messages", "recipients", "copies", *SHOWN)


def _incidents_of_clients(incidents: QuerySet[Incident]) -> dict[int, dict[str, Any]]:
    """Client → how many incidents, when, and how many copies are in reach, but for those of
    incidents that people called harmless.
    """
    rows: Any = (
        incidents.order_by()
        .values("tenant_id")
        .annotate(
            n=Count("id"),
            first=Min("first_seen_at"),
            last=Max("last_seen_at"),
            reach=Sum(reach_of_incident(), filter=~_CALLED_HARMLESS),
        )
    )
    return {row["tenant_id"]: dict(row) for row in rows}


def _copies(incidents: QuerySet[Incident], tenant_ids: Any) -> QuerySet[Delivery]:
    members = IncidentMessage.objects.filter(
        tenant=OuterRef("tenant"), message=OuterRef("message"), incident__in=incidents.values("id")
    )
    return Delivery.objects.filter(Exists(members), tenant__in=list(tenant_ids))


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


def _incident_list(incidents: QuerySet[Incident], cursor: str) -> IncidentList:
    """Newest first.  Raises ``WrongInput`` for a cursor that is none."""
    after = read_cursor(cursor, str, str)
    if after:
        at, last_id = read_time(after[0]), read_id(after[1])
        incidents = incidents.filter(Q(last_seen_at__lt=at) | Q(last_seen_at=at, id__lt=last_id))
    ordered = incidents.select_related("tenant").order_by("-last_seen_at", "-id")
    rows = list(ordered[: PAGE + 1])
    older = ""
    if len(rows) > PAGE:
        older = write_cursor(rows[PAGE - 1].last_seen_at.isoformat(), rows[PAGE - 1].id)
    return IncidentList(rows[:PAGE], older)


def percents_of(parts: Sequence[int]) -> list[int]:
    """Of their sum, rounded so that they add up to 100: the largest rests are rounded up.

    All 0 where the sum is.
    """
    whole = sum(parts)
    if not whole:
        return [0] * len(parts)
    found = [100 * part // whole for part in parts]
    by_rest = sorted(range(len(parts)), key=lambda n: -(100 * parts[n] % whole))
    for n in by_rest[: 100 - sum(found)]:
        found[n] += 1
    return found


def _shares(
    incidents: QuerySet[Incident],
    by_client: dict[int, dict[str, Any]],
    numbers: dict[int, dict[str, int]],
) -> list[ClientShare]:
    blindness = Blindness(by_client)
    clients = Tenant.objects.in_bulk(by_client)
    latest = _latest_of(incidents)
    parts = [numbers[each]["copies"] if each in numbers else 0 for each in by_client]
    percents = dict(zip(by_client, percents_of(parts), strict=True))
    found = []
    for tenant_id, counted in by_client.items():
        row = numbers.get(tenant_id) or dict.fromkeys(_KEYS, 0)
        facts = {key: FACTS[key] for key in ("inbox", "read", "replied", "removed")}
        found.append(
            ClientShare(
                client=clients[tenant_id],
                n_incidents=counted["n"],
                latest=latest.get(tenant_id, []),
                messages=row["messages"],
                recipients=row["recipients"],
                copies=row["copies"],
                percent=percents[tenant_id],
                numbers=_numbers(row, {"held": OUTCOMES["held"], **facts}),
                blind=blindness.of(tenant_id),
            )
        )
    return sorted(found, key=lambda share: (-share.copies, share.client.name))


def _latest_of(incidents: QuerySet[Incident]) -> dict[int, list[Incident]]:
    """Client → the latest incidents, ``SHOWN_OF_CLIENT`` at most."""
    order = [F("last_seen_at").desc(), F("id").desc()]
    place = Window(RowNumber(), partition_by="tenant", order_by=order)
    found: dict[int, list[Incident]] = {}
    for each in incidents.annotate(place=place).filter(place__lte=SHOWN_OF_CLIENT):
        found.setdefault(each.tenant_id, []).append(each)
    return found
