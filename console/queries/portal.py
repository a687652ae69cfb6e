"""What a client sees of itself: one sentence, what was shared with it, who opened its mail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n
from django.utils.translation import ngettext

from console.lib.cursor import newest_first
from console.queries.incident import CopyRow, copy_rows
from console.queries.mail import page_of
from console.queries.portal_told import told_exposure, told_title
from incidents.access import access_one
from incidents.assessment import reach_filter
from incidents.campaigns.moving import lineage, successor
from incidents.client_words import open_wishes
from incidents.layers import BlindLayer, blind_layers
from incidents.ledger import FIGURES, Period, figures_of
from incidents.models import (
    Attachment,
    ClientWord,
    Comment,
    ContentAccess,
    Delivery,
    Incident,
    LedgerEntry,
    Pause,
    Report,
)
from incidents.models.mail import Place
from incidents.sightings import history_of
from incidents.words import GRAVE, Direction
from tenants.errors import NotThere, WrongInput
from tenants.models import Mailbox, Person, Tenant

MONTH = timedelta(days=30)
_KINDS = {
    "spam": _n("Unwanted mail"),
    "phish": _n("A mail that wanted passwords"),
    "bec": _n("A mail that wanted money or pretended to be somebody"),
    "malware": _n("A mail with a dangerous file or link"),
    "suspicious": _n("A mail that looked suspicious"),
    "unscannable": _n("A mail that nobody could check"),
    "account": _n("An account that may be in other hands"),
    "health": _n("Mail that came around the protection"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The first sentence.  ``since``: since when the protection is partly blind."""

    text: str
    detail: str
    tone: str
    icon: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class SharedIncident:
    """``title``: in the reader's language."""

    incident: Incident
    title: str
    plain: str
    exposure: str


@dataclass(frozen=True, slots=True)
class Need:
    """What the provider waits for.  ``answered``: the client has said something since."""

    incident: Incident
    asked: str
    since: datetime
    answered: ClientWord | None


@dataclass(frozen=True, slots=True)
class HeldMail:
    """``wish`` None: nobody of the client has asked for it."""

    copy: Delivery
    wish: ClientWord | None

    @property
    def is_outbound(self) -> bool:
        """An account of the client's own sent it: nobody waits for it in a mailbox here."""
        return self.copy.direction == Direction.OUTBOUND


@dataclass(frozen=True, slots=True)
class Month:
    """The last 30 days: copies that came, and distinct threats by who caught them."""

    came: int
    by_layer: list[tuple[str, int]]
    threats: int


@dataclass(frozen=True, slots=True)
class Overview:
    standing: Standing
    needs: list[Need]
    open_incidents: list[SharedIncident]
    open_count: int
    held: list[HeldMail]
    held_count: int
    month: Month
    blind: list[BlindLayer]
    may_open: bool
    accesses: list[ContentAccess]
    reports: list[Report]


def overview(client: Tenant) -> Overview:
    """Needs the portal's scope: one client."""
    open_now = _shared_ones().exclude(state=Incident.State.RESOLVED)
    shared, _ = _page_of_shared(open_now, "")
    needed = needs()
    blind = blind_layers(client.id)
    held, _ = held_mail("")
    return Overview(
        standing=standing(needed, blind),
        needs=needed,
        open_incidents=shared,
        open_count=open_now.count(),
        held=held[:5],
        held_count=_held().count(),
        month=month(),
        blind=blind,
        may_open=client.body_access_allowed,
        accesses=accesses("")[0][:5],
        reports=reports("")[0][:5],
    )


def standing(needed: list[Need], blind: list[BlindLayer]) -> Standing:
    """One sentence: what the client must do, where we cannot look, or that all is well."""
    waiting = sum(need.answered is None for need in needed)
    if waiting:
        what = ngettext(
            "One thing waits for you: see below.",
            "%(count)d things wait for you: see below.",
            waiting,
        )
        text = what % {"count": waiting}
        return Standing(_("Action needed"), text, "crit", "shield-alert")
    if blind:
        since = min(each.since for each in blind)
        names = ", ".join(each.name for each in blind)
        detail = _("Cannot see now: %(layers)s. So this page may not know everything.")
        text = detail % {"layers": names}
        return Standing(_("Partly blind"), text, "high", "eye-off", since)
    exposed = threats_within_reach()
    if exposed:
        detail = ngettext(
            "One dangerous mail lies within reach of your people. Your provider has been told.",
            "%(count)d dangerous mails lie within reach of your people. Your provider has been"
            " told.",
            exposed,
        )
        text = detail % {"count": exposed}
        return Standing(_("Action is under way"), text, "warn", "shield-alert")
    return Standing(_("You are protected"), _("Nothing needs you now."), "good", "shield")


