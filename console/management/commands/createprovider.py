"""The first real installation: a provider, its gate and its first lead.

    manage.py createprovider --slug keep --name "Keep IT" --email mo@keep.example --person "Mo"

The password is asked for (or read from BAILEY_PASSWORD).
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from incidents.traces import make_trace_key
from tenants.audit import Actor
from tenants.errors import DomainError
from tenants.models import Person
from tenants.scope import maintenance_scope
from tenants.services import create_api_token, create_person, create_provider


class Command(BaseCommand):
    help = "Make a provider with its first lead, and print an API token."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--slug", required=True, help="short name: letters, digits, hyphens")
        parser.add_argument("--name", required=True, help="the provider's name")
        parser.add_argument("--email", required=True, help="e-mail of the first lead")
        parser.add_argument("--person", required=True, help="name of the first lead")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        password = os.environ.get("BAILEY_PASSWORD") or getpass(f"Password of {options['email']}: ")
        actor = Actor("createprovider")
        try:
            with maintenance_scope():
                provider = create_provider(slug=options["slug"], name=options["name"], actor=actor)
                make_trace_key(provider_id=provider.id)
                lead = create_person(
                    provider=provider,
                    email=options["email"],
                    name=options["person"],
                    role=Person.Role.LEAD,
                    password=password,
                    actor=actor,
                    may_open_content=True,
                )
                token = create_api_token(person=lead, name="first token", actor=actor)
        except DomainError as error:
            raise CommandError(error.sentence) from error
        self.stdout.write(f"{provider.name} is ready. {lead.email} may sign in.")
        self.stdout.write(f"API token (shown once): {token}")
