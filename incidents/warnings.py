"""Shared warnings: "also seen at 3 or more other organisations", without a word of theirs.

1. A mail that a layer or a person condemned leaves marks: keyed fingerprints of its content, files,
   links, payment details, and of its sender with its subject's shape.
2. ``door_also_seen`` compares the marks of an incident with those of other clients of the provider
   and answers with their number, 0 below three, and never more than all of them but two.  Nobody
   learns who or what.
3. A client that opted out leaves no marks, is not counted and is told nothing.

What a mark is made of: incidents/marks.py.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.marks import marks_of
from incidents.models import Incident, LedgerEntry, Message, WarningMark
from incidents.words import Verdict
from tenants.audit import write_audit
from tenants.doors import ask
from tenants.models import Person, Tenant

SHARING_CHANGED = "tenants.client.warnings_changed"
# As in door_also_seen: older marks are worth nothing.
KEPT = timedelta(days=30)
# Spam is everywhere, and warns nobody.
_WORTH_A_WARNING = (Verdict.PHISH, Verdict.BEC, Verdict.MALWARE, Verdict.SUSPICIOUS)


def leave_marks(tenant: Tenant, message_ids: Collection[UUID]) -> None:
    """Mark those of these mails that were condemned and carry no marks yet.

    Needs the client's scope, and the ledger's rows of these mails.
    """
    if not message_ids or not tenant.shares_warnings:
        return
    condemned = LedgerEntry.objects.filter(
        tenant=tenant, message_id__in=message_ids, verdict__in=_WORTH_A_WARNING
    ).values_list("message_id", flat=True)
    marked = WarningMark.objects.filter(tenant=tenant, message_id__in=message_ids)
    wanted = set(condemned) - set(marked.values_list("message_id", flat=True))
    WarningMark.objects.bulk_create(
        [
            WarningMark(tenant=tenant, message=mail, mark=mark, last_seen_at=mail.last_seen_at)
            for mail in Message.objects.filter(tenant=tenant, id__in=wanted)
            for mark in sorted(marks_of(mail))
        ],
        ignore_conflicts=True,
    )


def also_seen_at(incident: Incident) -> int:
    """At how many other organisations at least; 0: fewer than three, or not to be told.

    In the scope of the reader, of the console or of the portal.
    """
    return int(ask("door_also_seen", incident.id) or 0)


def sweep_marks(tenant: Tenant) -> int:
    """Remove marks that no warning counts any more; answers how many.  Needs the client's scope."""
    old = WarningMark.objects.filter(tenant=tenant, last_seen_at__lt=timezone.now() - KEPT)
    removed, _ = old.delete()
    return removed


@transaction.atomic
def share_warnings(*, tenant: Tenant, actor: Person, is_on: bool) -> None:
    """Let the client take part or not; who leaves takes her marks along."""
    Tenant.objects.filter(id=tenant.id).update(shares_warnings=is_on)
    if not is_on:
        WarningMark.objects.filter(tenant=tenant).delete()
    write_audit(
        SHARING_CHANGED,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="client",
        object_id=tenant.slug,
        before=tenant.shares_warnings,
        after=is_on,
    )
