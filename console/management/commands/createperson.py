"""An analyst, a further lead, or a client's reader.

    manage.py createperson --email ana@keep.example --name Ana --role analyst --client acme
    manage.py createperson --email pia@acme.example --name Pia --role client_reader --client acme

The password is asked for (or read from BAILEY_PASSWORD).
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from console.lib.named import clients_named, provider_named
from tenants.audit import Actor
from tenants.errors import DomainError
from tenants.models import Person
from tenants.scope import maintenance_scope
from tenants.services import create_person


class Command(BaseCommand):
    help = "Make a person who may sign in."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--role", required=True, choices=Person.Role.values)
        parser.add_argument("--provider", default="", help="short name; needed if there are more")
        parser.add_argument("--client", action="append", default=[], help="short name; repeatable")
        parser.add_argument(
            "--may-open-content", action="store_true", help="may open mail content for a reason"
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        password = os.environ.get("BAILEY_PASSWORD") or getpass(f"Password of {options['email']}: ")
        try:
            with maintenance_scope():
                provider = provider_named(options["provider"])
                person = create_person(
                    provider=provider,
                    email=options["email"],
                    name=options["name"],
                    role=options["role"],
                    password=password,
                    tenants=clients_named(provider, options["client"]),
                    may_open_content=options["may_open_content"],
                    actor=Actor("createperson"),
                )
        except DomainError as error:
            raise CommandError(error.sentence) from error
        self.stdout.write(f"{person.email} may sign in ({person.role}).")
