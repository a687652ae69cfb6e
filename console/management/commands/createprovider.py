"""The first real installation: a provider, its gate and its first lead.

    manage.py createprovider --slug keep --name "Keep IT" --email mo@keep.example --person "Mo"

The password is asked for (or read from BAILEY_PASSWORD).  The gate is the one that runs with this
environment: BAILEY_GATE_NAME, BAILEY_GATE_SECRET, BAILEY_GATE_HOSTNAME.
"""

from __future__ import annotations

import os
import socket
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from console import environment as env
from incidents.traces import make_trace_key
from seg_bridge.models import Gate
from seg_bridge.services import create_gate
from tenants.audit import Actor
from tenants.errors import DomainError
from tenants.models import Person, Provider
from tenants.scope import maintenance_scope
from tenants.services import create_api_token, create_person, create_provider

ACTOR = Actor("createprovider")


class Command(BaseCommand):
    help = "Make a provider with its gate and its first lead, and print an API token."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--slug", required=True, help="short name: letters, digits, hyphens")
        parser.add_argument("--name", required=True, help="the provider's name")
        parser.add_argument("--email", required=True, help="e-mail of the first lead")
        parser.add_argument("--person", required=True, help="name of the first lead")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        password = os.environ.get("BAILEY_PASSWORD") or getpass(f"Password of {options['email']}: ")
        try:
            with maintenance_scope():
                provider = create_provider(slug=options["slug"], name=options["name"], actor=ACTOR)
                make_trace_key(provider_id=provider.id)
                gate = _make_gate(provider)
                lead = create_person(
                    provider=provider,
                    email=options["email"],
                    name=options["person"],
                    role=Person.Role.LEAD,
                    password=password,
                    actor=ACTOR,
                    may_open_content=True,
                )
                token = create_api_token(person=lead, name="first token", actor=ACTOR)
        except DomainError as error:
            raise CommandError(error.sentence) from error
        self.stdout.write(f"{provider.name} is ready. {lead.email} may sign in.")
        self.stdout.write(
            f"Gate {gate.name} ({gate.hostname}) is known."
            if gate
            else "No gate was made: BAILEY_GATE_NAME is not set (manage.py creategate makes one)."
        )
        self.stdout.write(f"API token (shown once): {token}")


def _make_gate(provider: Provider) -> Gate | None:
    """The gate of this environment; None where it names none."""
    name = os.environ.get("BAILEY_GATE_NAME", "")
    if not name:
        return None
    gate, _ = create_gate(
        provider=provider,
        name=name,
        hostname=os.environ.get("BAILEY_GATE_HOSTNAME") or socket.gethostname(),
        tenants=[],
        secret=env.secret_bytes("BAILEY_GATE_SECRET"),
        actor=ACTOR,
    )
    return gate
