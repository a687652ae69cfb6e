"""A person does not wait for the quarter of an hour: a look at a client's accounts at once."""

from __future__ import annotations

from django.utils import timezone

from api_bridge.accounts.models import AccountLook
from api_bridge.accounts.work import QUEUE
from tenants.models import Tenant
from tenants.work import want_work


def ask_look(tenant: Tenant) -> None:
    """A worker looks within seconds, also where it is just looking.  Needs the client's scope."""
    AccountLook.objects.filter(tenant=tenant).update(due_at=timezone.now())
    want_work(tenant.id, QUEUE)