def threats_within_reach() -> int:
    """Mails of the last 30 days, in shared incidents or not: what is true is said, no more."""
    threats = LedgerEntry.objects.filter(
        reach_filter("message__deliveries__"),
        seen_at__gte=timezone.now() - MONTH,
        counted_as__in=FIGURES["threats"].counts,
        verdict__in=GRAVE,
    )
    return threats.values("message").distinct().count()


def needs() -> list[Need]:
    """Shared incidents that stand still until the client says something."""
    pauses = Pause.objects.filter(ended_at=None).select_related("incident").order_by("started_at")
    waiting = list(_asked_now(pause for pause in pauses if pause.is_for_client))
    said: dict[UUID, ClientWord] = {}
    for word in ClientWord.objects.filter(
        kind=ClientWord.Kind.ANSWER, incident__in=[incident.id for incident, _pause in waiting]
    ).order_by("created_at"):
        if word.incident_id:
            said[word.incident_id] = word
    return [
        Need(incident, pause.asked, pause.started_at, _since(said.get(incident.id), pause))
        for incident, pause in waiting
    ]


def need_of(incident: Incident) -> Need | None:
    """What the client is asked about this incident now."""
    return next((need for need in needs() if need.incident.id == incident.id), None)


def _asked_now(pauses: Iterable[Pause]) -> Iterator[tuple[Incident, Pause]]:
    """Each with the incident that it is about now: the one it was asked on may be merged."""
    for pause in pauses:
        try:
            incident = _as_it_is_now(pause.incident)
        except NotThere:
            continue
        if incident.is_open:
            yield incident, pause


def _since(word: ClientWord | None, pause: Pause) -> ClientWord | None:
    return word if word and word.created_at > pause.started_at else None


def _held() -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        place=Place.HOLD, received_at__gte=timezone.now() - MONTH
    ).select_related("message")


def held_mail(cursor: str) -> tuple[list[HeldMail], str]:
    """What the gateway holds, newest first, and the next cursor."""
    page = page_of(_held(), cursor, {})
    wishes = open_wishes([copy.id for copy in page.copies])
    return [HeldMail(copy, wishes.get(copy.id)) for copy in page.copies], page.older


def asked_lately(cursor: str) -> tuple[list[ClientWord], str]:
    """Wishes of the last 30 days for held mail, newest first, and the next cursor."""
    words = ClientWord.objects.filter(
        kind=ClientWord.Kind.RELEASE, created_at__gte=timezone.now() - MONTH
    )
    return newest_first(words.select_related("delivery__message"), cursor, at="created_at")


def access_held(delivery_id: UUID) -> Delivery:
    """What may be asked for.  Raises ``NotThere`` where it is not held (any more), or an account of
    the client's own sent it: of that the provider decides, and the account may be in other hands.
    """
    return access_one(_held().exclude(direction=Direction.OUTBOUND), delivery_id)


def own_address(person: Person) -> str:
    """The person's own mailbox, where it is one of the client's; else ""."""
    box = _mailboxes(person.email).first()
    return box.address if box else ""


def access_own_mailbox(address: str) -> Mailbox:
    """A mailbox of the client by any address of it.  Raises ``WrongInput``."""
    found = _mailboxes(address).first()
    if found is None:
        said = _("Your organisation has no mailbox %(address)s.")
        raise WrongInput(said % {"address": address})
    return found


def _mailboxes(address: str) -> QuerySet[Mailbox]:
    wanted = address.strip().lower()
    boxes = Mailbox.objects.exclude(state=Mailbox.State.GONE)
    return boxes.filter(Q(address=wanted) | Q(aliases__contains=[wanted])).order_by("address")


def shared_incidents(cursor: str) -> tuple[list[SharedIncident], str]:
    """Only what was shared, the latest first, and the next cursor."""
    return _page_of_shared(_shared_ones(), cursor)


def _shared_ones() -> QuerySet[Incident]:
    return Incident.objects.filter(shared_at__isnull=False, merged_into=None)


