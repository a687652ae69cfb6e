"""What becomes of a client's delegated admin relationships, as gdap.py listed them last.

Source: https://learn.microsoft.com/graph/api/resources/delegatedadminrelationship, read 2026-11-30:
near its end a relationship is ``expiring`` and no longer ``active``; ``endDateTime`` is when it
becomes ``terminated`` or ``expired``.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from api_bridge.access.models import AppRegistration, Purpose, Relationship
from api_bridge.models import Connection
from incidents.findings import Trouble
from incidents.models.finding import Finding

CODE = "gdap"
WARNED_BEFORE = timedelta(days=30)
STANDS = frozenset({"active", "expiring"})
ENDS = frozenset({"expired", "terminationrequested", "terminating", "terminated"})
# What ended longer ago than this was no news when it was first seen.
NEWS_FOR = timedelta(days=30)


def related() -> QuerySet[Relationship]:
    """With the client's cloud tenant.  Needs the client's scope with its provider."""
    mine = Connection.objects.filter(kind=Connection.Kind.GRAPH)
    return Relationship.objects.filter(
        cloud_tenant_id__in=set(mine.values_list("cloud_tenant_id", flat=True))
    )


def of_relationships() -> list[Trouble]:
    """Those that end within thirty days, and those that have ended, until another one gives the
    same roles; and that they cannot be listed.
    """
    now = timezone.now()
    rows = list(related().order_by("ends_at", "external_id"))
    lasting = [each for each in rows if _stands(each) and not _ends(each)]
    roles = {role for each in lasting for role in each.roles}
    told = set(Finding.objects.filter(code=CODE, settled_at=None).values_list("key", flat=True))
    found = []
    for row in rows:
        is_covered = bool(row.roles) and roles.issuperset(row.roles)
        has_ended = row.status.lower() in ENDS
        is_news = row.ends_at is None or row.ends_at > now - NEWS_FOR
        if is_covered or not (_ends(row) or (has_ended and (is_news or row.external_id in told))):
            continue
        found.append(
            Trouble(code=CODE, key=row.external_id, words=_words(row), ends_at=row.ends_at)
        )
    return [*found, *_of_listing(bool(rows))]


def _stands(row: Relationship) -> bool:
    return row.status.lower() in STANDS


def _ends(row: Relationship) -> bool:
    """Soon, or by now: its end may come before the next list."""
    if not _stands(row) or row.renews_itself:
        return False
    return row.ends_at is not None and row.ends_at <= timezone.now() + WARNED_BEFORE


def _words(row: Relationship) -> str:
    at = f"{row.ends_at:%-d %B %Y}" if row.ends_at else "a day that Microsoft does not tell"
    is_over = row.status.lower() in ("expired", "terminated") or (
        row.ends_at is not None and row.ends_at <= timezone.now()
    )
    if is_over:
        said = f"ended on {at}: your people have no roles by it in the client's tenant any more."
    elif _stands(row):
        said = f"ends on {at}: your people lose their roles in the client's tenant."
    else:
        said = "is being terminated: your people lose their roles in the client's tenant."
    return f"The relationship “{row.name}” {said} Request a new one in Partner Center."


def _of_listing(has_some: bool) -> list[Trouble]:
    """Where they cannot be listed nobody would be warned of their end."""
    row = AppRegistration.objects.filter(purpose=Purpose.PARTNER).exclude(trouble="").first()
    if row is None or not has_some:
        return []
    words = f"{row.trouble} Until they can, nobody is warned before one ends."
    return [Trouble(code=CODE, key="listing", words=words)]
