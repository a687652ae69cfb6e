"""What a renewed rehearsal found of each copy, and in which way it goes beyond what was approved.

A person approved the copies of her job, in mailboxes of the modes of then.  The same copies or
fewer are within that, wherever they lie now.  Beyond it are: copies that came after, where no
standing order covers them; a mailbox that since then lets Bailey only tell (for what Bailey decided
by itself: that no longer lets it act); and Bailey's own jobs since somebody stopped those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from incidents.allowed import without_allowed
from incidents.campaigns.moving import lineage, successor
from incidents.layers import CopyState
from incidents.models import (
    AllowedCopy,
    Delivery,
    Incident,
    Intent,
    Job,
    Renewal,
    RenewalCopy,
    StandingOrder,
)
from incidents.modes import Effective, Mode, Modes, modes_of, wish_of
from incidents.orders import orders_in_force
from incidents.remediation import copies_of, never_pulled, pullable
from incidents.words import HARMLESS, Place

Found, Differs = RenewalCopy.Found, RenewalCopy.Differs
# What would be moved if it went on now.
_ACTED_ON = (Found.THERE, Found.MOVED, Found.UNSEEN)


def found_at(intent: Intent, state: CopyState) -> str:
    """What a reading says of one copy."""
    if not state.exists:
        return Found.GONE
    is_removed = state.place == Place.QUARANTINE
    if is_removed == (intent.action == "pull"):
        return Found.DONE
    if intent.action == "restore" or intent.asked_place in ("", state.place):
        return Found.THERE
    return Found.MOVED


class Judge:
    """Holds what was found against what was approved; writes ``found``, ``differs`` and ``words``
    of the rows, and stores nothing.
    """

    def __init__(self, renewal: Renewal, rows: Sequence[RenewalCopy]) -> None:
        self.renewal, self.rows = renewal, rows
        self._now = modes_of(renewal.tenant_id)
        self._wish = wish_of(renewal.tenant_id)
        self._then: dict[datetime, Modes] = {}
        self._ordered_since = _later_orders(rows)
        self._excepted = _later_exceptions(rows)
        for row in rows:
            self._judge(row)

    def _judge(self, row: RenewalCopy) -> None:
        intent = row.intent
        assert intent is not None
        if intent.action != "pull" or row.found not in _ACTED_ON:
            return
        if words := self._let_be(row):
            row.found, row.words = Found.LET_BE, words
            return
        if words := self._less_allowed(row):
            row.differs, row.words = Differs.MODE, " ".join(filter(None, (words, row.words)))
        elif row.job.requested_by_id is None and self._wish.stopped_at is not None:
            row.differs = Differs.STOPPED
            who = self._wish.stopped_by or "Somebody"
            row.words = f"{who} has stopped whatever acts by itself."

    def _let_be(self, row: RenewalCopy) -> str:
        """Why a person does not want it pulled any more; "" where none said so."""
        incident = row.job.incident
        if incident is not None and incident.is_called_harmless:
            return "Not done: the incident was closed as harmless while this waited."
        if row.delivery.person_verdict in HARMLESS:
            return "Not done: a person has called the mail harmless."
        if who := self._ordered_since.get(row.delivery_id):
            return f"Not done: {who} has let it go back since."
        if who := self._excepted.get(row.delivery_id):
            return f"Not done: the exception of {who} lets it be since."
        if incident is not None and (who := _left_by(incident, row.job)):
            return f"Not done: {who} has said since that the copies stay where they are."
        return ""

    def _less_allowed(self, row: RenewalCopy) -> str:
        now = self._now.of(row.delivery.recipient)
        by_bailey = row.job.requested_by_id is None
        if not (now.mode is Mode.MONITOR or (by_bailey and now.mode is not Mode.AUTO)):
            return ""
        then = self._modes_at(row.job.created_at).of(row.delivery.recipient)
        return "" if then.mode is now.mode else _mode_words(then, now)

    def _modes_at(self, at: datetime) -> Modes:
        if at not in self._then:
            self._then[at] = modes_of(self.renewal.tenant_id, at=at)
        return self._then[at]

    def came_after(self) -> list[RenewalCopy]:
        """Copies that the same orders would take now, and that nobody approved; unsaved."""
        jobs = {row.job_id: row.job for row in self.rows if row.found in _ACTED_ON}
        taken: set[UUID] = set()
        found = []
        for job in sorted(jobs.values(), key=lambda job: job.id):
            for copy in _after(job):
                if copy.id in taken:
                    continue
                taken.add(copy.id)
                found.append(
                    RenewalCopy(
                        tenant_id=self.renewal.tenant_id,
                        renewal=self.renewal,
                        job=job,
                        delivery=copy,
                        found=Found.NEW,
                        differs=Differs.NEW,
                        place=copy.place,
                        words=f"It came after {job.requested_by} had asked for the pull.",
                    )
                )
        return found


def _mode_words(then: Effective, now: Effective) -> str:
    return f"Mode now: {now.mode.label.lower()} ({now.origin}); it was: {then.mode.label.lower()}."


def _after(job: Job) -> list[Delivery]:
    """Later copies of a person's pull.  What a standing order covers, and what a proposal asks for
    by itself, is decided there; what was stopped takes none.
    """
    if job.kind != Job.Kind.PULL or job.requested_by_id is None or job.incident is None:
        return []
    if {"proposal", "standing_order", "stopped_by"} & job.detail.keys():
        return []
    incident = successor(job.incident)
    if StandingOrder.objects.filter(
        orders_in_force(), incident__in=lineage(incident), kind=StandingOrder.Kind.PULL
    ).exists():
        return []
    # Ids grow with time: those above the job's were first seen after it.
    copies = [copy for copy in pullable(copies_of(incident)) if copy.id > job.id]
    new = never_pulled(without_allowed(copies))
    return [copy for copy in new if copy.person_verdict not in HARMLESS]


def _later_orders(rows: Iterable[RenewalCopy]) -> dict[UUID, str]:
    """Copy → who had it released or restored after its pull was asked for."""
    pulls = [row for row in rows if row.intent is not None and row.intent.action == "pull"]
    back = Intent.objects.filter(
        delivery__in=[row.delivery_id for row in pulls], action__in=("restore", "release")
    ).exclude(state=Intent.State.FAILED)
    latest: dict[UUID, Intent] = {}
    for intent in back.select_related("job").order_by("created_at"):
        latest[intent.delivery_id] = intent
    return {
        row.delivery_id: latest[row.delivery_id].job.requested_by
        for row in pulls
        if row.delivery_id in latest
        and row.intent is not None
        and latest[row.delivery_id].created_at > row.intent.created_at
    }


def _later_exceptions(rows: Iterable[RenewalCopy]) -> dict[UUID, str]:
    """Copy → whose exception for it was made after its pull was asked for."""
    asked: dict[UUID, datetime] = defaultdict()
    for row in rows:
        if row.intent is not None:
            asked[row.delivery_id] = row.intent.created_at
    made = AllowedCopy.objects.filter(delivery__in=list(asked), ended_at=None)
    return {row.delivery_id: row.owner for row in made if row.created_at > asked[row.delivery_id]}


def _left_by(incident: Incident, job: Job) -> str:
    """Who has ordered, since this job, that the incident's copies stay; "" for nobody."""
    orders = StandingOrder.objects.filter(
        orders_in_force(),
        Q(created_at__gt=job.created_at),
        incident__in=lineage(incident),
        kind=StandingOrder.Kind.LEAVE,
    )
    return orders.order_by("-created_at").values_list("owner_name", flat=True).first() or ""
