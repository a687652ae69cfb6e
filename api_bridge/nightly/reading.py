"""One page of one folder: what of it is not known is judged, and stored with the link after it.

A mail is known that we remember, or that was listed in some folder of its mailbox before.  What is
not known and is not of the first reading came into the mailbox since, whatever date it bears.  So
it is judged even where that date is older than the connection: mail from before teaches because it
was read long ago, and this one nobody has read.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.utils import timezone
from typing_extensions import override

from api_bridge.connectors import Connector, FolderPage, Item, Page, ReadsFolders, Ref, State
from api_bridge.errors import BridgeError
from api_bridge.known import Known
from api_bridge.models import MailboxSync, NightFolder, NightReading, SeenItem
from api_bridge.nightly.times import wait
from api_bridge.round import Round
from api_bridge.scan.saying import moved
from api_bridge.scanback.reading import with_old_memory
from api_bridge.store import Mine, Outcome, outdate_lists, remember, store_found, store_scanned
from incidents.models import Delivery
from incidents.words import Place
from tenants.doors import ClaimedWork
from tenants.work import work_scope

log = logging.getLogger(__name__)

# Each new mail is a request of its own, so that a page with more of them is read again.
MOST_NEW = 40
MOST_REMOVED = 500
# How many copies that left their folder are asked for in one night, twenty to a call.
MOST_ASKED = 40
# A link that dies again and again: the folder rests until the next night.
MOST_LOST = 3
HASH_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One folder's next page, as its rows stood when it was taken up.

    ``learnt_before``: on the first reading mail that was received before it is only learnt.
    """

    night_id: UUID
    folder_row_id: UUID
    folder_id: str
    place: Place
    link: str
    learnt_before: datetime | None
    mine: Mine


def read_page(claimed: ClaimedWork, connector: Connector, step: Step, page: FolderPage) -> None:
    """Raises ``BridgeError``."""
    assert isinstance(connector, ReadsFolders)
    at = timezone.now()
    with work_scope(claimed):
        new, elsewhere, failed = _unknown(step, page)
    taken = new[:MOST_NEW]
    # What could not be had before is tried as it was listed, counted, and given up.
    asked = [item for item in taken if item.ref.item_id not in failed]
    tried = [item for item in taken if item.ref.item_id in failed]
    whole = connector.whole_items(step.mine.external_id, asked) if asked else []
    night = _NightRound(connector, claimed, step, page, [*whole, *tried, *elsewhere], at)
    night.is_all = len(taken) == len(new)
    night.run()


def _unknown(step: Step, page: FolderPage) -> tuple[list[Item], list[Item], set[str]]:
    """What was never listed in this mailbox, and what was known to lie elsewhere in it; ids of what
    could not be had before.  Must run in the client's scope.
    """
    items = [item for item in page.items if not item.is_draft]
    mailbox_id, tenant_id = step.mine.seat.mailbox_id, step.mine.seat.tenant_id
    rows = SeenItem.objects.filter(
        tenant_id=tenant_id,
        mailbox_id=mailbox_id,
        item_id__in=[item.ref.item_id for item in items],
    )
    place_of = {row.item_id: row.place for row in rows}
    elsewhere = [
        item for item in items if place_of.get(item.ref.item_id, "") not in ("", item.place)
    ]
    new = [item for item in items if not place_of.get(item.ref.item_id)]
    failed = {item_id for item_id, place in place_of.items() if not place}
    if step.learnt_before is not None:
        new = [item for item in new if item.received_at >= step.learnt_before]
    elif new:
        listed = _hashes_of(tenant_id, mailbox_id)
        new = [item for item in new if _hash(item.ref.item_id) not in listed]
    return new, elsewhere, failed


def _hashes_of(tenant_id: int, mailbox_id: UUID) -> set[bytes]:
    rows = NightFolder.objects.filter(tenant_id=tenant_id, mailbox_id=mailbox_id)
    return {each for known in rows.values_list("known", flat=True) for each in _pieces(known)}


def _pieces(known: bytes | memoryview) -> set[bytes]:
    whole = bytes(known)
    return {whole[at : at + HASH_BYTES] for at in range(0, len(whole), HASH_BYTES)}


