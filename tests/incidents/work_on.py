"""Incidents to work on, for tests of what people do with them."""

from __future__ import annotations

from contextlib import AbstractContextManager

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Incident
from incidents.words import Verdict
from tenants.models import Tenant
from tenants.scope import Role, Scope, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw


def staff(cast: Cast, *tenants: Tenant) -> AbstractContextManager[Scope]:
    """An analyst's scope of these clients, all of the cast's where none is named."""
    ids = [tenant.id for tenant in tenants or (cast.acme, cast.globex)]
    return tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id)


def portal(tenant: Tenant) -> AbstractContextManager[Scope]:
    return tenant_scope(Role.PORTAL, [tenant.id])


def arrive(
    tenant: Tenant, number: int = 1, whom: str = "cfo", sender: str = "", verdict: str = "phish"
) -> None:
    """One phish that the gateway let through lies in an inbox.

    ``number`` is its content; two numbers have nothing in common by which they were grouped.
    """
    name = "" if number == 1 else "abcdefghij"[number % 10] * (3 + number // 10)
    sender = sender or f"eve@{name}evil.example"
    ulid = f"01J0000000000000{number:06d}{whom[:4].upper():0<4}"
    facts = mail_json(
        subject=f"{name}Invoice {name}", sender={"address": sender, "name": "Eve", "raw": ""}
    )
    common = {
        "mail": facts,
        "internet_message_id": f"<{number}@evil.example>",
        "fingerprint": f"{number:032d}",
    }
    recipient = f"{whom}@{tenant.slug}.example"
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        record(
            [
                gateway_saw(tenant, recipient, ulid=ulid, **common),
                mailbox_saw(
                    tenant,
                    recipient,
                    trace_ulid=ulid,
                    verdict=Verdict(verdict),
                    **common,
                ),
            ]
        )
        make_sense_of_backlog(tenant)


def open_incident(tenant: Tenant, number: int = 1, **changes: str) -> Incident:
    """The incident of ``arrive``; read in a scope that is closed again."""
    arrive(tenant, number, **changes)
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        return Incident.objects.select_related("tenant").get(
            memberships__message__internet_message_id=f"<{number}@evil.example>"
        )
