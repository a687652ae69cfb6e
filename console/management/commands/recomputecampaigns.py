"""Say what a canonical pass would change at a client, and do it where somebody accepts it.

manage.py recomputecampaigns acme
manage.py recomputecampaigns acme --accept "New rules, read through" --by ana@keep.example
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from console.lib.named import clients_named, provider_named
from incidents.campaigns.nightly import make_canonical
from incidents.campaigns.recomputing import (
    ask_recomputation,
    decide_recomputation,
    show_what_would_change,
)
from tenants.errors import DomainError, WrongInput
from tenants.models import Person, Provider, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope


class Command(BaseCommand):
    help = "Say what a canonical pass would change at a client; do it where it is accepted."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", help="short name of the client")
        parser.add_argument("--provider", default="", help="short name; needed if there are more")
        parser.add_argument("--by", required=True, help="who asks: the e-mail of one of the staff")
        parser.add_argument("--accept", default="", metavar="WHY", help="do it, for this reason")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with maintenance_scope():
                provider = provider_named(options["provider"])
                (tenant,) = clients_named(provider, [options["client"]])
                person = _staff_named(provider, options["by"])
            self._show(tenant, person, options["accept"])
        except DomainError as error:
            raise CommandError(error.sentence) from error

    def _show(self, tenant: Tenant, person: Person, accept: str) -> None:
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
            asked = ask_recomputation(tenant=tenant, actor=person)
            shown = show_what_would_change(tenant)
            assert shown is not None
            for line in shown.lines:
                self.stdout.write(line["text"])
            self.stdout.write(f"{sum(shown.counts.values())} changes at {tenant.name}.")
            if not accept:
                return
            decide_recomputation(asked=asked, actor=person, is_accepted=True, reason=accept)
        done = make_canonical(tenant)
        self.stdout.write(
            f"Done: {done.merged} joined, {done.split} parted, {done.campaigns_changed} campaigns"
            f" changed; {done.left} incidents had changed meanwhile."
        )


def _staff_named(provider: Provider, email: str) -> Person:
    found = Person.objects.filter(provider=provider, tenant=None, email=email.lower()).first()
    if found is None:
        raise WrongInput(f"{provider.name} has nobody with the address {email}.")
    return found
