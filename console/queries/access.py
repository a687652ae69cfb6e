"""How a client's mail host is connected: what was granted, what is off, what is on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from api_bridge.access.counting import MonthCount, month_counts
from api_bridge.access.hosts import HOSTS
from api_bridge.access.models import (
    OF_CLIENTS,
    AppRegistration,
    Consent,
    ConsentLink,
    Grant,
    HostTrial,
    MailboxDay,
    MailboxMove,
    Purpose,
    Relationship,
)
from api_bridge.access.permissions import (
    NEEDS,
    WHAT_FOR,
    WITHOUT_ANY,
    Need,
    needs_of,
)
from api_bridge.access.registrations import registrations
from api_bridge.models import Connection, MailboxSync
from api_bridge.sight import why_blind
from console.lib.host_forms import FORMS
from console.queries.blindness import Blind, Blindness
from console.queries.google_accounts import (
    DelegatedTo,
    delegated_to,
)
from console.queries.renewals import RenewalRow, newest_renewals
from incidents.models import Incident
from tenants.errors import NotThere, WrongInput
from tenants.models import Domain, Mailbox, Tenant

JOURNEYS_SHOWN = 10
LINKS_SHOWN = 5
TRIALS_SHOWN = 3
MOVES_SHOWN = 20
REFUSING_SHOWN = 20


@dataclass(frozen=True, slots=True)
class NeedRow:
    """``is_met`` None: nothing is known yet."""

    need: Need
    is_met: bool | None


@dataclass(frozen=True, slots=True)
class PurposeRow:
    """``state``: ``granted``, ``partly`` (a permission is missing), ``lost``, ``asked``, ``none``,
    or ``own``: the connection has an application of its own, which does this.
    """

    purpose: str
    label: str
    what_for: str
    without: str
    state: str
    grant: Grant | None
    registration: AppRegistration | None
    needs: list[NeedRow]
    last: Consent | None

    @property
    def off(self) -> list[str]:
        """What cannot be done as it stands, in sentences."""
        if self.state in ("none", "asked", "lost"):
            return [self.without]
        return [row.need.without for row in self.needs if row.is_met is False]


@dataclass(frozen=True, slots=True)
class LinkRow:
    """``state``: ``open`` (can be opened), ``opened`` (in use now), ``over``."""

    link: ConsentLink
    labels: list[str]
    state: str


@dataclass(frozen=True, slots=True)
class PushSight:
    """Of how many mailboxes the host tells us, how many are polled and why the first of them, and
    those of which something was told that did not prove itself.
    """

    told: int
    polled: int
    why_polled: str
    refused: int
    refusing: list[MailboxSync]


@dataclass(frozen=True, slots=True)
class HostSight:
    """One of the client's mail hosts.  ``mailboxes``: those of it that are read."""

    connection: Connection
    pushes: PushSight
    mailboxes: int

    @property
    def why_blind(self) -> str:
        """A sentence; it says nothing of a host that sees."""
        return why_blind(self.connection)

    @property
    def named(self) -> tuple[str, str]:
        """What the host's name of the client is called, and that name."""
        row = self.connection
        match row.kind:
            case Connection.Kind.GRAPH:
                return "Cloud tenant", row.cloud_tenant_id
            case Connection.Kind.GOOGLE:
                return "Customer", row.cloud_tenant_id
            case _:
                return "Server", ":".join(filter(None, map(row.settings.get, ("host", "port"))))


@dataclass(frozen=True, slots=True)
class TrialRow:
    """``host``: its kind, in words."""

    trial: HostTrial
    host: str


@dataclass(frozen=True, slots=True)
class Delegated:
    """What the client's admin has delegated at Google.  ``checked_at`` None: not tried yet.
    ``accounts``: to which client ids; one alone does everything.
    """

    connection: Connection
    purposes: list[PurposeRow]
    checked_at: datetime | None
    accounts: list[DelegatedTo]

    @property
    def is_single(self) -> bool:
        return len(self.accounts) == 1


