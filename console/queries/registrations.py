"""The provider's own app registrations and service account, for the page that lists them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from api_bridge.access.clouds import MicrosoftCloud, clouds
from api_bridge.access.consent import console_return, portal_return
from api_bridge.access.models import AppRegistration, Grant, Purpose, Relationship
from api_bridge.access.permissions import NEEDS, WHAT_FOR, Need
from api_bridge.access.registrations import registrations
from api_bridge.access.relationships import WARNED_BEFORE
from api_bridge.models import Connection
from console.queries.google_accounts import GoogleAccountRow, google_account_row
from tenants.models import Person


@dataclass(frozen=True, slots=True)
class RegistrationRow:
    purpose: str
    label: str
    what_for: str
    needs: tuple[Need, ...]
    registration: AppRegistration | None
    cloud: MicrosoftCloud | None
    clients: int
    is_ending: bool


def registration_alarms() -> list[AppRegistration]:
    """Those of the provider whose secret is refused, or ends within thirty days."""
    soon = timezone.now() + WARNED_BEFORE
    wrong = AppRegistration.objects.filter(Q(expires_at__lte=soon) | ~Q(trouble=""))
    return list(wrong.order_by("expires_at"))


@dataclass(frozen=True, slots=True)
class RegistrationsPage:
    """``returns``: the redirect URIs that each application needs at Microsoft."""

    rows: list[RegistrationRow]
    google: GoogleAccountRow
    returns: tuple[str, str]
    relationships: list[tuple[Relationship, str]]
    soon: datetime


def registrations_page(person: Person) -> RegistrationsPage:
    entered, known = registrations(), clouds()
    soon = timezone.now() + WARNED_BEFORE
    rows = []
    for purpose in Purpose:
        row = entered.get(purpose)
        using = Grant.objects.filter(client_id=row.client_id, lost_at=None) if row else None
        rows.append(
            RegistrationRow(
                purpose=purpose,
                label=purpose.label,
                what_for=WHAT_FOR[purpose],
                needs=NEEDS[purpose],
                registration=row,
                cloud=known.get(row.cloud) if row else None,
                clients=using.order_by().values("tenant").distinct().count() if using else 0,
                is_ending=bool(row and row.expires_at <= soon),
            )
        )
    return RegistrationsPage(
        rows=rows,
        google=google_account_row(),
        returns=(console_return(), portal_return()),
        relationships=_with_clients(person),
        soon=soon,
    )


def _with_clients(person: Person) -> list[tuple[Relationship, str]]:
    """Each with the client's name, "" for a customer who is no client: those a lead sees only, for
    a relationship's name names its customer.
    """
    rows = list(Relationship.objects.order_by("ends_at", "name"))
    names = dict(
        Connection.objects.filter(
            Q(kind=Connection.Kind.GRAPH), cloud_tenant_id__in=[row.cloud_tenant_id for row in rows]
        ).values_list("cloud_tenant_id", "tenant__name")
    )
    is_lead = person.role == Person.Role.LEAD
    return [
        (row, names.get(row.cloud_tenant_id, ""))
        for row in rows
        if is_lead or row.cloud_tenant_id in names
    ]
