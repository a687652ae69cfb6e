"""Which mailboxes a client has: the connection's own list, matched to what Bailey knows.

A mailbox is matched by address or alias, made where its domain is one of the client's, and marked
gone when the mail host no longer lists it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from api_bridge import connectors
from api_bridge.access.counting import note_count, note_moves
from api_bridge.access.models import MailboxMove
from api_bridge.access.registrations import QUEUE
from api_bridge.connectors import MailboxState
from api_bridge.models import Connection, MailboxSync
from api_bridge.nightly.times import QUEUE as NIGHTLY
from tenants.models import Domain, Mailbox
from tenants.work import want_work

log = logging.getLogger(__name__)

LISTED_EVERY = timedelta(hours=1)


def store_mailboxes(connection_id: UUID, listed: Sequence[connectors.Mailbox]) -> None:
    """Must run in the client's scope.  Rows that did not change are not written: gates compile
    their policy anew when one is.
    """
    now = timezone.now()
    connection = Connection.objects.select_for_update().get(id=connection_id)
    domains = {domain.name: domain for domain in Domain.objects.all()}
    known = {mailbox.address: mailbox for mailbox in Mailbox.objects.all()}
    by_alias = {alias: box for box in known.values() for alias in box.aliases}
    synced = set(
        MailboxSync.objects.filter(connection=connection).values_list("mailbox_id", flat=True)
    )
    present: set[UUID] = set()
    ours: list[connectors.Mailbox] = []
    outside: list[connectors.Mailbox] = []
    joined: list[Mailbox] = []
    for seen in listed:
        addresses = [each for each in (seen.address, *seen.aliases) if each]
        mailbox = next((known[each] for each in addresses if each in known), None) or next(
            (by_alias[each] for each in addresses if each in by_alias), None
        )
        if mailbox is None:
            mailbox = _make(connection, addresses, domains)
        if mailbox is None:
            outside.append(seen)
            continue
        if mailbox.id in present:
            continue
        present.add(mailbox.id)
        ours.append(seen)
        known[mailbox.address] = mailbox
        was_gone = mailbox.state == Mailbox.State.GONE
        _bring_up_to_date(mailbox, seen, addresses)
        if (was_gone or mailbox.id not in synced) and mailbox.state == Mailbox.State.ACTIVE:
            joined.append(mailbox)
        if mailbox.id not in synced:
            _begin_sync(connection, mailbox)
    if present:
        gone = Mailbox.objects.filter(id__in=synced - present).exclude(state=Mailbox.State.GONE)
        note_moves(MailboxMove.Kind.LEFT, list(gone), now)
        gone.update(state=Mailbox.State.GONE)
    if listed:
        note_count(connection, ours, outside, now)
    if connection.mailboxes_listed_at is not None:
        # The first list shows who is there, not who came.
        note_moves(MailboxMove.Kind.JOINED, joined, now)
    connection.mailboxes_listed_at, connection.list_due_at = now, now + LISTED_EVERY
    connection.save(update_fields=["mailboxes_listed_at", "list_due_at"])
    want_work(connection.tenant_id, QUEUE)
    # Whoever is new here has a night of its own.
    want_work(connection.tenant_id, NIGHTLY)


def _make(
    connection: Connection, addresses: Sequence[str], domains: dict[str, Domain]
) -> Mailbox | None:
    """None for a mailbox in none of the client's domains: its mail is not ours to read."""
    for address in addresses:
        domain = domains.get(address.rpartition("@")[2])
        if domain is not None:
            made: Mailbox = Mailbox.objects.create(
                tenant_id=connection.tenant_id, domain=domain, address=address
            )
            return made
    return None


def _bring_up_to_date(mailbox: Mailbox, seen: connectors.Mailbox, addresses: Sequence[str]) -> None:
    state = mailbox.state
    if seen.state is MailboxState.NO_MAILBOX:
        state = Mailbox.State.NO_MAILBOX
    elif state == Mailbox.State.GONE:
        # Whether there is a mailbox again behind a user who had none, only reading tells.
        state = Mailbox.State.ACTIVE
    wanted = {
        "external_id": seen.id,
        "display_name": seen.display_name[:200] or mailbox.display_name,
        "job_title": seen.job_title[:200] or mailbox.job_title,
        "aliases": sorted({*mailbox.aliases, *addresses} - {mailbox.address}),
        "state": state,
    }
    changed = [name for name, value in wanted.items() if getattr(mailbox, name) != value]
    for name in changed:
        setattr(mailbox, name, wanted[name])
    if changed:
        mailbox.save(update_fields=changed)


def _begin_sync(connection: Connection, mailbox: Mailbox) -> None:
    MailboxSync.objects.get_or_create(
        tenant_id=connection.tenant_id,
        mailbox=mailbox,
        defaults={"connection": connection, "due_at": timezone.now()},
    )