def _hash(item_id: str) -> bytes:
    return hashlib.blake2b(item_id.encode(), digest_size=HASH_BYTES).digest()


def _added(known: bytes | memoryview, item_ids: Iterable[str]) -> bytes:
    before = _pieces(known)
    return bytes(known) + b"".join(sorted({_hash(each) for each in item_ids} - before))


class _NightRound(Round):
    """``is_all`` False: more of the page is new than is taken at once, and it is read again."""

    is_all = True

    def __init__(
        self,
        connector: Connector,
        claimed: ClaimedWork,
        step: Step,
        page: FolderPage,
        items: Sequence[Item],
        at: datetime,
    ) -> None:
        shown = Page(items=tuple(items), cursor="", more=page.more)
        super().__init__(connector, claimed, [(step.mine, shown)], at)
        self._step, self._page = step, page

    @override
    def _know(self) -> Known:
        (_, shown) = self._pages[0]
        return with_old_memory(super()._know(), self._claimed.tenant_id, shown.items)

    @override
    def _commit(self, mine: Mine, page: Page, outcome: Outcome) -> None:
        with work_scope(self._claimed):
            _commit(self._step, self._page, page.items, outcome, is_all=self.is_all)

    @override
    def _park(self, mine: Mine, why: str) -> None:
        park(self._claimed, self._step.night_id, BridgeError(why))


def _commit(
    step: Step, page: FolderPage, items: Sequence[Item], outcome: Outcome, *, is_all: bool
) -> None:
    """All of it or nothing.  Must run in the client's scope."""
    row = MailboxSync.objects.select_for_update().filter(id=step.mine.sync_id).first()
    held = _held(step)
    if row is None or held is None:
        log.info("mailbox %s was read by another worker", step.mine.seat.mailbox_id)
        return
    night, folder = held
    _store(step.mine, items, outcome, row, night)
    if items:
        outdate_lists(row)
    row.save(update_fields=["whole_every_s", "synced_at"])
    if outcome.failed:
        wait(night, outcome.why)
    elif is_all:
        _move_on(night, folder, step, page)
    night.save()
    folder.save()


def _held(step: Step) -> tuple[NightReading, NightFolder] | None:
    """None: somebody else has read it meanwhile."""
    night = NightReading.objects.select_for_update().filter(id=step.night_id).first()
    folder = NightFolder.objects.select_for_update().filter(id=step.folder_row_id).first()
    if night is None or night.began_at is None or folder is None:
        return None
    return (night, folder) if folder.is_waiting and folder.link == step.link else None


def _store(
    mine: Mine, items: Sequence[Item], outcome: Outcome, row: MailboxSync, night: NightReading
) -> None:
    """What is new unless it was found meanwhile, and what lies elsewhere now."""
    ids = [item.ref.item_id for item in items]
    mailbox = SeenItem.objects.filter(tenant_id=mine.seat.tenant_id, mailbox_id=night.mailbox_id)
    known = set(mailbox.filter(item_id__in=ids).exclude(place="").values_list("item_id", flat=True))
    new = Page(
        items=tuple(item for item in items if item.ref.item_id not in known), cursor="", more=False
    )
    store_found(mine, new, _of(outcome, known, is_in=False), row)
    # Only what was sorted as lying elsewhere; of what was found meanwhile its finder tells.
    there = [item for item in items if item.ref.item_id in known and item.is_summary]
    if there:
        elsewhere = _of(outcome, {item.ref.item_id for item in there}, is_in=True)
        store_scanned(*elsewhere.scanned)
        remember(mine, Page(items=tuple(there), cursor="", more=False), elsewhere)
    late = mailbox.filter(item_id__in=set(ids) - known)
    night.imported += late.filter(gap=SeenItem.Gap.IMPORTED).count()
    night.missed += late.filter(gap=SeenItem.Gap.MISSED).count()


def _of(outcome: Outcome, ids: set[str], *, is_in: bool) -> Outcome:
    return replace(
        outcome,
        scanned=[each for each in outcome.scanned if (each.item.ref.item_id in ids) is is_in],
        unchanged=[each for each in outcome.unchanged if (each.ref.item_id in ids) is is_in],
    )