@dataclass(frozen=True, slots=True)
class AccessPage:
    client: Tenant
    blind: Blind
    connections: list[HostSight]
    purposes: list[PurposeRow]
    delegated: Delegated | None
    journeys: list[Consent]
    links: list[LinkRow]
    relationships: list[Relationship]
    incidents: list[Incident]
    renewals: list[RenewalRow]
    trials: list[TrialRow]
    hosts: list[tuple[str, str]]
    moves: list[MailboxMove]
    today: MailboxDay | None
    mailboxes: int
    has_domain: bool
    is_moving: bool

    @property
    def shows_microsoft(self) -> bool:
        """Its card of grants: where the client is at Microsoft or was asked to be, and where
        nobody knows yet at which mail host it is.
        """
        kinds = {each.connection.kind for each in self.connections}
        begun = any(row.grant for row in self.purposes) or bool(self.journeys or self.links)
        return Connection.Kind.GRAPH in kinds or begun or not kinds

    @property
    def askable(self) -> list[PurposeRow]:
        """What the client can be asked for now."""
        return [
            row for row in self.purposes if row.registration and (row.state != "granted" or row.off)
        ]


def access_page(client: Tenant) -> AccessPage:
    connections = list(Connection.objects.filter(tenant=client).order_by("created_at"))
    journeys = list(
        Consent.objects.filter(tenant=client).select_related("link").order_by("-asked_at")[:50]
    )
    now = timezone.now()
    trials = list(HostTrial.objects.filter(tenant=client).order_by("-asked_at")[:TRIALS_SHOWN])
    return AccessPage(
        client=client,
        blind=Blindness([client.id]).of(client.id),
        connections=[_host_sight(each, now) for each in connections],
        purposes=_purposes(client, connections, journeys),
        delegated=_delegated(client, connections),
        journeys=journeys[:JOURNEYS_SHOWN],
        links=_links(client, now),
        relationships=relationships_of(client),
        incidents=list(
            Incident.objects.filter(tenant=client)
            .exclude(finding="")
            .exclude(state=Incident.State.RESOLVED)
            .order_by("-number")
        ),
        renewals=newest_renewals(client),
        trials=[TrialRow(each, FORMS[each.kind].title) for each in trials],
        hosts=[(kind, FORMS[kind].title) for kind in HOSTS],
        moves=list(
            MailboxMove.objects.filter(tenant=client).order_by("-seen_at", "id")[:MOVES_SHOWN]
        ),
        today=MailboxDay.objects.filter(tenant=client).order_by("-day").first(),
        mailboxes=Mailbox.objects.filter(tenant=client, state=Mailbox.State.ACTIVE).count(),
        has_domain=Domain.objects.filter(tenant=client).exists(),
        is_moving=any(_is_moving(each, now) for each in journeys)
        or any(each.stage == HostTrial.Stage.WAITING for each in trials),
    )


def graph_connection(client: Tenant) -> Connection:
    """Raises ``NotThere``: the client is not connected at Microsoft."""
    rows = Connection.objects.filter(tenant=client, kind=Connection.Kind.GRAPH)
    row = rows.order_by("created_at").first()
    if row is None:
        raise NotThere
    return row


def _host_sight(connection: Connection, now: datetime) -> HostSight:
    rows = MailboxSync.objects.filter(
        tenant_id=connection.tenant_id,
        connection=connection,
        mailbox__state=Mailbox.State.ACTIVE,
    )
    stands = Q(push_expires_at__gt=now)
    if connection.kind != Connection.Kind.IMAP:
        # An IMAP server takes no order; it is listened to.
        stands &= Q(push_error="") & ~Q(push_id="")
    return HostSight(connection, _pushes(rows, stands), rows.count())


def _pushes(rows: QuerySet[MailboxSync], stands: Q) -> PushSight:
    """``stands``: of which the host tells now."""
    polled = rows.exclude(stands)
    refusing = rows.filter(notices_refused__gt=0).select_related("mailbox")
    return PushSight(
        told=rows.filter(stands).count(),
        polled=polled.count(),
        why_polled=polled.exclude(push_error="").values_list("push_error", flat=True).first() or "",
        refused=rows.aggregate(n=Sum("notices_refused"))["n"] or 0,
        refusing=list(refusing.order_by("-notices_refused")[:REFUSING_SHOWN]),
    )


def _is_moving(consent: Consent, now: datetime) -> bool:
    if consent.stage == Consent.Stage.ASKED:
        return consent.ends_at > now
    return consent.stage == Consent.Stage.RETURNED


