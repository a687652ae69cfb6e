"""Which groups a client's directory has, and which mailboxes are in them: by the hourly list.

Groups are only followed: renamed with their id, gone where the directory no longer lists them, back
where it does.  Members are read to the last page before anything of them is written, so a page that
fails leaves a group as it was.  Half a list of groups is none, too.

A directory may have thousands of groups: of each list the members of so many are read, first of
those that were never read whole, then of those that were read longest ago.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from api_bridge.connectors import Capability, Connector, Group, ListsGroups, Members
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError, NotFound, RateLimited
from api_bridge.models import Connection, MailboxSync
from incidents.modes import govern_some
from incidents.proposals import look_anew
from tenants.directory import governing_groups
from tenants.doors import ClaimedWork
from tenants.models import Mailbox, MailboxGroup, MailboxGroupMember
from tenants.work import work_scope

log = logging.getLogger(__name__)

READ_AT_ONCE = 200
# Mail waits meanwhile.
READ_FOR_S = 10.0
MOST_FAILURES = 5


def follow_groups(claimed: ClaimedWork, connection_id: UUID, connector: Connector) -> None:
    """Never raises a ``BridgeError``: without this permission mail is read all the same."""
    if Capability.GROUPS not in connector.capabilities:
        return
    if not isinstance(connector, ListsGroups):
        raise TypeError("the connector promises groups and cannot list them")
    try:
        listed = connector.groups()
    except BridgeError as error:
        log.warning("groups of connection %s: %s", connection_id, error)
        with work_scope(claimed):
            _note(connection_id, f"The directory's groups cannot be listed: {error}")
        return
    with work_scope(claimed):
        _tell(claimed.tenant_id, store_groups(claimed.tenant_id, connection_id, listed))
        wanted = _whose_turn(claimed.tenant_id, connection_id)
    read, problem = _read(connector, wanted)
    with work_scope(claimed):
        _tell(claimed.tenant_id, store_members(claimed.tenant_id, connection_id, read))
        _note(connection_id, problem)


def _tell(tenant_id: int, moved: Collection[UUID]) -> None:
    """Whose modes may be others now.  In the transaction that moved them: nobody sees it again."""
    if govern_some(tenant_id).intersection(moved):
        look_anew(tenant_id)


def _note(connection_id: UUID, problem: str) -> None:
    changes: dict[str, object] = {"groups_error": problem[:500]}
    if not problem:
        changes["groups_at"] = timezone.now()
    Connection.objects.filter(id=connection_id).update(**changes)


def store_groups(tenant_id: int, source_id: UUID, listed: Sequence[Group]) -> set[UUID]:
    """``listed`` is the whole list.  Answers the groups that went or came back.  Rows that did not
    change are not written.
    """
    mine = MailboxGroup.objects.filter(tenant=tenant_id, source_id=source_id)
    known = {row.external_id: row for row in mine}
    moved: set[UUID] = set()
    for group in {group.id: group for group in listed}.values():
        row = known.pop(group.id, None) or MailboxGroup(
            tenant_id=tenant_id, source_id=source_id, external_id=group.id[:200]
        )
        wanted = {"name": group.name[:256], "address": group.address[:320], "gone_at": None}
        if row._state.adding or any(getattr(row, name) != wanted[name] for name in wanted):
            moved |= {row.id} if row.gone_at is not None else set()
            for name, value in wanted.items():
                setattr(row, name, value)
            row.save()
    gone = {row.id for row in known.values() if row.gone_at is None}
    mine.filter(id__in=gone).update(gone_at=timezone.now())
    return moved | gone


def _whose_turn(tenant_id: int, source_id: UUID) -> dict[UUID, str]:
    """Group → the host's id of it.  What governs something is read each time."""
    rows = MailboxGroup.objects.filter(tenant=tenant_id, source_id=source_id, gone_at=None)
    governing = governing_groups(tenant_id)
    first = rows.filter(id__in=governing).values_list("id", "external_id")
    others = rows.exclude(id__in=governing).order_by(F("members_at").asc(nulls_first=True), "id")
    return dict(first) | dict(others.values_list("id", "external_id")[:READ_AT_ONCE])


def _read(connector: ListsGroups, wanted: Mapping[UUID, str]) -> tuple[dict[UUID, Members], str]:
    """And why some could not be read, "" where all were."""
    read: dict[UUID, Members] = {}
    problems: list[str] = []
    until = time.monotonic() + READ_FOR_S
    for group_id, external_id in wanted.items():
        if time.monotonic() > until or len(problems) >= MOST_FAILURES:
            break
        try:
            read[group_id] = connector.members(external_id)
        except NotFound:
            continue  # it went a moment ago: the next list says so
        except BridgeError as error:
            log.warning("members of group %s: %s", group_id, error)
            problems.append(str(error))
            if isinstance(error, AccessDenied | AuthExpired | RateLimited):
                break  # the next one would be answered in the same way
    if not problems:
        return read, ""
    return read, f"Members of a group cannot be read, and stay as they were: {problems[-1]}"


def store_members(tenant_id: int, source_id: UUID, read: Mapping[UUID, Members]) -> set[UUID]:
    """Exactly these are in each of the groups now; mailboxes that nobody reads are left out.
    Answers the groups in which somebody came or went.
    """
    if not read:
        return set()
    synced = MailboxSync.objects.filter(tenant=tenant_id, connection=source_id)
    boxes = Mailbox.objects.filter(tenant=tenant_id, id__in=synced.values("mailbox_id"))
    by_id = dict(boxes.values_list("external_id", "id"))
    known: dict[UUID, set[UUID]] = {}
    rows = MailboxGroupMember.objects.filter(tenant=tenant_id, group__in=read)
    for group_id, mailbox_id in rows.values_list("group_id", "mailbox_id"):
        known.setdefault(group_id, set()).add(mailbox_id)
    now = timezone.now()
    moved: set[UUID] = set()
    for group_id, members in read.items():
        before, wanted = known.get(group_id, set()), _mailboxes(members, by_id)
        if before != wanted:
            _set_members(tenant_id, group_id, before, wanted)
            moved.add(group_id)
    MailboxGroup.objects.filter(tenant=tenant_id, id__in=read).update(members_at=now)
    return moved


def _mailboxes(members: Members, by_id: Mapping[str, UUID]) -> set[UUID]:
    if members.is_everyone:
        return set(by_id.values())
    return {by_id[each] for each in members.mailbox_ids if each in by_id}


def _set_members(
    tenant_id: int, group_id: UUID, known: Collection[UUID], wanted: Collection[UUID]
) -> None:
    left = set(known) - set(wanted)
    if left:
        MailboxGroupMember.objects.filter(
            tenant=tenant_id, group=group_id, mailbox__in=left
        ).delete()
    MailboxGroupMember.objects.bulk_create(
        [
            MailboxGroupMember(tenant_id=tenant_id, group_id=group_id, mailbox_id=mailbox_id)
            for mailbox_id in sorted(set(wanted) - set(known))
        ],
        ignore_conflicts=True,
    )
