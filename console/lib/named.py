"""Providers, clients and gates by the short names that commands take.

Every function needs ``maintenance_scope`` and raises ``WrongInput`` for a name that nobody has.
"""

from __future__ import annotations

from collections.abc import Sequence

from seg_bridge.models import Gate
from tenants.errors import WrongInput
from tenants.models import Provider, Tenant


def provider_named(slug: str) -> Provider:
    """``slug`` "": the only provider of the installation."""
    found = list(Provider.objects.filter(slug=slug) if slug else Provider.objects.all()[:2])
    if len(found) == 1:
        return found[0]
    if slug:
        raise WrongInput(f"There is no provider named {slug}.")
    raise WrongInput("Say which provider: --provider SLUG (manage.py createprovider makes one).")


def clients_named(provider: Provider, slugs: Sequence[str]) -> list[Tenant]:
    """In the order of ``slugs``."""
    found = {one.slug: one for one in Tenant.objects.filter(provider=provider, slug__in=slugs)}
    missing = [slug for slug in slugs if slug not in found]
    if missing:
        raise WrongInput(f"{provider.name} has no client named {', '.join(missing)}.")
    return [found[slug] for slug in slugs]


def gates_named(provider: Provider, names: Sequence[str]) -> list[Gate]:
    """``names`` empty: every gate of the provider."""
    gates = Gate.objects.filter(provider=provider).order_by("name")
    if not names:
        return list(gates)
    found = list(gates.filter(name__in=names))
    missing = sorted(set(names) - {gate.name for gate in found})
    if missing:
        raise WrongInput(f"{provider.name} has no gate named {', '.join(missing)}.")
    return found
