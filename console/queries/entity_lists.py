"""The mails and the incidents with one thing: newest first, of a period, page by page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from console.lib.cursor import read_cursor, read_id, read_time, write_cursor
from console.queries.entities import Thing, prevalence_of
from incidents.assessment import worst
from incidents.ledger import Period
from incidents.models import Delivery, Incident, IncidentMessage, Message, MessageTrait
from incidents.prevalence import mails_with
from incidents.words import differ
from tenants.scope import current_scope

PAGE = 50
# Where a thing is in more, the newest count.
MOST_INCIDENTS = 1_000
MOST_MEMBERS = 5_000
MOST_JUDGED = 500

Pair = tuple[int, UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRow:
    """A mail with the worst word of each layer over its copies ("" none, "not_seen": it never saw
    one).  ``incident_id`` None: in no incident.
    """

    mail: Message
    copies: int
    gateway: str
    mailbox: str
    incident_id: UUID | None

    @property
    def layers_differ(self) -> bool:
        return differ(self.gateway, self.mailbox)


@dataclass(frozen=True, slots=True)
class MailPage:
    rows: list[MailRow]
    older: str


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """``n``: how many there are in the period, at most ``MOST_INCIDENTS``."""

    rows: list[Incident]
    older: str
    n: int


@dataclass(frozen=True, slots=True)
class Judged:
    """To how many of the newest ``mails`` each layer gave which verdict."""

    mails: int
    gateway: dict[str, int]
    mailbox: dict[str, int]

    @property
    def rows(self) -> list[tuple[str, int, int]]:
        """(verdict, gateway's, mailbox layer's), the most frequent first."""
        both = Counter(self.gateway) + Counter(self.mailbox)
        return [(v, self.gateway.get(v, 0), self.mailbox.get(v, 0)) for v, _ in both.most_common()]


def mails_page(
    thing: Thing, period: Period, *, client: str = "", cursor: str = "", size: int = PAGE
) -> MailPage:
    """Raises ``WrongInput`` for a cursor that is none."""
    found = _newest(thing, period, client=client, before=_before(cursor), most=size + 1)
    older = ""
    if len(found) > size:
        _, at, last = found[size - 1]
        older = write_cursor(at.isoformat(), last)
    return MailPage(_rows([(tenant, mail) for tenant, _, mail in found[:size]]), older)


def _before(cursor: str) -> tuple[datetime, UUID] | None:
    after = read_cursor(cursor, str, str)
    return (read_time(after[0]), read_id(after[1])) if after else None


def newest_mails(thing: Thing, period: Period, *, client: str = "", most: int) -> list[Pair]:
    """(client, message) of the newest mails with it."""
    found = _newest(thing, period, client=client, before=None, most=most)
    return [(tenant, mail) for tenant, _, mail in found]


def _newest(
    thing: Thing,
    period: Period,
    *,
    client: str,
    before: tuple[datetime, UUID] | None,
    most: int,
) -> list[tuple[int, datetime, UUID]]:
    if thing.trait is not None:
        counted = prevalence_of(thing, period, client=client)
        at = [each.client.id for each in counted if _overlaps(each.last_seen_at, period)]
        return mails_with(
            thing.trait, at, since=period.since, until=period.until, before=before, most=most
        )
    copies = Delivery.objects.filter(
        recipient=thing.value, received_at__gte=period.since, received_at__lt=period.until
    )
    if client:
        copies = copies.filter(tenant__slug=client)
    if before:
        copies = copies.filter(received_at__lte=before[0]).exclude(
            received_at=before[0], message_id__gte=before[1]
        )
    newest = copies.order_by("-received_at", "-message_id")
    return list(newest.values_list("tenant_id", "received_at", "message_id")[:most])


def _overlaps(last_seen_at: datetime | None, period: Period) -> bool:
    return last_seen_at is not None and last_seen_at >= period.since


def _rows(pairs: Sequence[Pair]) -> list[MailRow]:
    clients, ids = _split(pairs)
    of_mails = {"tenant__in": clients, "message__in": ids}
    found = Message.objects.filter(tenant__in=clients, id__in=ids, same_as=None)
    mails = {mail.id: mail for mail in found.select_related("tenant")}
    copies: dict[UUID, list[Delivery]] = defaultdict(list)
    for copy in Delivery.objects.filter(**of_mails):
        copies[copy.message_id].append(copy)
    members = IncidentMessage.objects.filter(**of_mails)
    incidents = dict(members.values_list("message_id", "incident_id"))
    return [
        MailRow(
            mail=mails[mail],
            copies=len(copies[mail]),
            gateway=_said(copies[mail], "gateway"),
            mailbox=_said(copies[mail], "mailbox"),
            incident_id=incidents.get(mail),
        )
        for mail in ids
        if mail in mails
    ]


def _split(pairs: Sequence[Pair]) -> tuple[list[int], list[UUID]]:
    """The clients, and the mails, each once and in their order."""
    clients = sorted({tenant for tenant, _ in pairs})
    return clients, list(dict.fromkeys(mail for _, mail in pairs))


def _said(copies: Iterable[Delivery], layer: str) -> str:
    seen = [copy for copy in copies if getattr(copy, f"{layer}_at") is not None]
    return worst(getattr(copy, f"{layer}_verdict") for copy in seen) if seen else "not_seen"


def judged(thing: Thing, period: Period, *, client: str = "") -> Judged:
    clients, ids = _split(newest_mails(thing, period, client=client, most=MOST_JUDGED))
    copies = Delivery.objects.filter(tenant__in=clients, message__in=ids)
    said: dict[str, dict[UUID, set[str]]] = {"gateway": {}, "mailbox": {}}
    for mail, gateway, mailbox in copies.values_list(
        "message_id", "gateway_verdict", "mailbox_verdict"
    ):
        said["gateway"].setdefault(mail, set()).add(gateway)
        said["mailbox"].setdefault(mail, set()).add(mailbox)
    counts = {
        layer: Counter(filter(None, map(worst, of_mails.values())))
        for layer, of_mails in said.items()
    }
    return Judged(len(ids), counts["gateway"], counts["mailbox"])


def incidents_page(
    thing: Thing, period: Period, *, client: str = "", cursor: str = "", size: int = PAGE
) -> IncidentPage:
    """By when they were last seen.  Raises ``WrongInput`` for a cursor that is none."""
    ids = incident_ids(thing, period, client=client)
    found = Incident.objects.filter(id__in=ids).select_related("tenant")
    after = read_cursor(cursor, str, str)
    if after:
        at, last = read_time(after[0]), read_id(after[1])
        found = found.filter(last_seen_at__lte=at).exclude(last_seen_at=at, id__gte=last)
    rows = list(found.order_by("-last_seen_at", "-id")[: size + 1])
    older = ""
    if len(rows) > size:
        older = write_cursor(rows[size - 1].last_seen_at.isoformat(), rows[size - 1].id)
    return IncidentPage(rows[:size], older, len(ids))


def incident_ids(thing: Thing, period: Period, *, client: str = "") -> list[UUID]:
    """Of incidents with such mail of the period; where there are more than ``MOST_INCIDENTS``,
    those with the newest mail.
    """
    rows: QuerySet[Any]
    if thing.trait is not None:
        rows = MessageTrait.objects.filter(
            kind=thing.trait.kind,
            value=thing.trait.value,
            seen_at__gte=period.since,
            seen_at__lt=period.until,
        ).order_by("-seen_at")
    else:
        rows = Delivery.objects.filter(
            recipient=thing.value, received_at__gte=period.since, received_at__lt=period.until
        ).order_by("-received_at")
    if client:
        rows = rows.filter(tenant__slug=client)
    newest = list(rows.values_list("message_id", flat=True)[:MOST_MEMBERS])
    members = IncidentMessage.objects.filter(
        tenant__in=current_scope().tenant_ids, message__in=newest
    )
    incident_of = dict(members.values_list("message_id", "incident_id"))
    ids = dict.fromkeys(incident_of[mail] for mail in newest if mail in incident_of)
    return list(ids)[:MOST_INCIDENTS]
