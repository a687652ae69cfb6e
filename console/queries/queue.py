"""The queue: which incidents stand in it, and in which order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, F, Prefetch, Q, QuerySet
from django.utils import timezone

from console.lib.cursor import PAGE, read_cursor, read_id, read_time, write_cursor
from console.queries.against import OTHERS_AGAINST
from console.queries.named import has_ticket, read_number
from console.queries.rows import ROW_FIELDS, Row, rows_for
from incidents.campaigns.traits import make_trait
from incidents.codes import CROSS_LAYER
from incidents.mail.urls import registered_domain
from incidents.models import Delivery, Incident, IncidentMessage, Message, MessageTrait, Pause
from incidents.prevalence import LISTED_FOR
from incidents.services.quiet import awake
from incidents.services.skills import fitting_skills
from incidents.words import HARMLESS, THREATS
from tenants.groups import of_clients
from tenants.models import Person, Tenant
from tenants.scope import current_scope

MOST_MAILS = 1_000
# Row-level security turns text indexes off, and an incident may have been open for long: what is
# searched for is bounded by when its mail was last seen.
SEARCHED = {"30": "30 days", "90": "90 days", "365": "a year"}
USUALLY_SEARCHED = "30"
LAYERS = {
    "gateway": "Condemned by the gateway only",
    "mailbox": "Condemned by the mailbox layer only",
    "both": "Condemned by both",
}
ANY_DISAGREEMENT = "any"
FITS_ME = "mine"


@dataclass(frozen=True, slots=True)
class Filters:
    """What the reader asked for; "" means any.

    ``client`` as ``of_clients`` takes it; ``entity``: an address or a domain; ``fit`` is ``mine``:
    what the reader has the skills for; ``days``: how far back ``q`` and ``entity`` are searched, a
    key of ``SEARCHED``.
    """

    q: str = ""
    client: str = ""
    severity: str = ""
    kind: str = ""
    state: str = ""
    layer: str = ""
    differ: str = ""
    entity: str = ""
    fit: str = ""
    days: str = ""

    @property
    def searched(self) -> str:
        """In words; "" where nothing is searched for."""
        return SEARCHED[self._days] if self.q or self.entity else ""

    @property
    def wider(self) -> list[tuple[str, str]]:
        """How far back one may look beyond that; which domain wrote is kept for 90 days."""
        is_domain = bool(self.entity) and "@" not in self.entity
        keys = [key for key in SEARCHED if not (is_domain and int(key) > LISTED_FOR.days)]
        if self._days not in keys:
            return []
        return [(key, SEARCHED[key]) for key in keys[keys.index(self._days) + 1 :]]

    @property
    def since(self) -> datetime:
        return timezone.now() - timedelta(days=int(self._days))

    @property
    def _days(self) -> str:
        return self.days if self.days in SEARCHED else USUALLY_SEARCHED

    @property
    def is_empty(self) -> bool:
        return replace(self, days="") == Filters()

    def as_dict(self) -> dict[str, str]:
        """Those that are set, as they stand in an address."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Row]
    older: str
    shown: str = ""
    filters: Filters = field(default_factory=Filters)


def incidents_of_tab(tab: str, person: Person) -> QuerySet[Incident]:
    open_ones = Incident.objects.exclude(state=Incident.State.RESOLVED)
    if tab == "waiting":
        return open_ones.filter(_waits_for_client())
    if tab == "quiet":
        return open_ones.exclude(awake())
    if tab == "mine":
        return open_ones.filter(_needs(person), awake())
    return open_ones.filter(awake())


def _needs(person: Person) -> Q:
    """Hers, or nobody's and new, or contained by Bailey and nobody's to close; not what waits for
    somebody else's word.
    """
    nobodys = Q(owner_id=None, state__in=[Incident.State.NEW, Incident.State.CONTAINED])
    return (Q(owner_id=person.id) | nobodys) & Q(waiting_since=None)


def _waits_for_client() -> Q:
    return Q(waiting_since__isnull=False) & ~Q(waiting_for=Pause.Cause.VENDOR)


def tab_counts(person: Person) -> dict[str, int]:
    """How many incidents stand in each tab; one pass over the open ones."""
    return Incident.objects.exclude(state=Incident.State.RESOLVED).aggregate(
        mine=Count("id", filter=_needs(person) & awake()),
        team=Count("id", filter=awake()),
        waiting=Count("id", filter=_waits_for_client()),
        quiet=Count("id", filter=~awake()),
    )


def queue_page(tab: str, person: Person, filters: Filters, cursor: str) -> Page:
    """Money or an account at risk first, then what is in reach, then what is due, then the oldest.

    Raises ``WrongInput`` for a cursor that is none.
    """
    found = _after(fitting(tab, person, filters), cursor)
    soonest = F("due_at").asc(nulls_last=True)
    # The ids first, which the index gives in order; rows and clients afterwards, by their ids.
    # Joined to the clients, all open incidents were read and sorted.
    ordered = found.order_by("-queue_rank", soonest, "opened_at", "id")
    clients = dict(ordered.values_list("id", "tenant_id")[: PAGE + 1])
    # With their clients said, each is looked up by its id; else each id at every client in sight.
    rows = Incident.objects.filter(
        tenant_id__any_of=set(clients.values()), id__any_of=list(clients)
    ).prefetch_related(Prefetch("tenant", Tenant.objects.only("name")))
    rows = rows.only(*ROW_FIELDS)
    by_id = {incident.id: incident for incident in rows}
    incidents = [by_id[each] for each in clients if each in by_id]
    older = ""
    if len(incidents) > PAGE:
        last = incidents[PAGE - 1]
        due = last.due_at.isoformat() if last.due_at else ""
        older = write_cursor(last.queue_rank, due, last.opened_at.isoformat(), last.id)
    return Page(rows_for(incidents[:PAGE], person), older, filters=filters)


