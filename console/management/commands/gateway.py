"""The gateway's parts: Postfix and what else stands beside the gate.  docs/gateway.md.

manage.py gateway up|down|status|check
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from typing_extensions import override

from console.gateway_parts.command import add_arguments, run


class Command(BaseCommand):
    help = "Start, stop and look at the gateway's parts."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        foreground = options["foreground"]
        sys.exit(run(options["action"], is_foreground=foreground, environment=os.environ))
