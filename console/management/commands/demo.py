"""``manage.py demo setup`` makes the demo's world; ``manage.py demo mail`` lets its mail flow."""

from __future__ import annotations

import json
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from typing_extensions import override

from console.demo import flow
from console.demo.setup import set_up


class Command(BaseCommand):
    help = "The demo: a provider with three clients, and mail that tells each kind of story."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=("setup", "mail"))
        parser.add_argument("--json", action="store_true", help="print logins and token as JSON")
        parser.add_argument("--limit", type=int, help="do so many steps, then stop")
        parser.add_argument("--pace", type=float, default=flow.PACE_S, help="seconds between two")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "mail":
            # The launcher ends it with SIGTERM: the measure is still said.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            flow.run(self.stdout.write, limit=options["limit"], pace_s=options["pace"])
            return
        made = set_up()
        if options["json"]:
            self.stdout.write(json.dumps(made))
            return
        for person in made["people"]:
            self.stdout.write(f"{person['email']}  {person['password']}  {person['role']}")
