"""The renewed rehearsal: what waited for access to a client's mailboxes, looked at before it acts.

Pulls and restores that a blind layer could not do wait together (``Intent.waits_since``).  When
access comes back, and the gap has been read:

1. all that waits is put under one ``Renewal``, and no worker carries any of it out meanwhile;
2. each copy is read in its mailbox, once, a slice at a time: a killed worker goes on after it;
3. with all of them read, each is held against what was approved.  A job whose copies are the same
   or fewer goes on by itself; one that would now do more waits, with all others like it, for one
   answer of a person (incidents/renewal_answers.py).

Nothing is moved here: what goes on is carried out as ever, and reads each copy again before it.
docs/remediation.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Min, Q
from django.utils import timezone

from incidents.announce import announce_incident
from incidents.layers import (
    Copy,
    CopyState,
    LayerBlind,
    LayerError,
    blind_layers,
    is_catching_up,
    mailbox_layer,
    why_not_acting,
)
from incidents.models import Backlog, Intent, Job, Renewal, RenewalCopy
from incidents.remediation import settle_job
from incidents.renewal_words import Judge, found_at
from tenants.audit import BAILEY, write_audit
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

LOOKED_AT = "incidents.renewal.looked_at"
ACTIONS = ("pull", "restore")
READ_S = 20.0
AT_ONCE = 50
# While the layer is blind this often; and the gap is waited for so long, no longer.
TRY_AGAIN = timedelta(minutes=5)
GAP_AGAIN = timedelta(seconds=15)
LONGEST_GAP = timedelta(minutes=15)
Found, State = RenewalCopy.Found, Renewal.State


def resume_waiting(tenant_id: int) -> None:
    """A layer sees or acts again: whatever had been asked for is looked at anew, all together.

    Needs the client's scope with its provider.
    """
    now = timezone.now()
    rows = Intent.objects.filter(
        tenant_id=tenant_id, state=Intent.State.PENDING, action__in=ACTIONS
    )
    rows.filter(waits_since=None).update(waits_since=now)
    # A question that nobody has answered is asked anew, of what is there now.
    rows.filter(renewal__state=State.ASKED).update(renewal=None)
    Intent.objects.filter(tenant_id=tenant_id, state=Intent.State.PENDING, due_at__gt=now).update(
        due_at=now
    )
    want_work(tenant_id, "remediate")


def renew(claimed: ClaimedWork) -> datetime | None:
    """The worker's part; answers when it wants to be called again, None: nothing waits."""
    with work_scope(claimed):
        renewal, again = _begin(claimed.tenant_id)
    if renewal is None:
        return again
    until = time.monotonic() + READ_S
    while slice_ := _unread(claimed, renewal):
        if time.monotonic() > until:
            return timezone.now()
        for row_id, copy in slice_:
            try:
                state = _read(copy)
            except LayerBlind:
                return _forget(claimed, renewal)
            with work_scope(claimed):
                _note(row_id, state)
    with work_scope(claimed):
        _settle(renewal.id)
    return None


def _waiting(tenant_id: int) -> Q:
    return Q(tenant_id=tenant_id, state=Intent.State.PENDING, waits_since__isnull=False)


def _begin(tenant_id: int) -> tuple[Renewal | None, datetime | None]:
    """The one under way, or a new one; None with the time at which to try again."""
    now = timezone.now()
    waiting = Intent.objects.filter(_waiting(tenant_id))
    fresh = waiting.filter(renewal=None)
    renewal = Renewal.objects.filter(tenant_id=tenant_id, state=State.LOOKING).first()
    first = fresh.order_by("due_at").first()
    if renewal is None and first is None:
        return None, None
    if first is not None and first.due_at > now and renewal is None:
        return None, first.due_at
    if blind_layers(tenant_id) or why_not_acting(tenant_id):
        again = now + TRY_AGAIN
        fresh.update(due_at=again)
        return None, again
    if renewal is None:
        since = fresh.aggregate(since=Min("waits_since"))["since"]
        renewal = Renewal.objects.create(tenant_id=tenant_id, waited_since=since)
    _take_in(renewal, list(fresh))
    # What came while it was away may be more of the same: it is read, and made sense of, before.
    is_open = Backlog.objects.filter(tenant=tenant_id, wait_until=None).exists()
    if (is_open or is_catching_up(tenant_id)) and now < renewal.began_at + LONGEST_GAP:
        return None, now + GAP_AGAIN
    return renewal, None


def _take_in(renewal: Renewal, intents: Sequence[Intent]) -> None:
    RenewalCopy.objects.bulk_create(
        [
            RenewalCopy(
                tenant_id=renewal.tenant_id,
                renewal=renewal,
                job_id=intent.job_id,
                intent=intent,
                delivery_id=intent.delivery_id,
            )
            for intent in intents
        ],
        ignore_conflicts=True,
    )
    Intent.objects.filter(id__in=[each.id for each in intents]).update(renewal=renewal)
    left = Renewal.objects.filter(tenant_id=renewal.tenant_id, state=State.ASKED)
    left.exclude(intents__state=Intent.State.PENDING).update(state=State.REPLACED)


