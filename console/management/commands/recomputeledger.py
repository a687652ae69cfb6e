"""Make the layer ledger anew from the history, and say whether it had drifted.

manage.py recomputeledger            all clients, the last 90 days
manage.py recomputeledger acme --days 365
"""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from typing_extensions import override

from incidents.ledger import recompute
from tenants.models import Tenant
from tenants.scope import maintenance_scope


class Command(BaseCommand):
    help = "Make the layer ledger anew from the history of observations."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", nargs="?", default="", help="short name; left out: all")
        parser.add_argument("--days", type=int, default=90, help="how far back (90)")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        with maintenance_scope():
            tenants = list(Tenant.objects.order_by("slug"))
        if options["client"]:
            tenants = [tenant for tenant in tenants if tenant.slug == options["client"]]
        if not tenants:
            raise CommandError(f"There is no client named {options['client']}.")
        until = timezone.now() + timedelta(days=1)
        since = until - timedelta(days=options["days"] + 1)
        for tenant in tenants:
            done = recompute(tenant, since=since, until=until)
            self.stdout.write(
                f"{tenant.name}: {done.mails} mails, {done.rows} in the ledger,"
                f" {done.differing} differed."
            )
