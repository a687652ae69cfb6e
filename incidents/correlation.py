"""Makes sense of what was recorded: observation → delivery → incident.  Serves ``intake``.

1. Take the oldest observations of the client's backlog.
2. Find the delivery each speaks of (incidents/identity.py) and bring it up to date.
3. Open, join or refresh incidents for the messages that were touched (incidents/opening.py).
4. Remove them from the backlog.  All in one transaction: a crash repeats the whole step.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from incidents.identity import identify
from incidents.models import Backlog, Delivery, Observation, Sighting
from incidents.models.mail import Layer, Match, Outcome, Place
from incidents.opening import assess_messages
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope

BATCH = 200
_EXPOSED = (Place.INBOX, Place.OTHER, Place.ARCHIVE)


def serve_intake(claimed: ClaimedWork) -> datetime | None:
    """One batch of one client; answers when it wants to come again."""
    with tenant_scope(Role.WORKER, [claimed.tenant_id], provider_id=claimed.provider_id):
        tenant = Tenant.objects.get(id=claimed.tenant_id)
        make_sense_of_backlog(tenant)
        if Backlog.objects.filter(wait_until=None).exists():
            return timezone.now()
        waiting = Backlog.objects.order_by("wait_until")
        return waiting.values_list("wait_until", flat=True).first()


def make_sense_of_backlog(tenant: Tenant) -> int:
    """Works on at most ``BATCH`` observations; answers how many.  Needs the client's scope."""
    now = timezone.now()
    rows = list(
        Backlog.objects.select_for_update()
        .filter(Q(wait_until=None) | Q(wait_until__lte=now))
        .order_by("observation_id")[:BATCH]
    )
    waiting = {row.observation_id for row in rows if row.wait_until}
    seen_by_id = Observation.objects.filter(
        tenant=tenant,
        id__in=[row.observation_id for row in rows],
        observed_at__in={row.observed_at for row in rows},
    ).in_bulk()
    touched = set()
    for row in rows:
        seen = seen_by_id[row.observation_id]
        touched.add(_take(seen, row, tenant, is_second_look=row.observation_id in waiting))
    Backlog.objects.filter(
        observation_id__in=[row.observation_id for row in rows if row.wait_until is None]
    ).delete()
    assess_messages(tenant, touched)
    return len(rows)


def _take(seen: Observation, row: Backlog, tenant: Tenant, *, is_second_look: bool) -> object:
    """Link one observation to its delivery; answers the id of the touched message."""
    if is_second_look:
        delivery = _settle_pending(seen)
        row.wait_until = None
        return delivery.message_id
    identified = identify(seen, tenant)
    delivery = identified.delivery
    Sighting.objects.get_or_create(
        tenant=tenant,
        observation_id=seen.id,
        defaults={"delivery": delivery, "observed_at": seen.observed_at},
    )
    bring_up_to_date(delivery, seen)
    if identified.wait_until is not None:
        row.wait_until = identified.wait_until
        row.save(update_fields=["wait_until"])
    return delivery.message_id


def _settle_pending(seen: Observation) -> Delivery:
    """The gateway had its time: a trace that no gate confirmed is no trace."""
    sighting = Sighting.objects.select_related("delivery").get(observation_id=seen.id)
    delivery: Delivery = sighting.delivery
    if delivery.match == Match.PENDING:
        delivery.match = Match.ONE_LAYER
        delivery.match_reason = "Its trace names a mail that no gateway knows."
        delivery.is_bypass = True
        delivery.save(update_fields=["match", "match_reason", "is_bypass"])
    return delivery


def bring_up_to_date(delivery: Delivery, seen: Observation) -> None:
    """The newest word of each layer counts; older ones change nothing, whatever their order."""
    if seen.layer == Layer.GATEWAY:
        _apply_gateway(delivery, seen)
    elif seen.layer == Layer.MAILBOX:
        _apply_mailbox(delivery, seen)
    message = delivery.message
    if seen.observed_at > message.last_seen_at:
        message.last_seen_at = seen.observed_at
        message.save(update_fields=["last_seen_at"])
    if seen.evidence and not message.evidence:
        message.evidence = seen.evidence
        message.save(update_fields=["evidence"])
    delivery.save()


def _apply_gateway(delivery: Delivery, seen: Observation) -> None:
    if delivery.gateway_at is not None and seen.observed_at < delivery.gateway_at:
        return
    delivery.gateway_at = seen.observed_at
    if seen.verdict is not None:
        delivery.gateway_verdict = seen.verdict
    if seen.action is not None:
        was_held = delivery.outcome == Outcome.HELD
        delivery.was_released |= was_held and seen.action == Outcome.DELIVERED
        delivery.outcome = seen.action
    if delivery.verified_at is None and seen.place is not None:
        delivery.place = seen.place


def _apply_mailbox(delivery: Delivery, seen: Observation) -> None:
    if seen.mailbox_item_id and not delivery.mailbox_item_id:
        delivery.mailbox_item_id = seen.mailbox_item_id
    if seen.verdict is not None and _is_newer(delivery.mailbox_at, seen.observed_at):
        delivery.mailbox_verdict = seen.verdict
        delivery.mailbox_at = seen.observed_at
    if seen.place in _EXPOSED:
        delivery.was_exposed = True
    if seen.place is None or not _is_newer(delivery.verified_at, seen.observed_at):
        return
    delivery.first_place = delivery.first_place or seen.place
    delivery.place = seen.place
    delivery.verified_at = seen.observed_at
    if seen.is_read is not None:
        delivery.is_read = seen.is_read


def _is_newer(known: datetime | None, at: datetime) -> bool:
    return known is None or at >= known
