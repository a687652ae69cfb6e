"""The gateway stands in front of a client from now on: its MX records name our gates.

    manage.py protectclient acme

Mail that reaches a mailbox from outside without a gate's trace is a bypass from this moment on.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from console.lib.named import clients_named, provider_named
from tenants.audit import Actor
from tenants.errors import DomainError
from tenants.scope import maintenance_scope
from tenants.services import protect_client


class Command(BaseCommand):
    help = "Say that a client's mail comes through the gateway from now on."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", help="short name of the client")
        parser.add_argument("--provider", default="", help="short name; needed if there are more")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with maintenance_scope():
                provider = provider_named(options["provider"])
                (tenant,) = clients_named(provider, [options["client"]])
                since = protect_client(tenant=tenant, actor=Actor("protectclient"))
        except DomainError as error:
            raise CommandError(error.sentence) from error
        self.stdout.write(
            f"{tenant.name} is behind the gateway since {since:%d %B %Y at %H:%M} UTC."
        )
