"""Asking for a look back, stopping it, going on with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from api_bridge.models import Connection, MailboxSync, SeenItem
from api_bridge.scanback.models import ScanBack, ScanBackMailbox
from api_bridge.sync import ITEMS_KEPT
from api_bridge.taking_up import CLOCKS_DIFFER, LOOK_BACK
from incidents.words import Place
from tenants.audit import write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Mailbox, Person, Tenant
from tenants.people import must_lead
from tenants.work import want_work

QUEUE = "lookback"
LEADS = "A lead has a client's older mail looked at."
DAYS = (7, 30, 90)
MOST_MAILS = 1_000_000
# Below, not even one page of a mailbox fits into an hour.
LEAST_PER_HOUR, MOST_PER_HOUR = 100, 100_000
ASKED = "api_bridge.scan_back.asked"
STOPPED = "api_bridge.scan_back.stopped"
WENT_ON = "api_bridge.scan_back.went_on"
_OPEN = (ScanBack.State.RUNNING, ScanBack.State.STOPPED)


@transaction.atomic
def start_scan_back(
    *,
    tenant: Tenant,
    actor: Person,
    days: int = 30,
    most_mails: int = 50_000,
    mails_per_hour: int = 5_000,
    requests_per_hour: int = 10_000,
    addresses: Collection[str] = (),
) -> ScanBack:
    """``addresses``: of the mailboxes to look at; empty: all that are watched.

    Raises ``WrongInput`` for what cannot be, ``Conflict`` where one is open or nothing is left to
    look at, ``NotAllowed`` to anybody but a lead.
    """
    must_lead(actor, LEADS)
    _check(days, most_mails, mails_per_hour, requests_per_hour)
    if ScanBack.objects.filter(tenant=tenant, state__in=_OPEN).exists():
        raise Conflict("A look back is open already: stop it, or let it come to its end.")
    now = timezone.now()
    since = now - timedelta(days=days)
    planned = _plan(_chosen(tenant, addresses), since)
    if not planned:
        raise Conflict(
            f"All mail of the last {days} days was judged as it came, or in an earlier look back:"
            " choose more days."
        )
    run = ScanBack(
        tenant=tenant,
        since=since,
        until=max(row.until for row in planned),
        days=days,
        most_mails=most_mails,
        mails_per_hour=mails_per_hour,
        requests_per_hour=requests_per_hour,
        is_all=not addresses,
        asked_by_id=actor.id,
        asked_by=actor.name,
    )
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("Somebody else has started a look back just now.") from error
    for row in planned:
        row.run = run
    ScanBackMailbox.objects.bulk_create(planned)
    _audit(ASKED, run, actor, days=days, mailboxes=len(planned), most_mails=most_mails)
    want_work(tenant.id, QUEUE)
    return run


def _check(days: int, most_mails: int, mails_per_hour: int, requests_per_hour: int) -> None:
    if days not in DAYS:
        raise WrongInput("Look back 7, 30 or 90 days.")
    if not 1 <= most_mails <= MOST_MAILS:
        raise WrongInput(f"At least 1 mail, at most {MOST_MAILS:,}.")
    if not LEAST_PER_HOUR <= mails_per_hour <= MOST_PER_HOUR:
        raise WrongInput(f"Between {LEAST_PER_HOUR} and {MOST_PER_HOUR:,} mails in an hour.")
    if not LEAST_PER_HOUR <= requests_per_hour <= MOST_PER_HOUR:
        raise WrongInput(f"Between {LEAST_PER_HOUR} and {MOST_PER_HOUR:,} requests in an hour.")


def _chosen(tenant: Tenant, addresses: Collection[str]) -> list[MailboxSync]:
    watched = list(
        MailboxSync.objects.filter(tenant=tenant)
        .exclude(mailbox__state__in=(Mailbox.State.GONE, Mailbox.State.NO_MAILBOX))
        .select_related("mailbox", "connection")
    )
    if not watched:
        raise Conflict("No mailbox of this client is watched yet: connect its mail host first.")
    if not addresses:
        return watched
    wanted = {each.strip().lower() for each in addresses if each.strip()}
    known = {row.mailbox.address: row for row in watched}
    if strange := sorted(wanted - known.keys()):
        raise WrongInput(f"Not a watched mailbox of this client: {', '.join(strange[:5])}.")
    return [known[each] for each in sorted(wanted)]


def _plan(watched: Sequence[MailboxSync], since: datetime) -> list[ScanBackMailbox]:
    """A row for each mailbox with mail that nobody has judged yet, as far as is known."""
    ids = [row.mailbox_id for row in watched]
    earlier = {
        mailbox_id: (newest, reached_at)
        for mailbox_id, newest, reached_at in ScanBackMailbox.objects.filter(
            tenant__in={row.tenant_id for row in watched}, mailbox__in=ids
        )
        .order_by()
        .values_list("mailbox")
        .annotate(newest=Max("until"), reached=Min("reached_at"))
    }
    rows = []
    for row in watched:
        until = judged_from(row.connection)
        newest, reached_at = earlier.get(row.mailbox_id, (until, until))
        if newest >= until:
            # An earlier look back began where the watching began: it is gone on with.
            until = min(until, reached_at)
        if until > since:
            rows.append(
                ScanBackMailbox(
                    tenant_id=row.tenant_id, mailbox=row.mailbox, until=until, reached_at=until
                )
            )
    _estimate(rows, since)
    return rows


def judged_from(connection: Connection) -> datetime:
    """What its mailboxes received from then on was judged as it came."""
    return connection.created_at - CLOCKS_DIFFER


def _estimate(rows: Sequence[ScanBackMailbox], since: datetime) -> None:
    """By the mails that the first sync listed, in their density where it went less far back."""
    now = timezone.now()
    first = now - ITEMS_KEPT
    counts = dict(
        SeenItem.objects.filter(
            tenant__in={row.tenant_id for row in rows},
            mailbox__in=[row.mailbox_id for row in rows],
            received_at__gte=max(since, first),
            is_judged=False,
        )
        .exclude(place__in=(Place.SENT, ""))
        .order_by()
        .values_list("mailbox")
        .annotate(number=Count("*"))
    )
    for row in rows:
        number = counts.get(row.mailbox_id, 0)
        known_from = max(since, first, row.until - LOOK_BACK)
        known_s = (row.until - known_from).total_seconds()
        if number and known_s > 0:
            whole_s = (row.until - since).total_seconds()
            row.estimated = round(number * max(1.0, whole_s / known_s))
        elif known_s > 0 and known_from <= since:
            row.estimated = 0


@transaction.atomic
def stop_scan_back(*, run: ScanBack, actor: Person) -> None:
    """After the page that is being read.  What was found stays; it can be gone on with."""
    must_lead(actor, LEADS)
    run = _held(run)
    if run.state != ScanBack.State.RUNNING:
        raise Conflict("It does not run any more.")
    run.state = ScanBack.State.STOPPED
    run.stopped_at, run.stopped_by, run.waits_for = timezone.now(), actor.name, ""
    run.save(update_fields=["state", "stopped_at", "stopped_by", "waits_for"])
    _audit(STOPPED, run, actor, mails=run.mails)


@transaction.atomic
def go_on(*, run: ScanBack, actor: Person) -> None:
    """With one that was stopped, or with the mailboxes that could not be read.

    Raises ``Conflict`` where there is nothing to go on with, or another one is open.
    """
    must_lead(actor, LEADS)
    run = _held(run)
    failed = Q(run=run, state=ScanBackMailbox.State.FAILED)
    has_failed = ScanBackMailbox.objects.filter(failed).exists()
    if run.state == ScanBack.State.RUNNING:
        raise Conflict("It runs.")
    if run.state == ScanBack.State.DONE:
        if not has_failed or run.ended_by == ScanBack.EndedBy.MOST:
            raise Conflict("It is over: begin another one.")
        if ScanBack.objects.filter(tenant=run.tenant_id, state__in=_OPEN).exists():
            raise Conflict("Another look back is open: let it come to its end first.")
    now = timezone.now()
    ScanBackMailbox.objects.filter(failed).update(
        state=ScanBackMailbox.State.WAITING, failures=0, due_at=now
    )
    run.state, run.due_at = ScanBack.State.RUNNING, now
    run.stopped_at, run.stopped_by, run.ended_at, run.ended_by = None, "", None, ""
    changed = ["state", "due_at", "stopped_at", "stopped_by", "ended_at", "ended_by"]
    try:
        with transaction.atomic():
            run.save(update_fields=changed)
    except IntegrityError as error:
        raise Conflict("Somebody else has started a look back just now.") from error
    _audit(WENT_ON, run, actor)
    want_work(run.tenant_id, QUEUE)


def _held(run: ScanBack) -> ScanBack:
    found: ScanBack = ScanBack.objects.select_for_update(of=("self",)).get(id=run.id)
    return found


def _audit(action: str, run: ScanBack, actor: Person, **more: Any) -> None:
    write_audit(
        action,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=run.tenant_id,
        object_kind="scan_back",
        object_id=run.id,
        **more,
    )


def newest_run(tenant_id: int) -> ScanBack | None:
    run: ScanBack | None = ScanBack.objects.filter(tenant=tenant_id).order_by("-asked_at").first()
    return run


def run_of(tenant_id: int, run_id: UUID) -> ScanBack | None:
    run: ScanBack | None = ScanBack.objects.filter(tenant=tenant_id, id=run_id).first()
    return run
