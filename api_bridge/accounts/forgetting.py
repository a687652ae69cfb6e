"""What is past its time of what was read of accounts (incidents/forgetting.py)."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef

from api_bridge.accounts.models import MailboxSnapshot, SignIn
from incidents.forgetting import Whose, drop_rows


def forget_sign_ins(tenant_id: int, before: datetime, whose: Whose) -> int:
    rows = SignIn.objects.filter(whose.q("mailbox__address"), tenant=tenant_id, at__lt=before)
    return drop_rows(rows.order_by("at", "id"))


def forget_settings(tenant_id: int, before: datetime, whose: Whose) -> int:
    """The newest of each mailbox stays, however old: what changes is held against it."""
    newer = MailboxSnapshot.objects.filter(
        tenant=tenant_id, mailbox=OuterRef("mailbox"), taken_at__gt=OuterRef("taken_at")
    )
    rows = MailboxSnapshot.objects.filter(
        whose.q("mailbox__address"), Exists(newer), tenant=tenant_id, taken_at__lt=before
    )
    return drop_rows(rows.order_by("taken_at", "id"))