def _purposes(
    client: Tenant, connections: list[Connection], journeys: list[Consent]
) -> list[PurposeRow]:
    entered = registrations()
    granted = Grant.objects.filter(tenant=client).exclude(connection__kind=Connection.Kind.GOOGLE)
    grants = {row.purpose: row for row in granted}
    own = next((each for each in connections if _has_application(each)), None)
    rows = []
    for purpose in OF_CLIENTS:
        grant = grants.get(purpose)
        last = next((each for each in journeys if each.purpose == purpose), None)
        roles = own.own_roles if own else None
        if grant is not None:
            roles = None if grant.lost_at else grant.roles
        needs = [
            NeedRow(need, None if roles is None else need.is_met(roles)) for need in NEEDS[purpose]
        ]
        has_own = own is not None and (purpose != Purpose.RESPOND or _responds(needs))
        rows.append(
            PurposeRow(
                purpose=purpose,
                label=purpose.label,
                what_for=WHAT_FOR[purpose],
                without=WITHOUT_ANY[purpose],
                state=_state(grant, last, needs, has_own=has_own),
                grant=grant,
                registration=entered.get(purpose),
                needs=needs,
                last=last,
            )
        )
    return rows


def _has_application(connection: Connection) -> bool:
    return connection.kind == Connection.Kind.GRAPH and not connection.by_registrations


def _responds(needs: list[NeedRow]) -> bool:
    """By more than what detection needs, too."""
    seeing = {need.name for need in NEEDS[Purpose.DETECT]}
    return any(row.is_met and row.need.name not in seeing for row in needs)


def _delegated(client: Tenant, connections: Sequence[Connection]) -> Delegated | None:
    """None: the client has no Google Workspace."""
    at_google = (each for each in connections if each.kind == Connection.Kind.GOOGLE)
    connection = next(at_google, None)
    if connection is None:
        return None
    standing = Grant.objects.filter(tenant=client, connection=connection)
    grants = {row.purpose: row for row in standing}
    checked_at = max((row.checked_at for row in grants.values()), default=None)
    found = []
    for purpose in OF_CLIENTS:
        grant = grants.get(purpose)
        roles = grant.roles if grant and not grant.lost_at else []
        needs = [
            NeedRow(need, need.is_met(roles) if checked_at else None)
            for need in needs_of(connection.kind, purpose)
        ]
        found.append(
            PurposeRow(
                purpose=purpose,
                label=purpose.label,
                what_for=WHAT_FOR[purpose],
                without=WITHOUT_ANY[purpose],
                state=_state(grant, None, needs, has_own=False),
                grant=grant,
                registration=None,
                needs=needs,
                last=None,
            )
        )
    return Delegated(connection, found, checked_at, delegated_to(connection.client_id))


def _state(
    grant: Grant | None, last: Consent | None, needs: list[NeedRow], *, has_own: bool
) -> str:
    if grant is not None and grant.lost_at is not None:
        return "lost"
    if grant is not None:
        return "granted" if all(row.is_met or row.need.is_extra for row in needs) else "partly"
    if has_own:
        return "own"
    return "asked" if last is not None and _is_moving(last, timezone.now()) else "none"


def _links(client: Tenant, now: datetime) -> list[LinkRow]:
    newest = ConsentLink.objects.filter(tenant=client).order_by("-made_at")[:LINKS_SHOWN]
    return [
        LinkRow(link, [Purpose(each).label for each in link.purposes], _link_state(link, now))
        for link in newest
    ]


def _link_state(link: ConsentLink, now: datetime) -> str:
    if link.withdrawn_at:
        return "over"
    if link.opened_at:
        return "opened" if link.ends_at and link.ends_at > now else "over"
    return "open" if link.open_until > now else "over"


def relationships_of(client: Tenant) -> list[Relationship]:
    known = Connection.objects.filter(tenant=client, kind=Connection.Kind.GRAPH)
    ids = list(known.values_list("cloud_tenant_id", flat=True))
    return list(Relationship.objects.filter(cloud_tenant_id__in=ids).order_by("ends_at"))


def counts_asked(first: str, last: str, slug: str) -> list[MonthCount]:
    """From the first day of one month to the last of another (``2026-11``); "": the twelve months
    up to now.  Raises ``WrongInput``.
    """
    today = timezone.now().date()
    begin = _month(first) if first else _month(f"{today.year - 1}-{today.month:02}")
    end = _month(last) if last else today
    after = (end.replace(day=1) + timedelta(days=32)).replace(day=1)
    if begin >= after:
        raise WrongInput("The first month is later than the last.")
    return month_counts(begin, after - timedelta(days=1), slug=slug)


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise WrongInput("A month looks like 2026-11.") from error
