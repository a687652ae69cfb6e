"""Makes sense of what was recorded: observation → delivery → incident.  Serves ``intake``.

1. Take the oldest observations out of the client's backlog.
2. Load what they may speak of (incidents/known_rows.py), find the delivery of each
   (incidents/identity.py) and bring it up to date, all in memory.
3. Write messages, deliveries, sightings (incidents/known_store.py) and prevalence in bulk, and mark
   the copies that an entry for both layers let be (incidents/allowed.py), and those that their
   mailbox answered or passed on (incidents/answers.py).
4. Open, join or refresh the incidents of the messages that can matter (incidents/opening.py).
5. Count in the ledger what somebody condemned (incidents/ledger/).
6. Link what came into incidents with mail of other clients (incidents/campaigns/links.py).

What has to wait for another account is put back into the backlog.

All in one transaction: a crash repeats the whole step.  An observation that makes it fail is found
by trying ever fewer, and put aside: it must not hold up a client's mail.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from incidents.allowed import note_allowed
from incidents.answers import conversation_key, note_answers
from incidents.assessment import EXPOSED
from incidents.bulk import by_column, fetch, run, with_rows, without_waiting
from incidents.campaigns.links import follow_links
from incidents.holding import hold_intake
from incidents.identity import Identified, identify, settle_pending
from incidents.known import Copy, Known, Seen
from incidents.known_rows import load_known, next_batch, next_ids
from incidents.known_store import leave_empty, store_known
from incidents.layers import tell_condemned
from incidents.ledger import note_touched
from incidents.models import Backlog
from incidents.models.mail import Outcome
from incidents.opening import assess_messages
from incidents.prevalence import count_messages
from incidents.spoken import store_spoken
from incidents.words import LET_THROUGH, THREATS, Layer, is_threat
from tenants.audit import BAILEY, write_audit
from tenants.doors import ClaimedWork
from tenants.errors import is_passing_trouble
from tenants.models import Tenant
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

BATCH = 1_000
REPORTED = "reported"
ASIDE_FOR = timedelta(hours=1)


def serve_intake(claimed: ClaimedWork) -> datetime | None:
    """One batch of one client; answers when it wants to come again."""
    size = BATCH
    while True:
        try:
            return _serve(claimed, size)
        except Exception as error:
            if is_passing_trouble(error):
                raise  # no observation's fault
            if size == 1:
                log.exception("an observation of client %s is put aside", claimed.tenant_id)
                _put_aside(claimed, error)
                return timezone.now()
            size //= 2


def _serve(claimed: ClaimedWork, size: int) -> datetime | None:
    with work_scope(claimed):
        tenant = Tenant.objects.get(id=claimed.tenant_id)
        make_sense_of_backlog(tenant, size)
        if Backlog.objects.filter(wait_until=None).exists():
            return timezone.now()
        waiting = Backlog.objects.order_by("wait_until")
        return waiting.values_list("wait_until", flat=True).first()


def _put_aside(claimed: ClaimedWork, error: Exception) -> None:
    """The oldest observation waits; nothing of it is lost, and it is tried again."""
    now = timezone.now()
    with work_scope(claimed):
        for observation_id in next_ids(claimed.tenant_id, now, 1):
            Backlog.objects.filter(observation_id=observation_id).update(wait_until=now + ASIDE_FOR)
            write_audit(
                "incidents.observation.put_aside",
                actor=BAILEY,
                provider_id=claimed.provider_id,
                tenant_id=claimed.tenant_id,
                object_kind="observation",
                object_id=observation_id,
                error=type(error).__name__,
            )


def make_sense_of_backlog(tenant: Tenant, size: int = BATCH) -> int:
    """Works on at most ``size`` observations; answers how many.  Needs the client's scope."""
    # A lease that ran out may leave two workers with one client; they take turns.
    hold_intake(tenant.id)
    batch = next_batch(tenant.id, timezone.now(), size)
    if not batch:
        return 0
    known = load_known(tenant, batch)
    waits = {seen.id: until for seen in batch if (until := _take(seen, known)) is not None}
    with without_waiting():
        store_known(known)
        # This one takes us as long as all the writing takes the server.
        count_messages(tenant.id, known.mails.values())
        _put_back(tenant.id, [seen for seen in batch if seen.id in waits], waits)
        store_spoken(known)
    leave_empty(known)
    note_allowed(tenant.id, known.sights)
    known.touched |= note_answers(known, [seen for seen in batch if seen.is_sent])
    placed = assess_messages(tenant, _that_matter(known))
    condemned = {copy.mail.id for seen, copy in known.sights if is_threat(seen.verdict)}
    # A copy takes its words along to the mail it turns out to be of.
    condemned |= {mail.id for pair in known.moved for mail in pair}
    note_touched(tenant, _touched(known), condemned=condemned)
    tell_condemned(tenant.id, condemned)
    follow_links(tenant, placed)
    if any(seen.layer == Layer.PERSON for seen, _ in known.sights):
        want_work(tenant.id, REPORTED)  # it may be a reader's (incidents/userreports)
    return len(batch)