def _page_of_shared(found: QuerySet[Incident], cursor: str) -> tuple[list[SharedIncident], str]:
    shared, older = newest_first(found, cursor, at="last_seen_at")
    is_blind = bool(shared) and _is_blind(shared[0].tenant_id)
    return [_shared(incident, is_blind=is_blind) for incident in shared], older


def _shared(incident: Incident, *, is_blind: bool) -> SharedIncident:
    if incident.finding:
        return SharedIncident(incident, incident.title, incident.title, _("No mail is concerned."))
    title, kind = told_title(incident.title), _(_KINDS[incident.kind])
    if incident.is_without_mail:
        return SharedIncident(incident, title, kind, _("No mail is concerned."))
    where = told_exposure(incident.counts, is_blind=is_blind)
    return SharedIncident(incident, title, kind, where)


def _is_blind(tenant_id: int) -> bool:
    return any(each.layer == "mailbox" for each in blind_layers(tenant_id))


def access_shared_incident(incident_id: UUID) -> SharedIncident:
    """Raises ``NotThere`` also for an incident of this client that was not shared."""
    found = (
        Incident.objects.select_related("tenant")
        .filter(id=incident_id, shared_at__isnull=False)
        .first()
    )
    if found is None:
        raise NotThere
    found = _as_it_is_now(found)
    return _shared(found, is_blind=_is_blind(found.tenant_id))


def access_shown_attachment(attachment_id: UUID) -> Attachment:
    """A file of a comment for the client, of an incident that is shared.  Raises ``NotThere``."""
    found = access_one(
        Attachment.objects.select_related("comment__incident").filter(
            comment__audience=Comment.Audience.CLIENT, comment__incident__shared_at__isnull=False
        ),
        attachment_id,
    )
    _as_it_is_now(found.comment.incident)
    return found


def _as_it_is_now(incident: Incident) -> Incident:
    """The incident that has its mail.  Raises ``NotThere`` where that one is not shared (any more):
    the database hides it.
    """
    try:
        return successor(incident)
    except Incident.DoesNotExist as error:
        raise NotThere from error


def month() -> Month:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    figures = figures_of(Period(today - MONTH, today + timedelta(days=1)))
    mails = Delivery.objects.exclude(direction=Direction.OUTBOUND)
    came = mails.filter(received_at__gte=timezone.now() - MONTH).count()
    by_layer = [(_(words), figures[name]) for name, words in _CAUGHT.items()]
    return Month(came, by_layer, figures["threats"])


_CAUGHT = {
    "gateway_only": _n("caught by the gateway alone"),
    "mailbox_only": _n("caught in the mailboxes alone"),
    "both": _n("caught by both"),
    "missed_by_both": _n("missed by both and found by people or the mail host"),
}


def accesses(cursor: str) -> tuple[list[ContentAccess], str]:
    """Who of the provider opened whose mail and why, the last 30 days, and the next cursor."""
    opened = ContentAccess.objects.filter(at__gte=timezone.now() - MONTH)
    opened = opened.select_related("message").prefetch_related("message__deliveries")
    return newest_first(opened, cursor, at="at")


def reports(cursor: str) -> tuple[list[Report], str]:
    """The finished reports that the client may read, newest first, and the next cursor."""
    found = reports_for_client().defer("document").select_related("incident")
    return newest_first(found, cursor, at="created_at")


def reports_for_client() -> QuerySet[Report]:
    """Made for the client: of her agreed times and mailboxes, and of incidents that are shared."""
    is_shared = Q(kind=Report.Kind.INCIDENT, incident__shared_at__isnull=False)
    of_period = Q(kind__in=(Report.Kind.AGREED_TIMES, Report.Kind.FOUND))
    return Report.objects.filter(is_shared | of_period, audience="client")


def copies_of_shared(shared: SharedIncident, cursor: str) -> tuple[list[CopyRow], str]:
    """Its copies, newest first, and the next cursor."""
    copies = Delivery.objects.filter(message__memberships__incident=shared.incident)
    found, older = newest_first(copies, cursor, at="received_at")
    history = history_of(found)
    return copy_rows(found, history), older


def words_on(incident: Incident) -> list[Comment | ClientWord]:
    """What the provider wrote for the client, and what the client answered, oldest first."""
    whole = lineage(incident)
    comments = Comment.objects.filter(
        incident__in=whole, audience=Comment.Audience.CLIENT
    ).prefetch_related("attachments")
    answers = ClientWord.objects.filter(incident__in=whole)
    return sorted(
        [*comments, *answers],
        key=lambda word: word.created_at,
    )