def _unread(claimed: ClaimedWork, renewal: Renewal) -> list[tuple[UUID, Copy]]:
    with work_scope(claimed):
        rows = RenewalCopy.objects.filter(tenant_id=claimed.tenant_id, renewal=renewal, found="")
        found = rows.select_related("delivery__message").order_by("id")[:AT_ONCE]
        return [(row.id, Copy.of(row.delivery)) for row in found]


def _read(copy: Copy) -> CopyState | str:
    """Where it is, or in a sentence why nobody could tell.  Raises ``LayerBlind``."""
    try:
        return mailbox_layer().read_state(copy)
    except LayerBlind:
        raise
    except LayerError as error:
        return error.sentence


def _note(row_id: UUID, state: CopyState | str) -> None:
    row = RenewalCopy.objects.select_related("intent").get(id=row_id)
    assert row.intent is not None
    if isinstance(state, str):
        row.found, row.words = Found.UNSEEN, state
    else:
        row.found = found_at(row.intent, state)
        row.place = state.place if state.exists else ""
    row.save(update_fields=["found", "place", "words"])


def _forget(claimed: ClaimedWork, renewal: Renewal) -> datetime:
    """Blind again before all was read: what was read so far tells of nothing."""
    again = timezone.now() + TRY_AGAIN
    with work_scope(claimed):
        rows = Intent.objects.filter(_waiting(claimed.tenant_id), renewal=renewal)
        rows.update(renewal=None, due_at=again)
        RenewalCopy.objects.filter(tenant_id=claimed.tenant_id, renewal=renewal).delete()
        Renewal.objects.filter(id=renewal.id, state=State.LOOKING).delete()
    return again


def _settle(renewal_id: UUID) -> None:
    """Everything is read: what goes on, what nobody wants any more, and what asks."""
    renewal = Renewal.objects.select_for_update(of=("self",)).get(id=renewal_id)
    if renewal.state != State.LOOKING:
        return
    rows = list(
        RenewalCopy.objects.filter(tenant_id=renewal.tenant_id, renewal=renewal).select_related(
            "intent", "delivery__message", "job__incident"
        )
    )
    judge = Judge(renewal, rows)
    new = judge.came_after()
    RenewalCopy.objects.bulk_update(rows, ["found", "differs", "words"])
    RenewalCopy.objects.bulk_create(new)
    asking = {row.job_id for row in (*rows, *new) if row.differs}
    go_on([row for row in rows if row.job_id not in asking])
    renewal.looked_at = timezone.now()
    renewal.state = State.ASKED if asking else State.WENT_ON
    renewal.save(update_fields=["looked_at", "state"])
    _tell(renewal, [*rows, *new], asking)


def go_on(rows: Sequence[RenewalCopy]) -> int:
    """Let these be carried out, but for those that a person lets be; answers how many go on.

    An intent that is not waiting any more is left as it is: nothing goes on twice.
    """
    now = timezone.now()
    dropped = {row.intent_id: row.words for row in rows if row.found == Found.LET_BE}
    close({key: words for key, words in dropped.items() if key is not None})
    ids = [row.intent_id for row in rows if row.intent_id and row.found != Found.LET_BE]
    gone_on: int = Intent.objects.filter(
        id__in=ids, state=Intent.State.PENDING, waits_since__isnull=False
    ).update(waits_since=None, due_at=now, attempts=0)
    if rows:
        want_work(rows[0].tenant_id, "remediate")
    return gone_on


def close(words_of: dict[UUID, str]) -> None:
    """These are not done, and why."""
    now = timezone.now()
    waiting = Intent.objects.select_for_update(of=("self",)).select_related("job")
    jobs: dict[UUID, Job] = {}
    for intent in waiting.filter(
        id__in=list(words_of), state=Intent.State.PENDING, waits_since__isnull=False
    ):
        intent.state, intent.finished_at = Intent.State.FAILED, now
        intent.waits_since, intent.error = None, words_of[intent.id]
        intent.save(update_fields=["state", "finished_at", "waits_since", "error"])
        jobs[intent.job_id] = intent.job
    for job in jobs.values():
        settle_job(job)


def _tell(renewal: Renewal, rows: Sequence[RenewalCopy], asking: set[UUID]) -> None:
    counted: dict[str, Any] = {each.value: sum(row.found == each for row in rows) for each in Found}
    write_audit(
        LOOKED_AT,
        actor=BAILEY,
        provider_id=Tenant.objects.values_list("provider_id", flat=True).get(id=renewal.tenant_id),
        tenant_id=renewal.tenant_id,
        object_kind="renewal",
        object_id=renewal.id,
        state=renewal.state,
        jobs=len({row.job_id for row in rows}),
        asking=len(asking),
        **{key: n for key, n in counted.items() if n},
    )
    for incident_id in {row.job.incident_id for row in rows if row.job.incident_id}:
        announce_incident(renewal.tenant_id, incident_id)
