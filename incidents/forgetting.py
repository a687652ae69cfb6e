"""How long records about accounts and reports are kept, and what is past its time.

A room registers what it can forget (``register_forgetting``); the policy says for how long, and the
hourly worker that follows it (seg_bridge/held/retention.py) calls ``forget``.  docs/held-mail.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from incidents.evidence import remove_evidence
from incidents.models import AccountSign, Evidence, Incident, IncidentMessage, Message, UserReport

MOST_AT_ONCE = 2_000
# As incidents/userreports/taking.py stores an attached mail.
REPORTED = "user-report"
SIGN_INS, SETTINGS, SIGNS, REPORTS = "sign_ins", "settings", "signs", "reports"


@dataclass(frozen=True, slots=True)
class Whose:
    """Of these mailboxes only (None: of all), and not of those: others have a term of their own."""

    only: frozenset[str] | None = None
    but: frozenset[str] = field(default_factory=frozenset)

    def q(self, address: str) -> Q:
        """``address``: the field that names the mailbox."""
        found = Q() if self.only is None else Q(**{f"{address}__in": self.only})
        return found & ~Q(**{f"{address}__in": self.but}) if self.but else found


# Client, before when, whose → how many rows went; at most ``MOST_AT_ONCE``, in the client's scope.
Forget = Callable[[int, datetime, Whose], int]

_forgetting: dict[str, Forget] = {}


def register_forgetting(kind: str, forget: Forget) -> None:
    _forgetting[kind] = forget


def forget(kind: str, tenant_id: int, before: datetime, whose: Whose) -> int:
    """Remove what is older; answers how many rows went.  Needs the client's scope."""
    return _forgetting[kind](tenant_id, before, whose)


def kinds() -> Collection[str]:
    return _forgetting.keys()


def drop_rows(rows: Any) -> int:
    """At most ``MOST_AT_ONCE`` of these, the oldest first as they are ordered."""
    ids: list[UUID] = list(rows.values_list("id", flat=True)[:MOST_AT_ONCE])
    rows.model.objects.filter(id__in=ids).delete()
    return len(ids)


_OPEN = ~Q(state=Incident.State.RESOLVED)


def forget_signs(tenant_id: int, before: datetime, whose: Whose) -> int:
    """Those of an open incident stay: they are what it is about."""
    rows = AccountSign.objects.filter(whose.q("mailbox"), tenant=tenant_id, at__lt=before)
    rows = rows.filter(Q(incident=None) | Q(incident__state=Incident.State.RESOLVED))
    return drop_rows(rows.order_by("at", "id"))


def forget_reports(tenant_id: int, before: datetime, whose: Whose) -> int:
    """With the mails that were attached to them.  What is being placed, what its reporter waits
    for, and what belongs to an open incident stays.
    """
    is_open = IncidentMessage.objects.filter(
        tenant=tenant_id, message=OuterRef("delivery__message"), incident__in=_open_of(tenant_id)
    )
    rows = UserReport.objects.filter(
        whose.q("mailbox__address"),
        ~Exists(is_open),
        tenant=tenant_id,
        reported_at__lt=before,
        owes_outcome=False,
        state__in=(UserReport.State.PLACED, UserReport.State.MISSING, UserReport.State.IGNORED),
    )
    found = list(rows.order_by("reported_at", "id").values_list("id", "evidence")[:MOST_AT_ONCE])
    UserReport.objects.filter(tenant=tenant_id, id__in=[key for key, _ in found]).delete()
    for digest in sorted({digest for _, digest in found if digest}):
        if not _is_needed(tenant_id, digest):
            remove_evidence(tenant_id=tenant_id, digest=digest)
    return len(found)


def _open_of(tenant_id: int) -> Any:
    return Incident.objects.filter(_OPEN, tenant=tenant_id).values("id")


def _is_needed(tenant_id: int, digest: str) -> bool:
    """The same bytes are a mail's original, another report's, or came by another way."""
    same: dict[str, Any] = {"tenant": tenant_id}
    return bool(
        Message.objects.filter(evidence=digest, **same).exists()
        or UserReport.objects.filter(evidence=digest, **same).exists()
        or Evidence.objects.filter(sha256=digest, **same).exclude(method=REPORTED).exists()
    )