def _touched(known: Known) -> set[UUID]:
    return known.touched | {mail.id for pair in known.moved for mail in pair}


def _take(seen: Seen, known: Known) -> datetime | None:
    """Link one observation to its copy; answers until when it has to wait for a second look."""
    if seen.is_sent:
        return None
    first_sight = known.delivery_of_sight.get(seen.id)
    if first_sight is not None:
        copy = known.copies[first_sight]
        settle_pending(copy, seen, known)
        known.touched.add(copy.mail.id)
        return None
    identified: Identified = identify(seen, known)
    if identified.copy is not None:
        known.sights.append((seen, identified.copy))
        bring_up_to_date(identified.copy, seen, known)
        known.touched.add(identified.copy.mail.id)
    return identified.wait_until


def _put_back(tenant_id: int, waiting: list[Seen], waits: dict[UUID, datetime]) -> None:
    if waiting:
        rows = ((seen.id, seen.observed_at, waits[seen.id]) for seen in waiting)
        run(_PUT_BACK, [tenant_id, *by_column(rows)])


_PUT_BACK = with_rows(
    "INSERT INTO incidents_backlog (tenant_id, observation_id, observed_at, wait_until)"
    " SELECT %s, s.* FROM {rows}",
    "id uuid, observed_at timestamptz, wait_until timestamptz",
)


def _that_matter(known: Known) -> Collection[UUID]:
    """Of the touched messages those that an incident may be about; the rest is benign mail.

    A message matters where it is condemned or held and not all of its copies were stopped, where a
    copy was released or came around the gateway, where somebody spoke of it, and where it is in an
    incident already.
    """
    touched = _touched(known)
    spoken = {copy.mail.id for seen, copy in known.sights if seen.layer not in _LAYERS}
    of, threats = [known.tenant_id, list(touched)], list(THREATS)
    rows = fetch(_MATTER, [*of, threats, threats, threats, list(_STOPPED), *of])
    return spoken | {row[0] for row in rows}


_LAYERS = (Layer.GATEWAY, Layer.MAILBOX)
_STOPPED = (Outcome.HELD, Outcome.REJECTED, Outcome.DEFERRED)
_MATTER = """
SELECT message_id FROM incidents_delivery
WHERE tenant_id = %s AND message_id = ANY(%b)
GROUP BY message_id
HAVING bool_or(is_bypass OR was_released OR person_verdict <> '')
    OR bool_or(vendor_verdict = ANY(%s))
    OR bool_or(outcome = 'held' OR gateway_verdict = ANY(%s) OR mailbox_verdict = ANY(%s))
        AND bool_or(NOT outcome = ANY(%s) OR mailbox_item_id <> '')
UNION
SELECT message_id FROM incidents_incidentmessage WHERE tenant_id = %s AND message_id = ANY(%b)
"""


def bring_up_to_date(copy: Copy, seen: Seen, known: Known) -> None:
    """The newest word of each layer counts; older ones change nothing, whatever their order."""
    copy.is_changed = True
    if seen.layer == Layer.GATEWAY:
        _apply_gateway(copy, seen)
    elif seen.layer == Layer.MAILBOX:
        _apply_mailbox(copy, seen, known)
    else:
        return
    mail = copy.mail
    if seen.evidence and not mail.evidence:
        mail.evidence = seen.evidence
        mail.is_changed = True


def _apply_gateway(copy: Copy, seen: Seen) -> None:
    if copy.gateway_at is not None and seen.observed_at < copy.gateway_at:
        # Told late, yet it was so: what is delivered now was held before.
        copy.was_released |= seen.action == Outcome.HELD and copy.outcome in LET_THROUGH
        return
    copy.gateway_at = seen.observed_at
    if seen.verdict is not None:
        copy.gateway_verdict = seen.verdict
    if seen.action is not None:
        was_held = copy.outcome == Outcome.HELD
        copy.was_released |= was_held and seen.action in LET_THROUGH
        copy.outcome = seen.action
    if copy.verified_at is None and seen.place is not None:
        copy.place = seen.place


def _apply_mailbox(copy: Copy, seen: Seen, known: Known) -> None:
    if seen.mailbox_item_id and not copy.mailbox_item_id:
        known.claim_item(copy, seen.mailbox_item_id)
    copy.conversation = copy.conversation or conversation_key(seen)
    if seen.verdict is not None and _is_newer(copy.mailbox_at, seen.observed_at):
        copy.mailbox_verdict = seen.verdict
        copy.mailbox_at = seen.observed_at
    if seen.place in EXPOSED:
        copy.was_exposed = True
    if seen.place is None or not _is_newer(copy.verified_at, seen.observed_at):
        return
    copy.first_place = copy.first_place or seen.place
    copy.place = seen.place
    copy.verified_at = seen.observed_at
    if seen.is_read is not None:
        copy.is_read = seen.is_read


def _is_newer(known: datetime | None, at: datetime) -> bool:
    return known is None or at >= known
