"""A person does not wait for the quarter of an hour: a look at a client's accounts at once."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from api_bridge.accounts.models import AccountLook
from api_bridge.accounts.work import QUEUE
from tenants.audit import Actor, write_audit
from tenants.models import Person, Tenant
from tenants.work import want_work

ASKED = "api_bridge.account_look.asked"


@transaction.atomic
def ask_look(*, tenant: Tenant, actor: Person | Actor) -> None:
    """A worker looks at all accounts within seconds; where it is just looking, once more when that
    look is through.  Needs the client's scope.
    """
    AccountLook.objects.filter(tenant=tenant).update(due_at=timezone.now())
    write_audit(
        ASKED,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="tenant",
        object_id=tenant.slug,
    )
    want_work(tenant.id, QUEUE)
