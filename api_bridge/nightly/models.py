"""How far the nightly reading of each mailbox, and of each of its folders, has come."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models

from tenants.base import TenantModel, tenant_key


class NightReading(TenantModel):
    """One mailbox.  ``due_at``: when its next night, or the next step of this one, comes.

    ``began_at`` not None: a night is under way since then; the figures below it are of this night,
    else of the last one.  ``read_at``: the beginning of the last night that came to its end: what
    lay in the mailbox then is known.  ``whole_at``: when every folder was read to its end for the
    first time, None: what lies in it is still being learnt.
    ``requests``: what it asked its host; ``mails``: entries of its folders that were listed;
    ``imported``, ``missed``: what of them was not known, by its kind of gap; ``vanished``: copies
    that lie there no more.  ``removed``: pairs of item id and place, of copies that left a folder
    and were not seen in another yet.
    """

    mailbox = tenant_key("tenants.Mailbox")
    connection = tenant_key("api_bridge.Connection")
    due_at = models.DateTimeField()
    began_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    whole_at = models.DateTimeField(null=True)
    requests = models.PositiveIntegerField(default=0)
    mails = models.PositiveIntegerField(default=0)
    imported = models.PositiveIntegerField(default=0)
    missed = models.PositiveIntegerField(default=0)
    vanished = models.PositiveIntegerField(default=0)
    removed = models.JSONField(default=list)
    failures = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "mailbox"], name="night_once")
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "due_at"], name="night_due")]

    @property
    def counted_since(self) -> datetime | None:
        """When the night began of which the figures are."""
        return self.began_at or self.read_at


class NightFolder(TenantModel):
    """One folder.  ``link``: where its reading goes on, committed with what it covers; "": at its
    beginning.

    ``is_waiting``: it is still to be read this night.  ``is_first``: it was there when the mailbox
    was first listed, and what lies in it is learnt, not found.  ``is_listed`` False: it was not in
    this night's list.  ``total``, ``unread``: of its last complete reading; ``listed_total``,
    ``listed_unread``: of this night's list.  ``read_at``: when it was last read to its end.
    ``lost``: how often this night its link had died.
    ``known``: eight bytes of the hash of each item that was ever listed in it.  That is how a mail
    which was moved, or whose flag was changed, after we have forgotten it differs from one that is
    new.
    """

    mailbox = tenant_key("tenants.Mailbox")
    folder_id = models.CharField(max_length=500)
    place = models.CharField(max_length=12)
    link = models.TextField(blank=True)
    is_waiting = models.BooleanField(default=True)
    is_first = models.BooleanField(default=False)
    is_listed = models.BooleanField(default=True)
    total = models.PositiveIntegerField(null=True)
    unread = models.PositiveIntegerField(null=True)
    listed_total = models.PositiveIntegerField(null=True)
    listed_unread = models.PositiveIntegerField(null=True)
    read_at = models.DateTimeField(null=True)
    lost = models.PositiveSmallIntegerField(default=0)
    known = models.BinaryField(default=bytes)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "mailbox", "folder_id"], name="night_folder_once"
            )
        ]