def _after(incidents: QuerySet[Incident], cursor: str) -> QuerySet[Incident]:
    """What stands below the row that the cursor names; no time due stands last."""
    after = read_cursor(cursor, int, str, str, str)
    if not after:
        return incidents
    rank, opened, last_id = after[0], read_time(after[2]), read_id(after[3])
    later = Q(opened_at__gt=opened) | Q(opened_at=opened, id__gt=last_id)
    below = Q(due_at=None) & later
    if after[1]:
        due = read_time(after[1])
        below = Q(due_at__gt=due) | Q(due_at=None) | Q(due_at=due) & later
    return incidents.filter(queue_rank__lte=rank).filter(Q(queue_rank__lt=rank) | below)


def fitting(tab: str, person: Person, filters: Filters) -> QuerySet[Incident]:
    """All of this tab that the filters let through."""
    found = _narrow(incidents_of_tab(tab, person), filters)
    return fitting_skills(found, person) if filters.fit == FITS_ME else found


def _narrow(incidents: QuerySet[Incident], filters: Filters) -> QuerySet[Incident]:
    incidents = of_clients(incidents, filters.client)
    if filters.severity:
        incidents = incidents.filter(severity=filters.severity)
    if filters.kind:
        incidents = incidents.filter(kind=filters.kind)
    if filters.state:
        incidents = incidents.filter(state=filters.state)
    incidents = _narrow_by_layers(incidents, filters)
    if filters.entity:
        incidents = incidents.filter(id__in=_incidents_about(filters.entity, filters.since))
    return _search(incidents, filters.q, filters.since) if filters.q else incidents


def _narrow_by_layers(incidents: QuerySet[Incident], filters: Filters) -> QuerySet[Incident]:
    by_gateway = Q(gateway_verdict__in=THREATS)
    by_mailbox = Q(mailbox_verdict__in=THREATS)
    wish = {
        "gateway": by_gateway & ~by_mailbox,
        "mailbox": by_mailbox & ~by_gateway,
        "both": by_gateway & by_mailbox,
    }.get(filters.layer)
    if wish is not None:
        incidents = incidents.filter(wish)
    if filters.differ == ANY_DISAGREEMENT:
        incidents = incidents.filter(
            by_gateway & Q(mailbox_verdict__in=HARMLESS)
            | by_mailbox & Q(gateway_verdict__in=HARMLESS)
            | Q(cross_layer__overlap=sorted(OTHERS_AGAINST))
        )
    elif filters.differ in CROSS_LAYER:
        incidents = incidents.filter(cross_layer__contains=[filters.differ])
    return incidents


def _search(incidents: QuerySet[Incident], q: str, since: datetime) -> QuerySet[Incident]:
    """A number, a ticket's number, an address, a Message-ID, or words of title, subject or sender,
    among what was last seen ``since`` then.
    """
    incidents = incidents.filter(last_seen_at__gte=since)
    of_ticket = has_ticket(q)
    if (number := read_number(q)) is not None:
        of_scope = Q(tenant__in=current_scope().tenant_ids)
        return incidents.filter(Q(number=number) & of_scope | of_ticket)
    words = of_ticket | Q(title__icontains=q) | Q(subject__icontains=q) | Q(sender__icontains=q)
    if q.startswith("<"):
        named = Message.objects.filter(internet_message_id=q, first_seen_at__gte=since)
        mails = set(named.values_list("id", flat=True)[:MOST_MAILS])
        words |= Q(id__in=_incidents_with(mails))
    elif "@" in q:
        words |= Q(id__in=_incidents_about(q, since))
    return incidents.filter(words)


def _incidents_about(entity: str, since: datetime) -> list[UUID]:
    """Incidents with mail from this address or domain, or to this address; the latest mails count.

    Each by its index, one after the other: asked as one condition, every open incident was looked
    into.
    """
    entity = entity.lower()
    if "@" not in entity:
        return _incidents_with(_of_domain(entity, since))
    sent = Message.objects.filter(sender_address=entity, first_seen_at__gte=since)
    mails = set(sent.values_list("id", flat=True)[:MOST_MAILS])
    copies = Delivery.objects.filter(recipient=entity, received_at__gte=since)
    latest = copies.order_by("-received_at").values_list("message_id", flat=True)
    return _incidents_with(mails.union(latest[:MOST_MAILS]))


def _of_domain(domain: str, since: datetime) -> set[UUID]:
    """Mails of incidents: the domain as it is registered leads to them, and its own part of it
    decides.
    """
    trait = make_trait("sender_domain", registered_domain(domain) or domain)
    traits = MessageTrait.objects.filter(
        kind=trait.kind, value=trait.value, seen_at__gte=since
    ).order_by("-seen_at")
    newest = list(traits.values_list("message_id", flat=True)[:MOST_MAILS])
    mails = Message.objects.filter(
        tenant__in=current_scope().tenant_ids, id__in=newest, sender_domain=domain
    )
    return set(mails.values_list("id", flat=True))


def _incidents_with(mails: Collection[UUID]) -> list[UUID]:
    members = IncidentMessage.objects.filter(
        tenant__in=current_scope().tenant_ids, message__in=mails
    )
    return list(members.values_list("incident_id", flat=True))
