"""Whether a copy that somebody says was delivered would have been seen in its mailbox by now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.expressions import Func
from django.db.models.functions import Lower

from api_bridge.models import MailboxSync
from tenants.models import Mailbox

# Mail becomes visible in a mailbox within seconds, seldom minutes, and each look goes back behind
# the last one.  What was not seen so long after its receipt, though its mailbox was read, is lost.
GRACE = timedelta(minutes=30)
DOMAIN_OF_RECIPIENT = Lower(
    Func(F("recipient"), Value("@"), Value(-1), function="split_part", output_field=CharField())
)


def with_reading(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Rows with ``mailbox`` and ``received_at``, for ``unseen_cases``."""
    sync = MailboxSync.objects.filter(tenant=OuterRef("tenant"), mailbox=OuterRef("mailbox"))
    found: QuerySet[Any] = rows.alias(
        has_reader=Exists(sync.filter(mailbox__state=Mailbox.State.ACTIVE)),
        read_until=Subquery(sync.values("synced_at")[:1]),
    )
    return found


def unseen_cases(*, unread: str, lost: str) -> tuple[When, When]:
    """Of what was not seen: nobody reads its mailbox, or it was read since.  Anything else was not
    looked for yet.
    """
    return (
        When(Q(mailbox=None) | Q(has_reader=False), then=Value(unread)),
        When(read_until__gt=F("received_at") + Value(GRACE), then=Value(lost)),
    )
