"""Who of the provider works for a client: its leads, and the analysts assigned to it."""

from __future__ import annotations

from django.db.models import Q

from tenants.models import Assignment, Person


def colleagues_of(tenant_id: int) -> list[Person]:
    """By name.  Needs a scope of the client that names the provider."""
    assigned = Assignment.objects.filter(tenant=tenant_id).values("person_id")
    leads = Q(role=Person.Role.LEAD)
    analysts = Q(role=Person.Role.ANALYST, id__in=assigned)
    staff = Person.objects.filter(leads | analysts, tenant=None, is_active=True)
    return list(staff.order_by("name", "id"))
