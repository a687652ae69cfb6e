"""A further gate, on its own host.

    manage.py creategate mx2 --hostname mx2.keep.example

It takes mail of every client of the provider, or of those that --client names.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from console.lib.named import clients_named, provider_named
from seg_bridge.services import create_gate
from tenants.audit import Actor
from tenants.errors import DomainError
from tenants.models import Tenant
from tenants.scope import maintenance_scope


class Command(BaseCommand):
    help = "Make a further gate and print its secret."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="BAILEY_GATE_NAME of the gate: mx2")
        parser.add_argument("--hostname", required=True, help="its host's name: mx2.example.com")
        parser.add_argument("--provider", default="", help="short name; needed if there are more")
        parser.add_argument("--client", action="append", default=[], help="short name of a client")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with maintenance_scope():
                provider = provider_named(options["provider"])
                tenants = clients_named(provider, options["client"]) or list(
                    Tenant.objects.filter(provider=provider)
                )
                gate, secret = create_gate(
                    provider=provider,
                    name=options["name"],
                    hostname=options["hostname"],
                    tenants=tenants,
                    actor=Actor("creategate"),
                )
        except DomainError as error:
            raise CommandError(error.sentence) from error
        self.stdout.write(f"Gate {gate.name} takes mail of {len(tenants)} clients.")
        self.stdout.write(f"BAILEY_GATE_SECRET (shown once): {secret}")
