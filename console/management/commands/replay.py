"""``manage.py replay PATH… --tenant acme``: try Bailey on your own mail."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse
from typing_extensions import override

from console.replay import OUTCOMES, Accounts, Replay, Taken, find_mails, outcome_of
from tenants.doors import Client, find_client
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope


class Command(BaseCommand):
    help = "Send real mail (.eml, mbox, folders, tar) through the gate to a client's mailboxes."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, help=".eml, mbox, folder or tar")
        parser.add_argument("--tenant", required=True, help="short name of the client")
        parser.add_argument("--rate", type=float, default=0, help="mails a second; 0: no limit")
        parser.add_argument("--limit", type=int, help="send at most so many mails")
        parser.add_argument(
            "--wait", type=float, default=120, help="seconds to wait for the gate's account"
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        client = find_client(options["tenant"])
        if client is None:
            raise CommandError(f"There is no client named {options['tenant']}.")
        missing = [str(path) for path in options["paths"] if not path.exists()]
        if missing:
            raise CommandError(f"There is nothing at {', '.join(missing)}.")
        taken = self._send_all(client, options)
        if not taken:
            raise CommandError("No mail was found there (.eml, mbox, folders and tar are read).")
        accounts = Accounts(client)
        known = accounts.wait(taken, within_s=options["wait"])
        job = accounts.keep(taken, known)
        self._report(taken, known, str(job.id))

    def _send_all(self, client: Client, options: dict[str, Any]) -> list[Taken]:
        host, _, port = os.environ["BAILEY_GATE_LISTEN"].rpartition(":")
        with tenant_scope(Role.WORKER, [client.tenant_id]):
            recipients = list(Mailbox.objects.order_by("address").values_list("address", flat=True))
        replay = Replay((host, int(port)), recipients)
        taken: list[Taken] = []
        began = time.monotonic()
        for source in islice(find_mails(options["paths"]), options["limit"]):
            taken.append(replay.send(source))
            self._show_progress(len(taken), options["limit"], began)
            if options["rate"]:
                ahead_s = len(taken) / options["rate"] - (time.monotonic() - began)
                time.sleep(max(0.0, ahead_s))
        if taken and sys.stdout.isatty():
            self.stdout.write("")
        return taken

    def _show_progress(self, number: int, limit: int | None, began: float) -> None:
        if not sys.stdout.isatty():
            return
        rate = number / max(time.monotonic() - began, 0.001)
        share = f"{number}/{limit}" if limit else str(number)
        bar = "█" * int(30 * number / limit) if limit else ""
        self.stdout.write(f"\r{bar:<30} {share} mails, {rate:.0f}/s ", ending="")
        self.stdout.flush()

    def _report(self, taken: list[Taken], known: dict[str, str], job_id: str) -> None:
        where = settings.CONSOLE_URL + reverse("mail", urlconf="console.urls")
        outcomes = [outcome_of(one, known) for one in taken]
        parts = [f"{outcomes.count(name)} {name}" for name in OUTCOMES if name in outcomes]
        self.stdout.write(f"in {len(taken)} = {' + '.join(parts)}")
        for name in OUTCOMES:
            if name in outcomes:
                self.stdout.write(
                    f"  {name:<12} {outcomes.count(name):>6}  "
                    f"{where}?replay={job_id}&outcome={name}"
                )
        for one, outcome in zip(taken, outcomes, strict=True):
            if outcome in ("rejected", "deferred", "unaccounted"):
                self.stdout.write(f"  {outcome}: {one.name}: {one.reply}")
        if "unaccounted" in outcomes:
            raise CommandError("The gate's account of some mails has not arrived: see above.")
