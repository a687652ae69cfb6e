"""A release whose gate died over it: settled by looking for the copy, never by a second release.

The gate says "unknown" where it began to hand a held mail on and no answer is on record.  The
mailbox tells: a copy that is seen there was delivered; one that is not seen in time was not.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from incidents.assessment import IN_MAILBOX
from incidents.models import Intent
from incidents.remediation import settle_intent
from incidents.words import LET_THROUGH
from tenants.doors import ClaimedWork
from tenants.work import work_scope

LOOK_AGAIN = timedelta(seconds=15)
PATIENCE = timedelta(minutes=15)


def settle_unknown_releases(claimed: ClaimedWork) -> datetime | None:
    """Answers when to look again; None: nothing is open."""
    now = timezone.now()
    with work_scope(claimed):
        waiting = Intent.objects.filter(action="release", state=Intent.State.UNKNOWN)
        for intent in waiting.select_related("delivery"):
            copy = intent.delivery
            if copy.place in IN_MAILBOX or copy.outcome in LET_THROUGH:
                settle_intent(intent.id, ok=True, detail="")
            elif now > intent.created_at + PATIENCE:
                sentence = "The gate was interrupted, and no mailbox has seen the mail since."
                settle_intent(intent.id, ok=False, detail=sentence)
        return now + LOOK_AGAIN if waiting.exists() else None
