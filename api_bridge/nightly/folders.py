"""Which folders of a mailbox are read this night."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from api_bridge.connectors import MailFolder
from api_bridge.models import NightFolder, NightReading
from incidents.words import Place

# A folder whose counts are as they were is not asked, but for this often: what came and what went
# may have been as many.
ANYWAY = timedelta(days=7)


def begin(night_id: UUID, listed: Sequence[MailFolder]) -> None:
    """Which of them are read this night.  Must run in the client's scope."""
    row = NightReading.objects.select_for_update().get(id=night_id)
    if row.began_at is not None:
        return
    now = timezone.now()
    # Copies that left a folder and could not be asked for yet stay in ``removed``.
    row.began_at, row.last_error, row.failures = now, "", 0
    row.requests = row.mails = row.imported = row.missed = row.vanished = 0
    mine = NightFolder.objects.filter(tenant_id=row.tenant_id, mailbox_id=row.mailbox_id)
    mine.update(is_listed=False, is_waiting=False, lost=0)
    folders = {folder.folder_id: folder for folder in mine.defer("known")}
    made = []
    for each in listed:
        if each.place is Place.QUARANTINE:
            # What lies there Bailey has put there.
            continue
        folder = folders.get(each.id)
        if folder is None:
            folder = NightFolder(
                tenant_id=row.tenant_id,
                mailbox_id=row.mailbox_id,
                folder_id=each.id,
                # Whatever is found in one that was empty came into it since.
                is_first=row.whole_at is None and each.total != 0,
            )
            made.append(folder)
        folder.place, folder.is_listed = each.place, True
        folder.listed_total, folder.listed_unread = each.total, each.unread
        folder.is_waiting = _is_to_be_read(folder, now)
    fields = ["place", "is_listed", "listed_total", "listed_unread", "is_waiting"]
    NightFolder.objects.bulk_update(folders.values(), fields)
    NightFolder.objects.bulk_create(made)
    row.save()


def _is_to_be_read(folder: NightFolder, now: datetime) -> bool:
    counts = (folder.listed_total, folder.listed_unread)
    if folder.read_at is None:
        # Nothing lies in it, and nothing ever did that we know of.
        return folder.listed_total != 0 or bool(folder.link)
    if None in counts or counts != (folder.total, folder.unread):
        return True
    return folder.listed_total != 0 and folder.read_at <= now - ANYWAY
