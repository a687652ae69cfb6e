"""The provider's delegated admin relationships (GDAP), read hourly in its own cloud tenant.

They give the provider's people roles in customers' tenants; Bailey itself goes by consent.
Source: https://learn.microsoft.com/graph/api/tenantrelationship-list-delegatedadminrelationships,
role ids: https://learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference,
both as of 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from api_bridge import connectors
from api_bridge.access.models import AppRegistration, Purpose, Relationship
from api_bridge.access.registrations import open_registration
from api_bridge.connectors.graph.client import GraphClient
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError, Unexpected
from api_bridge.runtime import shared_runtime
from tenants.doors import ClaimedWork
from tenants.work import work_scope

EVERY = timedelta(hours=1)
LISTED = "/tenantRelationships/delegatedAdminRelationships"
ROLES = {
    "62e90394-69f5-4237-9190-012177145e10": "Global Administrator",
    "f2ef992c-3afb-46b9-b7cf-a126ee74c451": "Global Reader",
    "194ae4cb-b126-40b2-bd5b-6091b380977d": "Security Administrator",
    "5d6b6bb7-de71-4623-b4af-96380a352509": "Security Reader",
    "5f2222b1-57c3-48ba-8ad5-d4759f1fde6f": "Security Operator",
    "29232cdf-9323-42fd-ade2-1d097af3e4de": "Exchange Administrator",
    "fe930be7-5e62-47db-91af-98c3a49a38b1": "User Administrator",
    "729827e3-9c14-49f7-bb1b-9608f156bbb8": "Helpdesk Administrator",
    "e8611ab8-c189-46e8-94e1-60213ab1f814": "Privileged Role Administrator",
    "7be44c8a-adaf-4e2a-84d6-ab2649e08a13": "Privileged Authentication Administrator",
    "158c047a-c907-4556-b7ef-446551a6b5f7": "Cloud Application Administrator",
    "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3": "Application Administrator",
    "f023fd81-a637-4b56-95fd-791ac0226033": "Service Support Administrator",
    "88d8e3e3-8f55-4a1e-953a-9b9898b8876b": "Directory Readers",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One relationship as Microsoft tells it.  ``customer`` "": nobody has accepted it yet."""

    external_id: str
    customer: str
    name: str
    status: str
    roles: tuple[str, ...]
    ends_at: datetime | None
    renews_itself: bool


def read_relationship(data: Mapping[str, Any]) -> Listed:
    """Raises ``Unexpected``."""
    try:
        details = data.get("accessDetails") or {}
        roles = [str(each["roleDefinitionId"]).lower() for each in details.get("unifiedRoles", [])]
        ends = data.get("endDateTime")
        return Listed(
            external_id=str(data["id"])[:120],
            customer=str((data.get("customer") or {}).get("tenantId") or "").lower()[:64],
            name=str(data["displayName"])[:300],
            status=str(data.get("status") or "")[:40],
            roles=tuple(sorted(ROLES.get(role, role) for role in roles)),
            ends_at=parse_datetime(str(ends)) if ends else None,
            # An ISO 8601 duration; PT0S: it is not extended (property autoExtendDuration).
            renews_itself=str(data.get("autoExtendDuration") or "PT0S") not in ("PT0S", "P0D"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unexpected("A relationship is not what its contract says.") from error


def look_at_relationships(claimed: ClaimedWork) -> None:
    """Once an hour for each provider, by whichever client's turn it is."""
    wired = _due(claimed)
    if wired is None:
        return
    try:
        with closing(GraphClient(wired, shared_runtime())) as graph:
            listed = [read_relationship(each) for page in graph.pages(LISTED) for each in page]
    except (AuthExpired, AccessDenied) as error:
        _note(claimed, f"The relationships cannot be listed: {error}")
        return
    except BridgeError:
        return  # the next hour
    with work_scope(claimed):
        _keep(claimed.provider_id, listed)
    _note(claimed, "")


def _due(claimed: ClaimedWork) -> connectors.Connection | None:
    """Claims this hour's look.  None: another worker did, or there is nothing to look with."""
    now = timezone.now()
    with work_scope(claimed):
        rows = AppRegistration.objects.filter(purpose=Purpose.PARTNER)
        due = rows.filter(Q(looked_at=None) | Q(looked_at__lte=now - EVERY))
        if not due.update(looked_at=now):
            return None
        row = rows.get()
        return open_registration(row, row.home_tenant_id)


def _note(claimed: ClaimedWork, trouble: str) -> None:
    with work_scope(claimed):
        AppRegistration.objects.filter(purpose=Purpose.PARTNER).update(trouble=trouble)


def _keep(provider_id: int, listed: Sequence[Listed]) -> None:
    """What is listed no more is forgotten."""
    now = timezone.now()
    for each in listed:
        Relationship.objects.update_or_create(
            provider_id=provider_id,
            external_id=each.external_id,
            defaults={
                "cloud_tenant_id": each.customer,
                "name": each.name,
                "status": each.status,
                "roles": list(each.roles),
                "ends_at": each.ends_at,
                "renews_itself": each.renews_itself,
                "seen_at": now,
            },
        )
    Relationship.objects.exclude(external_id__in=[each.external_id for each in listed]).delete()
