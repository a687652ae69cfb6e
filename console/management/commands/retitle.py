"""Name incidents by what is on record now: after an upgrade that words titles otherwise.

manage.py retitle                    all clients: what is open, or had mail in the last 90 days
manage.py retitle acme --days 365
"""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from typing_extensions import override

from incidents.retitling import retitle
from tenants.models import Tenant
from tenants.scope import maintenance_scope


class Command(BaseCommand):
    help = "Name incidents by what is on record now."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", nargs="?", default="", help="short name; left out: all")
        parser.add_argument("--days", type=int, default=90, help="how far back (90)")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        since = timezone.now() - timedelta(days=options["days"])
        with maintenance_scope():
            tenants = list(Tenant.objects.order_by("slug"))
        if options["client"]:
            tenants = [tenant for tenant in tenants if tenant.slug == options["client"]]
        if not tenants:
            raise CommandError(f"There is no client named {options['client']}.")
        for tenant in tenants:
            with maintenance_scope():
                done = retitle(tenant.id, since)
            self.stdout.write(f"{tenant.name}: {done} incidents have another title.")
