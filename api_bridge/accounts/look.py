"""Looks at a client's accounts every quarter of an hour.  No scope is open while a host is called.

1. what counts for all: sign-ins, new ways to sign in, accounts that Microsoft holds at risk; and
   bursts of mail, by what both layers saw;
2. the settings of each mailbox, twenty mailboxes at a time: a snapshot where they changed.
What the client's permissions do not allow is off, with a sentence; the rest goes on.  A round that
takes longer than one turn goes on where it stopped; whoever asks for a look meanwhile (asking.py)
has it read to its end, and then all of it once more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from api_bridge import connectors
from api_bridge.access.models import Purpose
from api_bridge.access.permissions import needs_of
from api_bridge.accounts.behind import mailboxes_behind
from api_bridge.accounts.google_clicks import ENGINE as CLICKS_BY
from api_bridge.accounts.google_look import GoogleSource
from api_bridge.accounts.google_opened import google_of
from api_bridge.accounts.keep import Keeper, own_domains_of
from api_bridge.accounts.models import BEHIND, AccountLook
from api_bridge.accounts.reading import GraphSource, Noted, Source
from api_bridge.accounts.respond import NOT_READ
from api_bridge.accounts.shapes import Settings
from api_bridge.connectors.graph.client import GraphClient
from api_bridge.errors import AuthExpired, BridgeError
from api_bridge.models import Connection
from api_bridge.runtime import NotGranted, shared_runtime, wire_connection
from api_bridge.verdicts import tell_clicks
from tenants.doors import ClaimedWork
from tenants.errors import is_passing_trouble
from tenants.models import Mailbox, Tenant
from tenants.work import work_scope

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=15)
AGAIN = timedelta(seconds=2)
# Until the mailboxes behind a new connection are listed.
UNLISTED = timedelta(seconds=20)
# Of sign-ins and audits before the first look; they make what is usual.
FIRST = timedelta(days=3)
BUDGET_S = 30.0
MAILBOXES_AT_ONCE = 20
NOT_LOOKED_AT = "Accounts are not looked at. "
NOT_LISTED = f"{NOT_LOOKED_AT}Whose they are is not known: its mailboxes are not listed yet."


@dataclass(frozen=True, slots=True)
class _Due:
    """A connection whose accounts are to be looked at, ``wired`` for account response and
    ``wired_mail`` for reading.  ``trouble``: why they cannot be.  ``due_at``: as it stood when the
    turn began; None: somebody asked for another round before that.
    """

    look_id: UUID
    due_at: datetime | None
    is_listed: bool
    kind: str
    wired: connectors.Connection | None
    wired_mail: connectors.Connection | None
    trouble: str = ""


def look_at_accounts(claimed: ClaimedWork) -> datetime | None:
    """All connections of the client; answers when to look again, None: there are none."""
    for due in _due(claimed):
        if due.wired is None:
            _settle(claimed, due, Noted(off={"all": due.trouble}))
            continue
        if not due.is_listed:
            _wait_for_mailboxes(claimed, due)
            continue
        try:
            with _opened(due) as source:
                _one(claimed, due, source)
        except BridgeError as error:
            _settle(claimed, due, Noted(errors=[str(error)]))
        except Exception as error:
            if is_passing_trouble(error):
                raise
            # An answer of which nobody thought holds up no other connection's look.
            log.exception("look at accounts %s", due.look_id)
            _settle(claimed, due, Noted(errors=[NOT_READ]))
    with work_scope(claimed):
        if AccountLook.objects.exclude(reached=None).exists():
            return timezone.now() + AGAIN
        first = AccountLook.objects.order_by("due_at").first()
        return first.due_at if first else None


def _due(claimed: ClaimedWork) -> list[_Due]:
    now, found = timezone.now(), []
    with work_scope(claimed):
        for row in Connection.objects.filter(tenant_id=claimed.tenant_id).order_by("id"):
            if row.kind == Connection.Kind.IMAP:
                continue  # a mail server has no accounts that could be asked
            look, _ = AccountLook.objects.get_or_create(
                tenant_id=claimed.tenant_id, connection=row, defaults={"due_at": now}
            )
            if look.due_at <= now or look.reached is not None:
                found.append(_wired(look, row, now))
    return found


def _wired(look: AccountLook, row: Connection, now: datetime) -> _Due:
    wired, mail, trouble = None, None, ""
    try:
        if row.kind != Connection.Kind.GRAPH:
            wired, mail = wire_connection(row, Purpose.RESPOND), wire_connection(row)
        else:
            wired = wire_connection(row, Purpose.RESPOND, must_be_granted=True)
            with suppress(NotGranted, AuthExpired):
                mail = wire_connection(row, Purpose.DETECT, must_be_granted=True)
    except (NotGranted, AuthExpired) as error:
        wired, trouble = None, f"{NOT_LOOKED_AT}{error}"
    is_asked = look.reached is not None and look.due_at <= now
    return _Due(
        look_id=look.id,
        due_at=None if is_asked else look.due_at,
        is_listed=row.mailboxes_listed_at is not None,
        kind=row.kind,
        wired=wired,
        wired_mail=mail,
        trouble=trouble,
    )


@contextmanager
def _opened(due: _Due) -> Iterator[Source]:
    assert due.wired is not None  # the caller looked
    if due.kind != Connection.Kind.GRAPH:
        assert due.wired_mail is not None  # of Google both are there
        yield GoogleSource(*google_of(due.wired_mail, due.wired))
        return
    runtime = shared_runtime()
    with closing(GraphClient(due.wired, runtime)) as graph:
        if due.wired_mail is None:
            yield GraphSource(graph, None)
        else:
            with closing(GraphClient(due.wired_mail, runtime)) as mail:
                yield GraphSource(graph, mail)


def _one(claimed: ClaimedWork, due: _Due, source: Source) -> None:
    until = time.monotonic() + BUDGET_S
    now = timezone.now()
    with work_scope(claimed):
        look = AccountLook.objects.get(id=due.look_id)
    before = (look.off, look.error)
    if look.reached is None:
        before = ([], "")
        _events(claimed, due, look, source, now)
    while batch := _next_mailboxes(claimed, look):
        read = _settings_of(source, [each.external_id for each in batch])
        with work_scope(claimed):
            tenant = Tenant.objects.get(id=claimed.tenant_id)
            keeper, own = Keeper(tenant, now, source.name), own_domains_of(tenant)
            for mailbox in batch:
                if settings := read.get(mailbox.external_id):
                    keeper.settings(mailbox, settings, own)
            keeper.tell()
            look.reached = batch[-1].id
            AccountLook.objects.filter(id=look.id).update(reached=look.reached)
        if time.monotonic() > until:
            _settle(claimed, due, source.noted, before, is_through=False)
            return
    _settle(claimed, due, source.noted, before)


def _settings_of(source: Source, ids: Sequence[str]) -> dict[str, Settings]:
    """As ``Source.settings``: a mailbox whose answer nobody thought of holds up no other."""
    try:
        return source.settings(ids)
    except BridgeError:
        raise
    except Exception as error:
        if is_passing_trouble(error):
            raise
        if len(ids) > 1:
            return {name: of for one in ids for name, of in _settings_of(source, [one]).items()}
        log.exception("settings of mailbox %s", ids[0])
        source.noted.errors.append(NOT_READ)
        return {}


def _wait_for_mailboxes(claimed: ClaimedWork, due: _Due) -> None:
    """Sign-ins that are read before it is known whose they are would be lost."""
    with work_scope(claimed):
        _put_off(due, UNLISTED)
        told = _told(due, Noted(off={f"mailboxes{BEHIND}": NOT_LISTED}))
        AccountLook.objects.filter(id=due.look_id).update(**told)


def _events(
    claimed: ClaimedWork, due: _Due, look: AccountLook, source: Source, now: datetime
) -> None:
    first = now - FIRST
    events = source.events(
        now,
        look.sign_ins_until or first,
        look.audits_until or first,
    )
    with work_scope(claimed):
        tenant = Tenant.objects.get(id=claimed.tenant_id)
        mailboxes = list(mailboxes_behind(claimed.tenant_id, look.connection_id))
        keeper = Keeper(tenant, now, source.name)
        keeper.events(events, {each.external_id.lower(): each for each in mailboxes})
        keeper.bursts(mailboxes)
        keeper.tell()
        tell_clicks(mailboxes, look.connection_id, events.clicks, CLICKS_BY)
        AccountLook.objects.filter(id=look.id).update(
            sign_ins_until=events.sign_ins_until or look.sign_ins_until,
            audits_until=events.audits_until or look.audits_until,
            **_told(due, source.noted),
        )


def _next_mailboxes(claimed: ClaimedWork, look: AccountLook) -> list[Mailbox]:
    with work_scope(claimed):
        rows = mailboxes_behind(claimed.tenant_id, look.connection_id)
        rows = rows.filter(state=Mailbox.State.ACTIVE)
        if look.reached is not None:
            rows = rows.filter(id__gt=look.reached)
        return list(rows.order_by("id")[:MAILBOXES_AT_ONCE])


# What the turns of one round have noted: ``AccountLook.off`` and ``error``.
_Before = tuple[list[dict[str, str]], str]


def _settle(
    claimed: ClaimedWork,
    due: _Due,
    noted: Noted,
    before: _Before = ([], ""),
    *,
    is_through: bool = True,
) -> None:
    """``before``: of the turns of this round before this one, which alone may have read events."""
    now = timezone.now()
    told = _told(due, noted, before)
    with work_scope(claimed):
        _put_off(due, EVERY)
        if is_through:
            told |= {"looked_at": now, "reached": None}
        AccountLook.objects.filter(id=due.look_id).update(**told)


def _put_off(due: _Due, pause: timedelta) -> None:
    """Whoever has asked for a look since the round began gets another one (asking.py)."""
    if due.due_at is not None:
        rows = AccountLook.objects.filter(id=due.look_id, due_at=due.due_at)
        rows.update(due_at=timezone.now() + pause)


def _told(due: _Due, noted: Noted, before: _Before = ([], "")) -> dict[str, Any]:
    off, error = before
    said = {each["what"]: each for each in off}
    for what, words in noted.off.items():
        said[what] = {"what": what, "words": _sentence(due.kind, words)}
    return {"off": list(said.values()), "error": noted.errors[0] if noted.errors else error}


def _sentence(kind: str, words: str) -> str:
    """What is off without a permission stands with the permission."""
    purposes = (Purpose.RESPOND, Purpose.DETECT)
    needs = (need for purpose in purposes for need in needs_of(kind, purpose))
    need = next((each for each in needs if each.name == words), None)
    if need is None:
        return words
    given = "delegated" if kind == Connection.Kind.GOOGLE else "granted"
    return f"{need.short} is not {given}. {need.without}"
