"""What an order over many clients will come to, as its question says it before it is given.

``pulls_foreseen``   read from the copies as they stand: by a few queries, whatever their number
``blocks_foreseen``  given and taken back, with each client's rehearsal (incidents/everywhere.py)
``acts_foreseen``    of one act on many incidents, by client
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils import timezone

from console.lib.words import Word
from console.queries.blindness import Blind, Blindness
from console.queries.rows import copies_words
from incidents.assessment import IN_MAILBOX
from incidents.everywhere import foresee_order
from incidents.layers import why_not_acting
from incidents.models import Delivery, Incident, Intent, LayerMode, PullProposal
from incidents.models.mail import Outcome, Place
from incidents.modes import Mode, modes_of
from incidents.services.many import Result
from incidents.words import LET_THROUGH, Direction
from seg_bridge.rehearsal import DAYS
from seg_bridge.stored_mail import is_any
from tenants.models import Tenant

MOST_REHEARSED = 25
_BUSY = Exists(
    Intent.objects.filter(
        tenant=OuterRef("tenant"), delivery=OuterRef("id"), action="pull"
    ).exclude(state__in=Intent.OVER)
)
# As ``remediation.pullable`` says it of one copy.
_UNSEEN = Q(place=Place.UNKNOWN, outcome__in=LET_THROUGH) & ~Q(direction=Direction.OUTBOUND)
_IN_REACH = Q(place__in=IN_MAILBOX) | _UNSEEN
_STOPPED = Q(outcome__in=(Outcome.HELD, Outcome.REJECTED)) | Q(place=Place.HOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullForeseen:
    """One incident's part of a pull, in copies.

    ``pulled``: asked of their mailboxes by this order; ``busy``: another job pulls them already;
    ``gone``: removed, deleted or not to be found; ``stopped``: they reached no mailbox.
    ``waiting``: of those that are pulled, so many wait for a yes by the mode of their mailbox.
    ``told_only``: mailboxes whose later copies stay, for Bailey only tells there.  ``refused``: why
    nothing of it would be done, "": it would.
    """

    incident: Incident
    pulled: int
    busy: int
    gone: int
    stopped: int
    waiting: int
    told_only: int
    blind: Blind
    refused: str

    @property
    def is_reached(self) -> bool:
        """Can the mailboxes be asked now?"""
        return self.blind.has_mailbox and self.blind.mailbox_since is None

    @property
    def lines(self) -> list[Word]:
        return list(_sentences(self))


def _sentences(part: PullForeseen) -> Iterator[Word]:
    if part.refused:
        yield Word(f"Nothing is pulled. {part.refused}", "crit")
    elif part.pulled and not part.blind.has_mailbox:
        yield Word(
            f"{copies_words(part.pulled)} cannot be reached: no mailbox layer watches this client.",
            "crit",
        )
    elif part.pulled and not part.is_reached:
        yield Word(
            f"{copies_words(part.pulled)} cannot be reached now: {part.blind.mailbox_why} The order"
            " waits and is carried out once the mailboxes can be seen.",
            "high",
        )
    elif part.pulled:
        yield Word(f"{copies_words(part.pulled)} will be pulled.", "good")
    if part.waiting:
        wait = "waits" if part.waiting == 1 else "wait"
        yield Word(
            f"{part.waiting} of them {wait} for a yes by the mode of their mailboxes: this is it.",
            "info",
        )
    if part.told_only:
        boxes = "1 mailbox" if part.told_only == 1 else f"{part.told_only} mailboxes"
        yield Word(
            f"Later copies in {boxes} stay: the mode there is only to tell.",
            "high",
        )
    if part.busy:
        yield Word(f"{copies_words(part.busy)} left to the job that pulls already.", "info")
    if part.gone:
        yield Word(f"{copies_words(part.gone)} already removed or gone.", "info")
    if part.stopped:
        yield Word(f"{copies_words(part.stopped)} stopped by the gateway: nothing to pull.", "info")


def total_of_pulls(parts: Sequence[PullForeseen]) -> Word:
    """All of them in one sentence."""
    able = [part for part in parts if part.pulled and not part.refused]
    now = [part for part in able if part.is_reached]
    copies, clients = sum(p.pulled for p in now), len({p.incident.tenant_id for p in now})
    at = "1 client" if clients == 1 else f"{clients} clients"
    text = f"{copies_words(copies)} at {at} will be pulled now."
    if later := sum(part.pulled for part in able if not part.is_reached):
        text += f" {copies_words(later)} cannot be reached now."
    return Word(text, "good" if copies and not later else "high")


def pulls_foreseen(incidents: Sequence[Incident]) -> list[PullForeseen]:
    """In the order of ``incidents``, which carry their tenants; reads, and asks no mail host."""
    tenant_ids = {incident.tenant_id for incident in incidents}
    counts = _counted(incidents, tenant_ids)
    told_only = _told_only(incidents, tenant_ids)
    open_ones = PullProposal.objects.filter(
        tenant__in=tenant_ids, incident__in=incidents, state=PullProposal.State.OPEN
    )
    waiting = dict(open_ones.values_list("incident_id", "waiting"))
    blindness = Blindness(tenant_ids)
    refused = {
        each: why_not_acting(each) if blindness.of(each).acts_not else "" for each in tenant_ids
    }
    return [
        PullForeseen(
            incident=incident,
            **{key: counts.get(incident.id, {}).get(key, 0) for key in _COUNTS},
            waiting=min(waiting.get(incident.id, 0), counts.get(incident.id, {}).get("pulled", 0)),
            told_only=told_only[incident.id],
            blind=blindness.of(incident.tenant_id),
            refused=refused[incident.tenant_id],
        )
        for incident in incidents
    ]


_COUNTS = {
    "pulled": _IN_REACH & Q(is_busy=False),
    "busy": _IN_REACH & Q(is_busy=True),
    "gone": ~_IN_REACH & ~_STOPPED,
    "stopped": ~_IN_REACH & _STOPPED,
}


def _counted(
    incidents: Sequence[Incident], tenant_ids: Iterable[int]
) -> dict[UUID, dict[str, int]]:
    """Incident → its copies by what becomes of them; one query."""
    rows = (
        _copies(incidents, tenant_ids)
        .annotate(is_busy=_BUSY)
        .values("of")
        .annotate(**{key: Count("id", filter=rule) for key, rule in _COUNTS.items()})
        .order_by()
    )
    return {row.pop("of"): row for row in rows}


def _copies(incidents: Sequence[Incident], tenant_ids: Iterable[int]) -> Any:
    found = Delivery.objects.filter(
        tenant__in=list(tenant_ids), message__memberships__incident__in=incidents
    )
    return found.annotate(of=F("message__memberships__incident"))


def _told_only(incidents: Sequence[Incident], tenant_ids: Iterable[int]) -> Counter[UUID]:
    """Incident → of its mailboxes so many in which Bailey only tells.  Without such a mode at any
    of the clients one query.
    """
    tells = LayerMode.objects.filter(
        tenant__in=list(tenant_ids), mode=Mode.MONITOR, dropped_at=None
    )
    modes = {each: modes_of(each) for each in set(tells.values_list("tenant_id", flat=True))}
    found: Counter[UUID] = Counter()
    if not modes:
        return found
    rows = _copies(incidents, modes).values_list("of", "tenant_id", "recipient").distinct()
    for incident_id, tenant_id, recipient in rows:
        found[incident_id] += modes[tenant_id].of(recipient).mode is Mode.MONITOR
    return found


@dataclass(frozen=True, slots=True)
class BlockForeseen:
    incident: Incident
    line: Word

    @property
    def lines(self) -> list[Word]:
        return [self.line]


def blocks_foreseen(
    incidents: Sequence[Incident], give: Callable[[Sequence[Incident]], UUID]
) -> list[BlockForeseen]:
    """``give`` gives the order about such incidents.  The first ``MOST_REHEARSED`` are rehearsed:
    each costs a look at the client's stored mail.
    """
    first = incidents[:MOST_REHEARSED]
    refused = (
        {part.incident.id: part.refused for part in foresee_order(lambda: give(first))}
        if first
        else {}
    )
    since = timezone.now() - timedelta(days=DAYS)
    rehearsed_over = {each: is_any(each, since) for each in {one.tenant_id for one in first}}
    return [
        BlockForeseen(
            each, _block_word(refused.get(each.id), rehearsed_over.get(each.tenant_id, False))
        )
        for each in incidents
    ]


def _block_word(refused: str | None, is_rehearsed: bool) -> Word:
    if refused is None:
        return Word("Not rehearsed beforehand, there are too many: its result will say.", "high")
    if refused:
        return Word(f"Will not be blocked: {refused}", "crit")
    if not is_rehearsed:
        return Word("Will be blocked. No mail is stored there to rehearse it over.", "high")
    return Word("Will be blocked; its rehearsal has no objection.", "good")


@dataclass(frozen=True, slots=True)
class ActForeseen:
    """One client's part of an act on many incidents; ``client`` None: not there, or not hers."""

    client: Tenant | None
    done: int
    refused: int


def acts_foreseen(results: Sequence[Result]) -> list[ActForeseen]:
    """By client's name; what is not there last."""
    clients = {each.incident.tenant_id: each.incident.tenant for each in results if each.incident}
    done = Counter(each.incident.tenant_id for each in results if each.incident and each.ok)
    refused = Counter(
        each.incident.tenant_id if each.incident else None for each in results if not each.ok
    )
    found = [
        ActForeseen(client, done[key], refused[key])
        for key, client in sorted(clients.items(), key=lambda each: each[1].name)
    ]
    return found + ([ActForeseen(None, 0, refused[None])] if refused[None] else [])