def _move_on(night: NightReading, folder: NightFolder, step: Step, page: FolderPage) -> None:
    night.failures, night.last_error = 0, ""
    if page.restarted:
        folder.link, folder.lost = "", folder.lost + 1
        if folder.lost >= MOST_LOST:
            folder.is_waiting = False
            night.last_error = "A folder's place was lost again and again; the next night reads it."
        return
    there = [item.ref.item_id for item in page.items if not item.is_draft]
    folder.known = _added(folder.known, there)
    night.mails += len(page.items)
    night.removed = _left(night, folder, page.removed)
    folder.link = page.link
    if not page.more:
        folder.is_waiting, folder.is_first = False, False
        folder.read_at = timezone.now()
        folder.total, folder.unread = folder.listed_total, folder.listed_unread


def _left(night: NightReading, folder: NightFolder, removed: Sequence[str]) -> list[list[str]]:
    """With those that we knew to lie in this folder."""
    rows = SeenItem.objects.filter(
        tenant_id=night.tenant_id,
        mailbox_id=night.mailbox_id,
        item_id__in=removed,
        place=folder.place,
        is_judged=True,
    )
    waiting: dict[str, str] = dict(night.removed)
    waiting |= dict.fromkeys(rows.values_list("item_id", flat=True), folder.place)
    return [[item_id, place] for item_id, place in waiting.items()][:MOST_REMOVED]


def settle_removed(claimed: ClaimedWork, connector: Connector, night_id: UUID, mine: Mine) -> None:
    """Copies that left a folder and came into no other are asked for.  Raises ``BridgeError``."""
    with work_scope(claimed):
        night = NightReading.objects.get(id=night_id)
        lay: dict[str, str] = dict(night.removed)
        still = set(
            SeenItem.objects.filter(
                tenant_id=night.tenant_id, mailbox_id=night.mailbox_id, item_id__in=lay
            ).values_list("item_id", "place")
        ) & set(lay.items())
    asked = [item_id for item_id in lay if (item_id, lay[item_id]) in still][:MOST_ASKED]
    states = connector.read_states([Ref(mine.external_id, each) for each in asked]) if asked else []
    found = {
        item_id: state
        for item_id, state in zip(asked, states, strict=True)
        if isinstance(state, State)
    }
    at = timezone.now()
    with work_scope(claimed):
        night = NightReading.objects.select_for_update().get(id=night_id)
        night.vanished += _tell_moves(mine, found, lay, at)
        waiting = [each for each in lay if (each, lay[each]) in still and each not in found]
        # The next night asks first for those that were not asked for.
        waiting.sort(key=lambda each: each in asked)
        night.removed = [[each, lay[each]] for each in waiting]
        night.save(update_fields=["vanished", "removed"])


def _tell_moves(mine: Mine, found: dict[str, State], lay: dict[str, str], at: datetime) -> int:
    """How many of them are gone.  Must run in the client's scope."""
    where = {
        item_id: state.place if state.exists else Place.GONE for item_id, state in found.items()
    }
    left = {item_id for item_id, place in where.items() if place != lay[item_id]}
    copies = Delivery.objects.filter(
        tenant_id=mine.seat.tenant_id, recipient=mine.seat.address, mailbox_item_id__in=left
    ).select_related("message")
    items = [
        Item(
            ref=Ref(mine.external_id, copy.mailbox_item_id),
            received_at=copy.received_at,
            folder_id=found[copy.mailbox_item_id].folder_id,
            place=where[copy.mailbox_item_id],
            internet_message_id=copy.message.internet_message_id,
            is_read=found[copy.mailbox_item_id].is_read,
        )
        for copy in copies
    ]
    store_scanned(*(moved(item, mine.seat, observed_at=at) for item in items))
    for item_id in left:
        SeenItem.objects.filter(
            tenant_id=mine.seat.tenant_id, mailbox_id=mine.seat.mailbox_id, item_id=item_id
        ).update(place=where[item_id])
    return sum(where[item_id] is Place.GONE for item_id in left)


def park(claimed: ClaimedWork, night_id: UUID, error: BridgeError, *, wait_s: float = 0.0) -> None:
    """This mailbox alone waits; the others go on."""
    with work_scope(claimed):
        night = NightReading.objects.select_for_update().get(id=night_id)
        wait(night, str(error), wait_s=wait_s)
        night.save()
